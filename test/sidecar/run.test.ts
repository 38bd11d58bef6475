/** The sidecar as a process: arguments, ready line, signals, exit codes, what it says when it cannot. */
import { startIssuer } from '../../src/demo/issuer.ts'
import { answers, startApp } from '../helpers/app.ts'
import { runSidecar, spawnSidecar, until, writeConfig } from '../helpers/sidecar.ts'
import { issuerEntry } from '../helpers/stage.ts'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { readOptions } from '../../src/sidecar/options.ts'
import t, { type Test } from 'tap'

t.setTimeout(120_000)

const NO_KEYS = { issuers: [{ name: 'corp', issuer: 'https://auth.internal', audiences: ['a'], keys: { inline: { keys: ['x'] } } }] }
const ANYONE = [{ match: { path: '/**' }, allow: 'anonymous' }]

async function setting(t: Test, config: Record<string, unknown> = {}) {
  const issuer = await startIssuer()
  const app = await startApp()
  const file = writeConfig({ issuers: [issuerEntry(issuer)], ...config }, app.address)
  t.teardown(async () => { await issuer.stop(); await app.close(); file.remove() })
  const start = async () => {
    const sidecar = await spawnSidecar(file.path)
    t.teardown(() => sidecar.kill())
    return sidecar
  }
  return { issuer, app, file, start }
}

t.test('starts, says ready, judges, drains on SIGTERM and exits 0', async (t) => {
  const { issuer, app, start } = await setting(t)
  const sidecar = await start()
  t.match(sidecar.lines.find(({ msg }) => msg === 'ready'), { level: 'info', listeners: [{ bind: /^127\.0\.0\.1:\d+$/ }], health: { bind: /:\d+$/ }, admin: { bind: /:\d+$/ } })
  t.equal((await fetch(sidecar.url)).status, 401)
  t.equal((await fetch(sidecar.url, { headers: { authorization: `Bearer ${await issuer.sign({ sub: 'bob' })}` } })).status, 200)
  t.same(app.requests[0]!.values('x-user-id'), ['bob'])
  sidecar.process.kill('SIGTERM')
  t.equal(await sidecar.ended(), 0)
  t.match(sidecar.lines.slice(-2), [{ msg: 'draining', signal: 'SIGTERM' }, { msg: 'stopped' }])
  t.equal(sidecar.errors(), '', 'nothing on stderr')
})

t.test('SIGTERM: goes on accepting for the delay, is unready at once, finishes what is in flight', async (t) => {
  const { app, start } = await setting(t, { rules: ANYONE, shutdown: { delay: '600ms', grace: '5s' } })
  const sidecar = await start()
  app.answer(async (_, connection) => {
    await new Promise((resolve) => { setTimeout(resolve, 1200) })
    await connection.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate')
  })
  const inFlight = fetch(`${sidecar.url}/slow`)
  await app.got(1)
  sidecar.process.kill('SIGTERM')
  await until(() => sidecar.lines.some(({ msg }) => msg === 'draining'))
  t.equal((await fetch(`${sidecar.healthUrl}/readyz`)).status, 503)
  app.answer(answers.ok)
  const during = await fetch(`${sidecar.url}/during`)
  t.equal(during.status, 200, 'endpoints are withdrawn later than we are told')
  t.equal(during.headers.get('connection'), 'close')
  t.equal(await (await inFlight).text(), 'late')
  t.equal(await sidecar.ended(), 0)
})

t.test('a second signal ends it at once', async (t) => {
  const { app, start } = await setting(t, { rules: ANYONE, shutdown: { delay: '30s', grace: '30s' } })
  const sidecar = await start()
  app.answer(answers.never)
  fetch(`${sidecar.url}/slow`).catch(() => {})
  await app.got(1)
  sidecar.process.kill('SIGTERM')
  await until(() => sidecar.lines.some(({ msg }) => msg === 'draining'))
  sidecar.process.kill('SIGTERM')
  t.equal(await sidecar.ended(), 143)
})

t.test('what cannot start says why in one sentence, and does not exit 0', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const bind = `127.0.0.1:${(taken.address() as AddressInfo).port}`
  const config = (fields: Record<string, unknown>) => {
    const bad = writeConfig({ issuers: [{ name: 'corp', issuer: 'https://auth.internal', audiences: ['a'], keys: { discovery: true } }], listeners: [{ bind: '127.0.0.1:0', upstream: '127.0.0.1:1' }], ...fields })
    t.teardown(() => bad.remove())
    return bad.path
  }
  const cases: [string, string[], number, RegExp][] = [
    ['unknown argument', ['--confg', 'x'], 2, /--confg/],
    ['no such file', ['--config', '/nonexistent/sidegate.yaml'], 1, /\/nonexistent\/sidegate\.yaml.*(no such file|does not exist|not found)/i],
    ['several problems, --check', ['--check', '--config', config({ mode: 'enforced', shutdown: { delay: 'soon' } })], 1, /mode[^]*shutdown\.delay/],
    ['inline keys of which none is usable, --check', ['--check', '--config', config(NO_KEYS)], 1, /issuers\[0\]\.keys\.inline\.keys: no key of the JWKS is usable \(key 0: not an object\)/],
    ['inline keys of which none is usable', ['--config', config(NO_KEYS)], 1, /issuers\[0\]\.keys\.inline\.keys: no key of the JWKS is usable \(key 0: not an object\)/],
    ['port in use', ['--config', config({ listeners: [{ bind, upstream: '127.0.0.1:1' }] })], 1, new RegExp(`${bind}.*another process listens there`)],
  ]
  await Promise.all(cases.map(async ([name, args, code, says]) => {
    const result = await runSidecar(args)
    t.equal(result.code, code, name)
    t.match(result.stderr, says, name)
    t.notMatch(result.stderr, /\n\s+at /, `${name}: no stack trace`)
    t.notMatch(result.stdout, 'ready', name)
  }))
})

