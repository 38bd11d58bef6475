/** The whole sidecar over real sockets: issuer, sidecar, app. */
import { startIssuer } from '../../src/demo/issuer.ts'
import { startApp } from '../helpers/app.ts'
import { metricOf, startSidecar, until } from '../helpers/sidecar.ts'
import { issuerEntry, stage } from '../helpers/stage.ts'
import { connect, request } from '../helpers/raw.ts'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'

t.setTimeout(120_000)

t.test('401 without a token, 200 with one, and the app learns who it is', async (t) => {
  const { ask, app, issuer } = await stage(t)
  const denied = await ask('GET /x')
  t.match(denied, { status: 401 })
  t.equal(denied.header('WWW-Authenticate'), 'Bearer')
  t.equal(app.requests.length, 0)
  const token = await issuer.sign({ sub: 'bob' })
  t.equal((await ask('GET /x?q=%31', token, ['X-User-Id: admin', 'x_user_id: admin'])).status, 200)
  const [seen] = app.requests
  t.equal(seen!.target, '/x?q=%31')
  t.same(seen!.values('X-User-Id'), ['bob'])
  t.notMatch(seen!.raw, /x_user_id|admin|Authorization/i)
})

t.test('what is decided is counted and logged; what passes is not logged by default', async (t) => {
  const { ask, issuer, lines, metrics } = await stage(t)
  await ask('GET /secret?access_token=abc')
  await ask('GET /x', await issuer.sign())
  const page = metrics.render()
  t.equal(metricOf(page, 'sidegate_decisions_total{verdict="deny",reason="token_missing",rule="default"}'), 1)
  t.equal(metricOf(page, 'sidegate_decisions_total{verdict="allow",reason="allowed",rule="default"}'), 1)
  t.equal(metricOf(page, 'sidegate_added_seconds_count'), 1)
  t.equal(metricOf(page, 'sidegate_keys_ready{issuer="corp"}'), 1)
  t.equal(metricOf(page, 'sidegate_keys_fetches_total{issuer="corp",result="ok"}'), 1)
  t.equal(metricOf(page, 'sidegate_token_cache_entries'), 1)
  await until(() => lines.some(({ msg }) => msg === 'request'))
  t.match(lines.filter(({ msg }) => msg === 'request'), [{ level: 'warn', verdict: 'deny', reason: 'token_missing', rule: 'default', method: 'GET', path: '/secret', status: 401, peer: '127.0.0.1' }])
  await until(() => metricOf(metrics.render(), 'sidegate_in_flight') === 0)
})

t.test('an app that is down is 502 with a reason, and the sidecar goes on', async (t) => {
  const issuer = await startIssuer()
  const app = await startApp()
  const sidecar = await startSidecar({ issuers: [issuerEntry(issuer)], rules: [{ match: { path: '/**' }, allow: 'anonymous' }] }, { app: app.address })
  t.teardown(async () => { await sidecar.close(); await issuer.stop() })
  await app.close()
  t.equal((await fetch(`${sidecar.url}/x`)).status, 502)
  t.equal(sidecar.metric('sidegate_exchange_failures_total{reason="upstream_unreachable"}'), 1)
  await until(() => sidecar.lines.some(({ reason }) => reason === 'upstream_unreachable'))
  t.match(sidecar.lines.find(({ msg }) => msg === 'request'), { level: 'warn', verdict: 'allow', reason: 'upstream_unreachable', decided: 'anonymous', status: 502 })
})

t.test('readiness waits for keys; start-up and liveness do not; afterwards an issuer may fail', async (t) => {
  const issuer = await startIssuer()
  const { port } = issuer
  await issuer.stop()
  const app = await startApp()
  const sidecar = await startSidecar({ issuers: [issuerEntry(issuer)] }, { app: app.address, wait: false })
  t.teardown(async () => { await sidecar.close(); await app.close(); await issuer.stop() })
  const status = async (path: string) => (await fetch(sidecar.healthUrl + path)).status
  t.same([await status('/livez'), await status('/startupz'), await status('/readyz')], [200, 200, 503])
  t.match(await (await fetch(`${sidecar.healthUrl}/readyz`)).text(), 'issuer corp has no keys')
  const token = await issuer.sign()
  const early = await fetch(sidecar.url, { headers: { authorization: `Bearer ${token}` } })
  t.equal(early.status, 401)
  await early.text()
  await issuer.start()
  t.equal(issuer.port, port)
  await until(async () => await status('/readyz') === 200, 10_000)
  t.equal((await fetch(sidecar.url, { headers: { authorization: `Bearer ${token}` } })).status, 200)
  await issuer.stop()
  t.equal(await status('/readyz'), 200)
  t.equal((await fetch(sidecar.url, { headers: { authorization: `Bearer ${token}` } })).status, 200, 'the last good keys go on')
})

t.test('readiness: any and none', async (t) => {
  const [good, bad] = [await startIssuer(), await startIssuer()]
  await bad.stop()
  const app = await startApp()
  t.teardown(async () => { await good.stop(); await app.close() })
  const issuers = [issuerEntry(good, 'good'), issuerEntry(bad, 'bad')]
  for (const [readiness, ready] of [['all', false], ['any', true]] as const) {
    const sidecar = await startSidecar({ issuers, readiness }, { app: app.address, wait: false })
    await until(() => sidecar.metric('sidegate_keys_ready{issuer="good"}') === 1 && sidecar.metric('sidegate_keys_fetches_total{issuer="bad",result="error"}') > 0)
    t.equal(sidecar.sidecar.unready().length === 0, ready, readiness)
    await sidecar.close()
  }
  const none = await startSidecar({ issuers: [issuerEntry(bad, 'bad')], readiness: 'none' }, { app: app.address, wait: false })
  t.same(none.sidecar.unready(), [])
  await none.close()
})

