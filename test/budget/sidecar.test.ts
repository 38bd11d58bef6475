/** What the sidecar may cost: the modules it loads, its memory when idle, its threads and files. Times are printed, never judged. */
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startIssuer } from '../../src/demo/issuer.ts'
import { startApp } from '../helpers/app.ts'
import { buildShipped } from '../helpers/shipped.ts'
import { plainNode, spawnSidecar, until, writeConfig, type SpawnedSidecar } from '../helpers/sidecar.ts'
import { issuerEntry } from '../helpers/stage.ts'
import t, { type Test } from 'tap'

t.setTimeout(120_000) // the build takes its time on a busy machine

/** Packages that the sidecar may load, and who must not be among them: any of these costs MiBs or is there for the controller and the CLI. */
const ALLOWED_PACKAGES = ['undici', 'valibot']
/** Node's public modules that a start with keys from a file loads beyond those that every process has. */
const NODE_MODULES = ['crypto', 'net', 'stream', 'stream/promises', 'string_decoder', 'vm']
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

/** What a running sidecar holds, after a moment: memory in MiB, threads, open files. */
async function costs({ process: { pid }, healthUrl }: SpawnedSidecar) {
  await sleep(700) // what compiling the parser took for a moment is given back
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const mebi = (field: string) => Math.round(Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1]) / 102.4) / 10
  const threads = Number(/^Threads:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  const page = await (await fetch(`${healthUrl}/metrics`)).text()
  return { anonymous: mebi('Anonymous'), resident: mebi('Rss'), threads, files: Number(/^process_open_fds (\d+)/m.exec(page)?.[1]) }
}

/** Runs a program to its end. @returns its output; fails the test on another exit code than 0 */
async function output(t: Test, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<{ stdout: string, stderr: string }> {
  const child = plainNode(args, ['ignore', 'pipe', 'pipe'], { NODE_COMPILE_CACHE: '', ...env })
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'close')])
  t.equal(code, 0, code === 0 ? 'ends well' : stderr)
  return { stdout, stderr }
}

t.test('what ships', async (t) => {
  const { app, entry, flags, remove } = await buildShipped()
  t.teardown(remove)
  const yaml = writeConfig('listeners: [{ bind: 127.0.0.1:0, upstream: 127.0.0.1:1 }]\nissuers: [{ name: a, issuer: https://a.test, audiences: [b], keys: { discovery: true } }]\n')
  t.teardown(() => yaml.remove())

  const keys = writeConfig(JSON.stringify({ keys: [generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })] }))
  const config = writeConfig({ issuers: [{ name: 'a', issuer: 'https://a.test', audiences: ['b'], keys: { file: keys.path } }] }, { host: '127.0.0.1', port: 1 })
  t.teardown(() => { keys.remove(); config.remove() })

  await t.test('memory, threads and files when idle, under the image\'s flags and Node\'s permission model', async (t) => {
    const { sidecar, issuer, readyMs } = await spawned(t, { entry, node: flags })
    await until(async () => (await fetch(`${sidecar.healthUrl}/readyz`)).ok)
    t.equal((await fetch(sidecar.url, { headers: { authorization: `Bearer ${await issuer.sign()}` } })).status, 200)
    const fetched = await costs(sidecar)
    t.comment(`keys fetched over TLS, one request: from spawn to ready ${readyMs.toFixed(0)} ms; ${JSON.stringify(fetched)}`)
    t.ok(fetched.anonymous < 26, `anonymous memory ${fetched.anonymous} MiB`)
    t.equal(sidecar.errors(), '')
    const other = await spawnSidecar(config.path, { entry, node: flags })
    t.teardown(() => other.kill())
    const idle = await costs(other)
    t.comment(`keys from a file, no request: ${JSON.stringify(idle)}`)
    t.ok(idle.anonymous < 20, `anonymous memory ${idle.anonymous} MiB`)
    t.ok(Math.max(fetched.threads, idle.threads) <= 8, `${fetched.threads} threads`)
    t.ok(Math.max(fetched.files, idle.files) <= 48, `${fetched.files} files`)
  })

  await t.test('of Node\'s modules a start loads what it uses, and none that fetches, resolves, forks or watches', async (t) => {
    const record = ['--require', fileURLToPath(new URL('../helpers/record-builtins.cjs', import.meta.url))]
    const empty = join(app, 'empty.cjs')
    writeFileSync(empty, '')
    const bare = new Set((await output(t, [...flags, ...record, empty])).stderr.trim().split('\n'))
    const sidecar = await spawnSidecar(config.path, { entry, node: [...flags, ...record], env: { NODE_COMPILE_CACHE: '' } })
    sidecar.process.kill('SIGTERM')
    t.equal(await sidecar.ended(), 0)
    const loaded = sidecar.errors().trim().split('\n')
    t.ok(loaded.includes('net') && loaded.includes('crypto'), 'the record is one')
    t.same(loaded.filter((name) => !bare.has(name) && !name.startsWith('internal/')).sort(), NODE_MODULES, 'public modules')
    t.same(loaded.filter((name) => !bare.has(name) && /^internal\/(?:deps\/undici|child_process|cluster|http2?|perf\/performance$|readline|webstreams|crypto\/web)/.test(name)), [], 'costly ones')
  })

  await t.test('V8 takes the bytecode: Node\'s own under these flags, and the one beside the bundle', async (t) => {
    const { stdout, stderr } = await output(t, [...flags, entry, '--config', yaml.path, '--check'], { NODE_DEBUG_NATIVE: 'CODE_CACHE' })
    t.match(stdout, /: ok\n$/, 'a YAML file is read by the package beside the bundle')
    t.ok(stderr.split('\n').filter((line) => line.endsWith('is accepted')).length > 30, 'Node\'s own')
    t.same(stderr.split('\n').filter((line) => line.includes('rejected') || line.startsWith('sidegate')), [])
  })

  await t.test('bytecode of another bundle is not run, even of the same length', async (t) => {
    const bundle = join(app, 'dist/bundle/sidecar.cjs')
    const before = readFileSync(bundle, 'latin1')
    writeFileSync(bundle, before.replace(': ok`', ': OK`'))
    t.not(readFileSync(bundle, 'latin1'), before)
    const { stdout, stderr } = await output(t, [...flags, entry, '--config', yaml.path, '--check'])
    t.match(stdout, /: OK\n$/, 'what runs is the bundle')
    t.ok(stderr.startsWith('sidegate: the bytecode beside the bundle is not of this bundle'))
    writeFileSync(bundle, before)
  })

  await t.test('other flags of V8: right, only slower, and it says so', async (t) => {
    const { stdout, stderr } = await output(t, [...flags, '--no-opt', entry, '--config', yaml.path, '--check'])
    t.match(stdout, /: ok\n$/)
    t.ok(stderr.startsWith('sidegate: the bytecode beside'))
  })
})
