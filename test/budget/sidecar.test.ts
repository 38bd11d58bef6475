/** What the sidecar may cost: the modules it loads, its memory when idle, its threads and files. Times are printed, never judged. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { startIssuer } from '../../src/demo/issuer.ts'
import { startApp } from '../helpers/app.ts'
import { spawnSidecar, until, writeConfig } from '../helpers/sidecar.ts'
import { issuerEntry } from '../helpers/stage.ts'
import t, { type Test } from 'tap'

/** Packages that the sidecar may load, and who must not be among them: any of these costs MiBs or is there for the controller and the CLI. */
const ALLOWED_PACKAGES = ['undici', 'valibot']
/** Node's modules whose ESM facade loads the undici inside Node (see src/lib/builtin.ts). */
const COSTLY_FACADES = ['import node:http', 'import http']

async function spawned(t: Test, options: Parameters<typeof spawnSidecar>[1] = {}) {
  const issuer = await startIssuer({ tls: true })
  const app = await startApp()
  const ca = writeConfig(issuer.ca!)
  // Nothing in it that is worth a warning: to say in which line it is, the YAML parser would be loaded.
  const file = writeConfig({ issuers: [issuerEntry(issuer, 'corp', { keys: { discovery: true, caFile: ca.path } })] }, app.address)
  const began = performance.now()
  const sidecar = await spawnSidecar(file.path, options)
  t.teardown(async () => { await sidecar.kill(); await issuer.stop(); await app.close(); file.remove(); ca.remove() })
  return { sidecar, issuer, readyMs: performance.now() - began }
}

t.test('the import graph: few packages, nothing of the controller, no YAML for a JSON file', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'sidegate-budget-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const record = join(directory, 'modules')
  const preload = new URL('../helpers/record-modules.mjs', import.meta.url).href
  const { sidecar, issuer } = await spawned(t, { node: ['--import', preload], env: { RECORD_MODULES: record } })
  await until(async () => (await fetch(`${sidecar.healthUrl}/readyz`)).ok)
  t.equal((await fetch(sidecar.url, { headers: { authorization: `Bearer ${await issuer.sign()}` } })).status, 200)
  t.equal((await fetch(sidecar.url)).status, 401)

  const loads = readFileSync(record, 'utf8').trim().split('\n')
  const urls = loads.map((line) => line.split(' ')[1]!)
  const packages = new Set(urls.flatMap((url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? []))
  const ours = urls.filter((url) => url.startsWith('file:') && !url.includes('/node_modules/')).map((url) => url.replace(/^.*\/(?=(?:src|cmd)\/)/, ''))
  t.ok(ours.includes('src/sidecar/decide.ts'), 'the record is one')
  t.same([...packages].filter((name) => !ALLOWED_PACKAGES.includes(name)), [], 'packages')
  t.same(loads.filter((line) => COSTLY_FACADES.includes(line)), [], 'facades: use builtin() of src/lib/builtin.ts')
  t.same(ours.filter((path) => /^src\/(?:injector|kube|pki|demo)\//.test(path)), [], 'folders')
  t.comment(`${ours.length} modules of ours, ${urls.filter((url) => url.startsWith('node:')).length} of Node's, packages: ${[...packages].join(', ')}`)
})

t.test('memory, threads and files when idle', async (t) => {
  const { sidecar, readyMs } = await spawned(t, { node: ['--max-semi-space-size=1'] })
  await until(async () => (await fetch(`${sidecar.healthUrl}/readyz`)).ok)
  await sleep(300)
  const { pid } = sidecar.process
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const mebi = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1]) / 1024
  const threads = Number(/^Threads:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  const page = await (await fetch(`${sidecar.healthUrl}/metrics`)).text()
  const fds = Number(/^process_open_fds (\d+)/m.exec(page)?.[1])
  t.comment(`from spawn to ready ${readyMs.toFixed(0)} ms; anonymous ${mebi('Anonymous').toFixed(1)} MiB, resident ${mebi('Rss').toFixed(1)} MiB, ${threads} threads, ${fds} files`)
  // Run from TypeScript, which costs 35 MiB for stripping types: the shipped JavaScript is smaller by that. A bound against leaps, not a target.
  t.ok(mebi('Anonymous') < 90, 'anonymous memory')
  t.ok(threads <= 16, 'threads')
  t.ok(fds <= 48, 'open files')
})
