/**
 * Reload under load: configuration, key file, deny-list and CA change a hundred times while requests run. No request fails, none is judged by half of
 * one configuration and half of the next, a bad file changes nothing.
 */
import { mintKey, startIssuer } from '../../src/demo/issuer.ts'
import { reloadOnChange } from '../../src/sidecar/reload.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { startApp, reply } from '../helpers/app.ts'
import { startLoad } from '../helpers/load.ts'
import { parsed, startSidecar, until, writeConfig } from '../helpers/sidecar.ts'
import { issuerEntry, stage } from '../helpers/stage.ts'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'

t.setTimeout(120_000)

/** A directory as Kubernetes mounts a ConfigMap: files are links into `..data`, which is a link that is swapped. */
function mount(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), 'sidegate-mount-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  let version = 0
  return {
    path: (name: string) => join(directory, name),
    publish(files: Record<string, string>) {
      const data = `..${++version}`
      mkdirSync(join(directory, data))
      for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, data, name), text)
      symlinkSync(data, join(directory, '..data_tmp'))
      renameSync(join(directory, '..data_tmp'), join(directory, '..data'))
      for (const name of Object.keys(files)) if (version === 1) symlinkSync(join('..data', name), join(directory, name))
      if (version > 1) rmSync(join(directory, `..${version - 1}`), { recursive: true })
    },
  }
}

t.test('a hundred reloads under load: nothing fails, nobody is judged by half of each', async (t) => {
  const { issuer, issuers, app, address, apply, metric } = await stage(t)
  app.answer(async (request, connection) => {
    await request.body
    await connection.write(reply(200, [], JSON.stringify({ target: request.target, a: request.values('X-A'), b: request.values('X-B') })))
  })
  // Configuration A: /a is open to role a, and the identity header is X-A. B: the same with b. A mixture would be a 200 on /a with X-B, or the reverse.
  const config = (letter: 'a' | 'b') => ({
    issuers,
    identity: { headers: { [`X-${letter.toUpperCase()}`]: { claim: 'sub' } } },
    rules: [{ name: letter, match: { path: `/${letter}` }, require: { roles: [letter] } }, { name: 'both', match: { path: '/both' }, require: {} }],
  })
  t.same(await apply(config('a')), [])
  const token = await issuer.sign({ sub: 'bob', roles: ['a', 'b'] })
  const lines = ['GET /a', 'GET /b', 'GET /both']
  const forged = ['X-A: admin', 'X-B: admin']
  const load = startLoad(address, (n) => ({ line: lines[n % 3]!, fields: [`Authorization: Bearer ${token}`, ...forged] }), (n, status, body) => {
    const line = lines[n % 3]!
    if (status === 403) return line === 'GET /both' ? 'wrong: /both denied' : 'denied'
    if (status !== 200) return `wrong: ${status}`
    const { a, b } = JSON.parse(body) as { a: string[], b: string[] }
    // Each configuration strips only its own header: what it does not know is the client's to send.
    const byA = a.length === 1 && a[0] === 'bob' && b[0] === 'admin'
    const byB = b.length === 1 && b[0] === 'bob' && a[0] === 'admin'
    if (!byA && !byB) return `wrong: ${body}`
    if ((line === 'GET /a' && !byA) || (line === 'GET /b' && !byB)) return `wrong: ${line} by the other configuration`
    return 'allowed'
  })
  for (let i = 0; i < 100; i++) {
    t.same(await apply(config(i % 2 === 0 ? 'b' : 'a')), [])
    await sleep(5)
  }
  await load.stop()
  t.same(Object.keys(load.counts).sort(), ['allowed', 'denied'])
  t.ok(load.counts['allowed']! > 100, JSON.stringify(load.counts))
  t.equal(metric('sidegate_keys_fetches_total{issuer="corp",result="ok"}'), 1, 'an issuer that did not change keeps its keys')
  t.ok(metric('sidegate_token_cache_hits_total') > 100, 'and its verified tokens')
})