t.test('the admin service shows what is in force', async (t) => {
  const { adminUrl, apply, issuers } = await stage(t)
  t.match(await (await fetch(`${adminUrl}/config`)).json(), { mode: 'enforce', issuers: [{ name: 'corp' }] })
  t.match(await (await fetch(`${adminUrl}/keys`)).json(), { corp: { keys: 1, usable: true } })
  await apply({ issuers, mode: 'audit' })
  t.match(await (await fetch(`${adminUrl}/config`)).json(), { mode: 'audit' })
})

t.test('an address that is taken: one sentence, and nothing is left running', async (t) => {
  const first = await stage(t)
  const taken = `127.0.0.1:${first.address.port}`
  await t.rejects(startSidecar({ issuers: first.issuers, listeners: [{ bind: taken, upstream: '127.0.0.1:1' }] }), { message: new RegExp(`^listeners: cannot listen on ${taken}: another process listens there; stop it or choose another port`) })
  await t.rejects(startSidecar({ issuers: first.issuers, admin: { bind: taken } }, { app: first.app.address }), { message: `admin.bind: cannot listen on ${taken}: another process listens there; stop it or choose another port (port 0 takes a free one).` })
  await t.rejects(startSidecar({ issuers: first.issuers, listeners: [{ bind: '192.0.2.1:0', upstream: '127.0.0.1:1' }] }), /this machine has no such address/)
})

t.test('two listeners, each with its own upstream', async (t) => {
  const issuer = await startIssuer()
  const apps = [await startApp(), await startApp()]
  const listeners = apps.map(({ address }) => ({ bind: '127.0.0.1:0', upstream: `127.0.0.1:${address.port}` }))
  const sidecar = await startSidecar({ issuers: [issuerEntry(issuer)], listeners, rules: [{ match: {}, allow: 'anonymous' }] })
  t.teardown(async () => { await sidecar.close(); await issuer.stop(); for (const app of apps) await app.close() })
  for (const [i, { port }] of sidecar.sidecar.listeners.entries()) await (await fetch(`http://127.0.0.1:${port}/${i}`)).text()
  t.same(apps.map(({ requests }) => requests.map(({ target }) => target)), [['/0'], ['/1']])
})

t.test('the health service probes the app and reports', async (t) => {
  const app = await startApp()
  const issuer = await startIssuer()
  const sidecar = await startSidecar({ issuers: [issuerEntry(issuer)], probes: { 'app/readiness': { type: 'http', address: `127.0.0.1:${app.address.port}`, path: '/ok' } } }, { app: app.address })
  t.teardown(async () => { await sidecar.close(); await issuer.stop() })
  t.equal((await fetch(`${sidecar.healthUrl}/probe/app/readiness`)).status, 200)
  t.match(app.requests[0], { method: 'GET', target: '/ok' })
  await app.close()
  t.equal((await fetch(`${sidecar.healthUrl}/probe/app/readiness`)).status, 503)
})

t.test('the drain at every stage of a request: what was begun is finished, whole', async (t) => {
  const message = request('POST /x', ['Content-Length: 5'], 'hello')
  await Promise.all([0, 10, message.length - 5, message.length - 2, message.length].map(async (at) => {
    const { app, address, sidecar } = await stage(t, { rules: [{ match: { path: '/**' }, allow: 'anonymous' }] })
    const client = await connect(address)
    await client.send(message.slice(0, at))
    await sleep(20)
    const closed = sidecar.close(400, 2_000)
    t.same(sidecar.unready(), ['draining'])
    await sleep(20)
    await client.send(message.slice(at))
    const response = await client.next('POST')
    t.match(response, { status: 200, text: 'hello' }, `${at} of ${message.length} bytes sent before the signal`)
    if (at < message.length) t.equal(response.header('Connection'), 'close')
    t.same(app.anomalies, [])
    await closed
    client.destroy()
  }))
})

t.test('A11: an app beyond loopback makes the sidecar unready where that is asked for', async (t) => {
  const issuer = await startIssuer()
  const app = createServer((socket) => { socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n') }).listen(0, '0.0.0.0')
  await once(app, 'listening')
  const upstream = { host: '127.0.0.1', port: (app.address() as AddressInfo).port }
  for (const unready of [true, false]) {
    const sidecar = await startSidecar({ issuers: [issuerEntry(issuer)], exposure: { check: true, unready } }, { app: upstream, wait: false })
    await until(() => sidecar.metric('sidegate_exposed_ports') === 1, 8_000)
    await until(() => sidecar.metric('sidegate_keys_ready{issuer="corp"}') === 1)
    t.same(sidecar.sidecar.unready(), unready ? [`the app listens beyond loopback on 0.0.0.0:${upstream.port}`] : [])
    t.match(sidecar.lines.filter(({ level }) => level === 'warn').map(({ msg }) => msg), [/the app listens beyond loopback/])
    await sidecar.close()
  }
  await issuer.stop()
  app.close()
})
