/** A8: streams and the token's end. By choice, per rule, a stream ends when its token expires or is revoked; cleanly, and nobody else's does. */
import { answers } from '../helpers/app.ts'
import { connect, request, type RawClient } from '../helpers/raw.ts'
import { until, writeConfig } from '../helpers/sidecar.ts'
import { stage } from '../helpers/stage.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'

t.setTimeout(120_000)

t.jobs = 3

const RULES = [
  { name: 'watched', match: { path: '/watched/**' }, require: {}, closeOnExpiry: true },
  { name: 'open', match: { path: '/open' }, allow: 'optional', closeOnExpiry: true },
  { name: 'free', match: { path: '/**' }, require: {} },
]
const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds
const bearer = (token: string) => `Authorization: Bearer ${token}`

/** An app that streams events as long as anyone listens. */
const events: Parameters<Awaited<ReturnType<typeof stage>>['app']['answer']>[0] = async (_, connection) => {
  await connection.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n')
  while (!connection.socket.destroyed) {
    await connection.write('9\r\ndata: x\n\n\r\n')
    await sleep(50)
  }
}

async function listen(address: { host: string, port: number }, target: string, token?: string): Promise<RawClient> {
  const client = await connect(address)
  await client.send(request(`GET ${target}`, token === undefined ? [] : [bearer(token)]))
  await client.until((bytes) => bytes.includes('data: x'))
  return client
}

const WEBSOCKET = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']

async function upgrade(address: { host: string, port: number }, target: string, token: string): Promise<RawClient> {
  const client = await connect(address)
  await client.send(request(`GET ${target}`, [bearer(token), ...WEBSOCKET]))
  await client.until((bytes) => bytes.includes('101 Switching'))
  return client
}

const exact = { entry: { clockSkew: '0' } }

t.test('A8: an event stream ends cleanly when its token expires; others go on, and the app learns of it', async (t) => {
  const { app, address, issuer, metric } = await stage(t, { rules: RULES }, exact)
  app.answer(events)
  const expiry = inSeconds(3)
  const short = await issuer.sign({ exp: expiry })
  const long = await issuer.sign({ exp: inSeconds(600) })
  const ends = await listen(address, '/watched/a', short)
  const others = [await listen(address, '/watched/b', long), await listen(address, '/free', short), await listen(address, '/open')]
  t.equal(await ends.closed(8_000), 'end', 'it ends')
  t.ok(Date.now() >= expiry * 1000, 'not before its time')
  t.ok(ends.received().toString().endsWith('0\r\n\r\n'), 'with a last chunk, as an event stream that is over')
  t.same(others.map((client) => client.ending()), ['open', 'open', 'open'])
  await until(() => app.open() === 3)
  t.equal(metric('sidegate_exchange_failures_total{reason="token_expired"}'), 1)
  for (const client of others) client.destroy()
})

t.test('A8: a WebSocket is told why by a close frame', async (t) => {
  const { app, address, issuer } = await stage(t, { rules: RULES }, exact)
  app.answer(answers.upgrade('websocket'))
  const client = await upgrade(address, '/watched/ws', await issuer.sign({ exp: inSeconds(2) }))
  const unwatched = await upgrade(address, '/free/ws', await issuer.sign({ exp: inSeconds(2) }))
  t.not(await client.closed(8_000), 'open')
  const bytes = client.received()
  const frame = bytes.subarray(bytes.indexOf('\r\n\r\n') + 4)
  t.equal(frame[0], 0x88, 'a close frame')
  t.equal(frame.readUInt16BE(2), 1008, 'policy violation')
  t.equal(unwatched.ending(), 'open')
  unwatched.destroy()
})

t.test('A8: a long download that is cut must not look whole', async (t) => {
  const { app, address, issuer } = await stage(t, { rules: RULES }, exact)
  app.answer(async (_, connection) => {
    await connection.write('HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n')
    while (!connection.socket.destroyed) {
      await connection.write('4\r\nbyte\r\n')
      await sleep(50)
    }
  })
  const client = await connect(address)
  await client.send(request('GET /watched/file', [bearer(await issuer.sign({ exp: inSeconds(2) }))]))
  t.not(await client.closed(8_000), 'open')
  t.match(client.received().toString(), 'byte')
  t.notOk(client.received().toString().endsWith('0\r\n\r\n'), 'no last chunk')
})

t.test('A8: revocation ends a watched stream, also when the entry comes with a reload that the stream outlived', async (t) => {
  const { app, address, issuer, issuers, apply, metric } = await stage(t, { rules: RULES }, exact)
  app.answer(events)
  const [bob, eve] = [await listen(address, '/watched/x', await issuer.sign({ sub: 'bob' })), await listen(address, '/watched/x', await issuer.sign({ sub: 'eve' }))]
  t.same(await apply({ issuers, rules: RULES, denylist: { sub: ['eve'] } }), [])
  await eve.closed(5_000)
  t.equal(bob.ending(), 'open')
  t.equal(metric('sidegate_exchange_failures_total{reason="token_revoked"}'), 1)
  bob.destroy()
})

t.test('A8: a deny-list file ends a watched stream within a second of its change (and the transport\'s look)', async (t) => {
  const file = writeConfig('{"sub":[]}')
  t.teardown(() => file.remove())
  const { app, address, issuer } = await stage(t, { rules: RULES, denylist: { file: file.path } }, exact)
  app.answer(events)
  const eve = await listen(address, '/watched/x', await issuer.sign({ sub: 'eve' }))
  file.write('{"sub":["eve"]}')
  t.equal(await eve.closed(3_000), 'end')
})

t.test('A8: an issuer that is no longer configured ends its watched streams', async (t) => {
  const { app, address, issuer, issuers, apply } = await stage(t, { rules: RULES }, exact)
  app.answer(events)
  const client = await listen(address, '/watched/x', await issuer.sign())
  t.same(await apply({ issuers: [{ ...issuers[0], name: 'renamed', audiences: ['other'], issuer: 'https://auth.internal', keys: { inline: issuer.jwks } }], rules: RULES }), [])
  t.equal(await client.closed(3_000), 'end')
})