t.test('key file, deny-list and configuration swapped under load by ..data: in force within a second, no good request lost', async (t) => {
  const issuer = await startIssuer()
  const app = await startApp()
  const files = mount(t)
  const [first, second] = [issuer.keys[0]!, await mintKey('ES256')]
  const config = (note: string) => JSON.stringify({
    issuers: [{ name: 'corp', issuer: issuer.url, audiences: ['internal-services'], keys: { file: files.path('jwks.json') } }],
    denylist: { file: files.path('deny.json') },
    listeners: [{ bind: '127.0.0.1:0', upstream: `127.0.0.1:${app.address.port}` }], admin: false, health: false,
    rules: [{ name: note, match: { path: '/**' }, require: {} }],
  })
  const publish = (i: number, denied: string[]) => files.publish({
    'config.json': config(`v${i}`),
    'jwks.json': JSON.stringify({ keys: i % 2 === 0 ? [first.jwk, second.jwk] : [second.jwk, first.jwk] }),
    'deny.json': JSON.stringify({ sub: denied }),
  })
  publish(0, [])
  const opened = await parsed(JSON.parse(config('v0')) as Record<string, unknown>)
  const sidecar = await startSidecar(JSON.parse(config('v0')) as Record<string, unknown>)
  const log = createLog({ sink: (bytes, done) => setImmediate(done, null, bytes.length) })
  const stop = reloadOnChange({ config: files.path('config.json'), pod: undefined }, { config: opened, problems: [], warnings: [] }, sidecar.sidecar, { log, metrics: sidecar.metrics, interval: 20 })
  t.teardown(async () => { stop(); await sidecar.close(); await app.close(); await issuer.stop() })

  const good = [await issuer.signWith(first, { sub: 'good' }), await issuer.signWith(second, { sub: 'good' })]
  const revoked = await issuer.sign({ sub: 'revoked' })
  const tokens = [...good, revoked]
  const load = startLoad(sidecar.address, (n) => ({ line: 'GET /x', fields: [`Authorization: Bearer ${tokens[n % 3]}`] }), (n, status) => `${n % 3 === 2 ? 'revoked' : 'good'} ${status}`)
  await until(() => (load.counts['revoked 200'] ?? 0) > 0)
  for (let i = 1; i <= 100; i++) {
    publish(i, ['revoked', `other-${i}`])
    await sleep(30)
  }
  const applied = () => sidecar.metric('sidegate_config_reload_total{result="applied"}')
  await until(() => applied() > 0 && sidecar.metrics.render().includes('rule="v100"'))
  await sleep(1_000)
  const before = load.counts['revoked 200']
  await until(() => load.counts['revoked 401']! > 20)
  t.equal(load.counts['revoked 200'], before, 'a second after the change the revoked token passes no more')
  await load.stop()
  t.same(Object.keys(load.counts).sort(), ['good 200', 'revoked 200', 'revoked 401'])
  t.equal(sidecar.metric('sidegate_config_reload_total{result="refused"}'), 0)
})

t.test('a CA file that changes is in force at the next fetch; the keys go on meanwhile', async (t) => {
  const issuer = await startIssuer({ tls: true })
  const app = await startApp()
  const files = mount(t)
  files.publish({ 'ca.pem': issuer.ca! })
  const entry = (name: string) => ({ name, issuer: issuer.url, audiences: ['internal-services'], keys: { discovery: true, caFile: files.path('ca.pem'), cooldown: '1s' } })
  const sidecar = await startSidecar({ issuers: [entry('corp')] }, { app: app.address })
  t.teardown(async () => { await sidecar.close(); await app.close(); await issuer.stop() })
  const ask = async (token: string) => {
    const response = await fetch(sidecar.url, { headers: { authorization: `Bearer ${token}` } })
    await response.text()
    return response.status
  }
  const token = await issuer.sign()
  t.equal(await ask(token), 200)
  files.publish({ 'ca.pem': (await startIssuerCa(t)) })
  const added = await issuer.addKey()
  await sleep(1_010)
  t.equal(await ask(await issuer.sign({}, { kid: added.kid })), 401, 'an issuer with another CA is not trusted with new keys')
  t.equal(await ask(token), 200, 'the keys it gave before still hold')
  files.publish({ 'ca.pem': issuer.ca! })
  await until(async () => await ask(await issuer.sign({}, { kid: added.kid })) === 200)
})

async function startIssuerCa(t: Test): Promise<string> {
  const other = await startIssuer({ tls: true })
  t.teardown(() => other.stop())
  return other.ca!
}