t.test('--check', async (t) => {
  const { file } = await setting(t)
  const checked = await runSidecar(['--check', '--config', file.path])
  t.equal(checked.code, 0)
  t.match(checked.stdout, `${file.path}: ok`)
})

t.test('--pod lays the pod\'s own facts over the file, at the start and at each reload', async (t) => {
  const { app, file } = await setting(t, { rules: ANYONE })
  const port = await freePort()
  const healthPort = await freePort()
  const pod = JSON.stringify({ ips: '127.0.0.1', listeners: [{ port, on: 'pod', upstream: `127.0.0.1:${app.address.port}` }], health: healthPort, mode: 'audit' })
  const sidecar = await spawnSidecar(file.path, { args: ['--pod', pod] })
  t.teardown(() => sidecar.kill())
  t.match(sidecar.lines.find(({ msg }) => msg === 'ready'), { listeners: [{ bind: `127.0.0.1:${port}` }], health: { bind: `0.0.0.0:${healthPort}` } })
  t.equal((await fetch(`http://127.0.0.1:${port}/x`)).status, 200)
  file.write({ issuers: [{ name: 'corp', issuer: 'https://auth.internal', audiences: ['a'], keys: { file: '/nonexistent' } }], rules: [{ match: { path: '/other' }, require: {} }] })
  await until(() => sidecar.lines.some(({ msg }) => msg === 'configuration in force'))
  t.equal((await fetch(`http://127.0.0.1:${port}/x`)).status, 200, 'the pod\'s mode still holds')
  t.match(await (await fetch(`http://127.0.0.1:${healthPort}/metrics`)).text(), 'verdict="audit",reason="no_rule"')
})

/** A port that was free a moment ago; the one argument here that cannot say 0. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

t.test('arguments', async (t) => {
  t.match(readOptions(['--help']), { code: 0, text: /^usage: sidecar --config FILE/ })
  t.match(readOptions([]), { code: 2, text: /--config FILE is missing/ })
  t.match(readOptions(['--config', 'x', 'y']), { code: 2, text: /y/ })
  t.match(readOptions(['--config', 'x', '--pod', '{']), { code: 2, text: /--pod is not JSON/ })
  t.same(readOptions(['--config', 'x']), { config: 'x', check: false, pod: undefined })
  t.match(readOptions(['--config', 'x', '--pod', JSON.stringify({ ips: '10.0.0.7', listeners: [{ port: 15001, on: 'any', upstream: '127.0.0.1:8080' }], health: 15020 })]), { pod: { ips: '10.0.0.7' } })
})

t.test('A10: a closed or full stdout does not end it', async (t) => {
  const { start } = await setting(t)
  const sidecar = await start()
  sidecar.process.stdout!.destroy()
  for (let i = 0; i < 20; i++) t.equal((await fetch(sidecar.url)).status, 401)
  await until(async () => Number(/^sidegate_log_dropped_total (\d+)$/m.exec(await (await fetch(`${sidecar.healthUrl}/metrics`)).text())?.[1]) >= 20)
  sidecar.process.kill('SIGTERM')
  t.equal(await sidecar.ended(), 0)
})

t.test('an uncaught error is logged, counted and survived (decision 0014)', async (t) => {
  const { file } = await setting(t)
  const bug = 'data:text/javascript,process.on("SIGUSR2", () => { setTimeout(() => { throw new Error("a bug") }); Promise.reject(new Error("another")) })'
  const sidecar = await spawnSidecar(file.path, { node: ['--import', bug] })
  t.teardown(() => sidecar.kill())
  sidecar.process.kill('SIGUSR2')
  await until(() => sidecar.lines.filter(({ level }) => level === 'error').length === 2)
  t.match(sidecar.lines.filter(({ level }) => level === 'error').map(({ error }) => String(error)).join(), /Error: a bug[^]*Error: another|Error: another[^]*Error: a bug/)
  t.equal((await fetch(sidecar.url)).status, 401)
  t.match(await (await fetch(`${sidecar.healthUrl}/metrics`)).text(), /^sidegate_uncaught_errors_total 2$/m)
  sidecar.process.kill('SIGTERM')
  t.equal(await sidecar.ended(), 0)
})
