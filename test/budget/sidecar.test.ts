/** What the sidecar may cost: the modules it loads, its memory when idle, its threads and files. Times are printed, never judged. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startIssuer } from '../../src/demo/issuer.ts'
import { startApp } from '../helpers/app.ts'
import { plainNode, spawnSidecar, until, writeConfig } from '../helpers/sidecar.ts'
import { issuerEntry } from '../helpers/stage.ts'
import t, { type Test } from 'tap'

t.setTimeout(120_000) // the build takes its time on a busy machine

/** Packages that the sidecar may load, and who must not be among them: any of these costs MiBs or is there for the controller and the CLI. */
const ALLOWED_PACKAGES = ['undici', 'valibot']
/** Node's modules whose ESM facade loads the undici inside Node (see src/lib/builtin.ts). */
const COSTLY_FACADES = ['import node:http', 'import http']

async function spawned(t: Test, options: Parameters<typeof spawnSidecar>[1] = {}) {
  const issuer = await startIssuer({ tls: true })
  const app = await startApp()
  const ca = writeConfig(issuer.ca!)
  // `clockSkew` is worth a warning, which must not load the YAML parser to find its line.
  const file = writeConfig({ issuers: [issuerEntry(issuer, 'corp', { keys: { discovery: true, caFile: ca.path }, clockSkew: '1h' })] }, app.address)
  t.teardown(async () => { await issuer.stop(); await app.close(); file.remove(); ca.remove() })
  const began = performance.now()
  const sidecar = await spawnSidecar(file.path, options)
  t.teardown(() => sidecar.kill())
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

/** Builds the JavaScript that ships, somewhere it disturbs nobody. @returns the path of the sidecar's entry */
async function build(t: Test): Promise<string> {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const out = mkdtempSync(join(tmpdir(), 'sidegate-dist-'))
  t.teardown(() => rmSync(out, { recursive: true }))
  const [code] = await once(plainNode([join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json'), '--outDir', out], 'inherit'), 'close')
  t.equal(code, 0, 'builds')
  writeFileSync(join(out, 'package.json'), '{"type":"module"}')
  symlinkSync(realpathSync(join(root, 'node_modules')), join(out, 'node_modules'))
  return join(out, 'cmd/sidecar.js')
}

t.test('what ships: memory, threads and files when idle, under the image\'s flags and Node\'s permission model', async (t) => {
  const entry = await build(t)
  const { sidecar, issuer, readyMs } = await spawned(t, { entry, node: imageFlags(dirname(dirname(entry))) })
  await until(async () => (await fetch(`${sidecar.healthUrl}/readyz`)).ok)
  t.equal((await fetch(sidecar.url, { headers: { authorization: `Bearer ${await issuer.sign()}` } })).status, 200)
  await sleep(300)
  const { pid } = sidecar.process
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const mebi = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1]) / 1024
  const threads = Number(/^Threads:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  const page = await (await fetch(`${sidecar.healthUrl}/metrics`)).text()
  const fds = Number(/^process_open_fds (\d+)/m.exec(page)?.[1])
  t.comment(`from spawn to ready ${readyMs.toFixed(0)} ms; anonymous ${mebi('Anonymous').toFixed(1)} MiB, resident ${mebi('Rss').toFixed(1)} MiB, ${threads} threads, ${fds} files`)
  t.ok(mebi('Anonymous') < 30, `anonymous memory ${mebi('Anonymous')} MiB`)
  t.ok(threads <= 16, `${threads} threads`)
  t.ok(fds <= 48, `${fds} files`)
  t.equal(sidecar.errors(), '')
})

/** The flags of the image's command, with the paths of this build in place of the image's. */
function imageFlags(dist: string): string[] {
  const dockerfile = readFileSync(new URL('../../Dockerfile', import.meta.url), 'utf8')
  const [program, ...flags] = JSON.parse(/^ENTRYPOINT (\[[^\]]*\])$/m.exec(dockerfile.replaceAll(/\\\n/g, ''))?.[1] ?? '[]') as string[]
  if (program === undefined) throw new Error('the Dockerfile has no ENTRYPOINT')
  const options = flags.filter((flag) => flag.startsWith('--')).map((flag) => flag === '--allow-fs-read=/app/' ? `--allow-fs-read=${dist}/` : flag)
  return [...options, `--allow-fs-read=${realpathSync(new URL('../../node_modules', import.meta.url))}/`, `--allow-fs-read=${tmpdir()}/`]
}