t.test('a bad file is refused with all its problems, loudly, and the old goes on; readiness does not change', async (t) => {
  const issuer = await startIssuer()
  const app = await startApp()
  const file = writeConfig({ issuers: [issuerEntry(issuer)] }, app.address)
  const raw = { issuers: [issuerEntry(issuer)] }
  const sidecar = await startSidecar(raw, { app: app.address })
  const lines: Record<string, unknown>[] = []
  const log = createLog({ sink: (bytes, done) => {
    lines.push(...bytes.toString().trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>))
    setImmediate(done, null, bytes.length)
  } })
  const opened = { config: sidecar.config(), problems: [], warnings: [] } as const
  const stop = reloadOnChange({ config: file.path, pod: undefined }, opened, sidecar.sidecar, { log, metrics: sidecar.metrics, interval: 10 })
  t.teardown(async () => { stop(); await sidecar.close(); await app.close(); await issuer.stop(); file.remove() })
  const count = (result: string) => sidecar.metric(`sidegate_config_reload_total{result="${result}"}`)
  const token = await issuer.sign()
  const works = async () => {
    const response = await fetch(sidecar.url, { headers: { authorization: `Bearer ${token}` } })
    await response.text()
    return response.status === 200 && sidecar.sidecar.unready().length === 0
  }
  const bad: [string, Record<string, unknown> | string, RegExp][] = [
    ['not JSON', '{"issuers": [', /not valid JSON or YAML/],
    ['two mistakes', { ...raw, mode: 'off', rules: [{ match: { path: 'no-slash' } }] }, /mode[^]*rules\[0\]/],
    ['empty', '', /config|fields/],
    ['another bind address', { ...raw, listeners: [{ bind: '127.0.0.1:1', upstream: '127.0.0.1:2' }] }, /listeners: changed from .* needs a restart/],
    ['health switched off', { ...raw, health: false }, /health\.bind: changed from .* to off, which needs a restart/],
    ['a deny-list that is not there', { ...raw, denylist: { file: '/nonexistent/deny.json' } }, /deny-list \/nonexistent\/deny\.json cannot be read/],
  ]
  for (const [i, [name, config, says]] of bad.entries()) {
    file.write(config)
    await until(() => count('refused') === i + 1, 5_000, () => name)
    t.ok(await works(), `${name}: the old one goes on`)
    await log.flush()
    t.match(lines.at(-1), { level: 'error', msg: /configuration refused/, file: file.path }, name)
    t.match(JSON.stringify(lines.at(-1)?.['problems']), says, name)
  }
  file.write({ ...raw, mode: 'audit' })
  await until(() => count('applied') === 1)
  t.equal((await fetch(sidecar.url)).status, 200, 'and a good one is taken after all that')
  file.write({ ...raw, mode: 'audit', log: {} })
  await until(() => count('unchanged') === 1)
  file.remove()
  await until(() => count('refused') === bad.length + 1, 5_000, () => 'removed')
  t.ok(await works(), 'removed: the old one goes on')
})

t.test('what is in flight keeps its verdict over a reload', async (t) => {
  const { issuer, issuers, app, apply, ask } = await stage(t)
  app.answer(async (_, connection) => {
    await sleep(200)
    await connection.write(reply(200, [], 'slow'))
  })
  const answer = ask('GET /x', await issuer.sign())
  await app.got(1)
  t.same(await apply({ issuers, rules: [{ match: { path: '/other' }, require: {} }] }), [])
  t.match(await answer, { status: 200, text: 'slow' })
  t.equal((await ask('GET /x', await issuer.sign())).status, 403)
})

t.test('an upstream can change at a reload; an address cannot', async (t) => {
  const { apply, issuers, ask, issuer, app } = await stage(t)
  const other = await startApp()
  t.teardown(() => other.close())
  t.same(await apply({ issuers, listeners: [{ bind: '127.0.0.1:0', upstream: `127.0.0.1:${other.address.port}` }] }), [])
  await ask('GET /moved', await issuer.sign())
  t.same([app.requests.length, other.requests.length], [0, 1])
  t.match(await apply({ issuers, listeners: [{ bind: '127.0.0.1:1', upstream: '127.0.0.1:2' }] }), [/^listeners: changed/])
})
