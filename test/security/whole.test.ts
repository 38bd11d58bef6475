/**
 * The framing cases and the http-desync corpus through the whole sidecar, with a real token on the first request and none on what hides behind it: what
 * reaches the app carries the identity of a verified token, exactly once, or the path is public. Over every transport.
 */
import t, { type Test } from 'tap'
import { answers, chunked } from '../helpers/app.ts'
import { hasCorpus, loadCases } from '../helpers/desync.ts'
import { connect, exchange, request } from '../helpers/raw.ts'
import { stage, type Stage } from '../helpers/stage.ts'
import { transports } from '../helpers/transports.ts'
import { BAD_BODIES, post, REFUSED } from './framing-cases.ts'

const RULES = [{ match: { path: '/public/**' }, allow: 'anonymous' }, { match: { path: '/**' }, require: {} }]
const WEBSOCKET = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Origin: https://elsewhere.example']

/** Puts the token's header right behind the request line, whatever that is. */
function withToken(bytes: string, token: string): string {
  const end = /\r?\n/.exec(bytes)
  return end === null ? bytes : `${bytes.slice(0, end.index)}${end[0]}Authorization: Bearer ${token}${end[0]}${bytes.slice(end.index + end[0].length)}`
}

// Both transports at once: most of the time is waiting.
t.jobs = 2

for (const [name, start] of transports) {
  t.test(name, async (t) => {
    const all = await stage(t, { rules: RULES, limits: { idleTimeout: '2s', headerTimeout: '2s' } }, { transport: start })
    const { app, address } = all
    app.answer(answers.ok)
    const token = await all.issuer.sign({ sub: 'bob' })
    const bearer = `Authorization: Bearer ${token}`

    /** Every request at the app so far was bob's, or public. */
    const onlyBob = (t: Test): void => {
      for (const got of app.requests) {
        const users = got.values('x-user-id')
        if (users.length !== (got.target.startsWith('/public') ? 0 : 1) || (users[0] ?? 'bob') !== 'bob') t.fail(`at the app: ${got.raw}`)
      }
      t.same(app.requests.filter((got) => /smuggled|behind/.test(got.target)), [], 'nothing that hid behind it')
      t.same(app.anomalies, [])
    }
    /** Sends the bytes and a request without a token behind them; gives the first status. */
    const replay = async (bytes: string | Buffer, method = 'GET'): Promise<number> => {
      app.clear()
      const client = await connect(address)
      await client.send(bytes, request('GET /smuggled', ['X-User-Id: bob']))
      const { status } = await client.next(method)
      if (status === 200) await client.next(method === 'HEAD' ? 'GET' : method, 1000).catch(() => {})
      client.destroy()
      return status
    }

    t.test('framing cases', async (t) => {
      for (const { id, bytes, status = 400, also = status } of REFUSED) {
        t.ok([status, also].includes(await replay(withToken(bytes, token))), id)
        onlyBob(t)
        t.equal(app.requests.length, 0, `${id}: nothing at the app`)
      }
      for (const [id, body] of BAD_BODIES) {
        t.equal(await replay(post([bearer, 'Transfer-Encoding: chunked'], body)), 400, id)
        onlyBob(t)
      }
    })

    t.test('http-desync corpus', { skip: hasCorpus ? false : 'the corpus is not on this machine' }, async (t) => {
      const passed = { yes: 0, no: 0 }
      for (const { title, bytes, tier, method } of loadCases()) {
        const status = await replay(Buffer.from(withToken(bytes.toString('latin1'), token), 'latin1'), method)
        passed[status === 200 ? 'yes' : 'no']++
        t.ok(tier !== 'Severe' || status !== 200, `${title}: ${status}`)
        t.equal(app.requests.length, status === 200 ? 1 : 0)
        onlyBob(t)
      }
      t.comment(`${passed.yes} passed with the token's identity, ${passed.no} refused`)
      t.ok(passed.yes > 15)
    })

    t.test('H7 Connection cannot take our header away, H8 nor what frames or routes the message', async (t) => {
      for (const value of ['X-User-Id', 'close, X-User-Id', 'x-user-id, keep-alive', 'X_User_Id']) {
        app.clear()
        const response = await exchange(address, request('GET /', [bearer, `Connection: ${value}`, 'X-User-Id: admin']))
        t.equal(response.status, 200)
        t.same(app.requests[0]!.values('x-user-id'), ['bob'], value)
      }
      for (const value of ['Content-Length', 'Transfer-Encoding', 'Host', 'close, host']) {
        app.clear()
        t.equal((await exchange(address, request('POST /', [bearer, `Connection: ${value}`, 'Content-Length: 2'], 'ab'))).status, 400, value)
        t.equal(app.requests.length, 0)
      }
      app.clear()
      t.equal((await exchange(address, request('GET /', [bearer, 'Connection: Authorization']))).status, 200, 'the token is read before')
      t.same(app.requests[0]!.values('x-user-id'), ['bob'])
    })

    t.test('H9 an identity header in a trailer, in any spelling, stays out', async (t) => {
      app.clear()
      const response = await exchange(address, request('POST /', [bearer, 'Transfer-Encoding: chunked', 'Trailer: X-User-Id'], chunked(['hello'], ['X-User-Id: admin', 'X_User_Id: admin', 'x.user.id: admin'])))
      t.equal(response.status, 200)
      t.notMatch((await app.requests[0]!.body).trailers.join(), /admin/)
      onlyBob(t)
    })

    t.test('H10 headers named like an object\'s innards', async (t) => {
      for (const header of ['__proto__: x', 'constructor: x', 'toString: x', 'hasOwnProperty: x', '__proto__: x\r\n__proto__: y']) {
        app.clear()
        t.equal((await exchange(address, request('GET /', [bearer, header]))).status, 200, header)
        t.match(app.requests[0]!.raw, new RegExp(header.split('\r')[0]!))
        onlyBob(t)
      }
    })

    t.test('pipelined: each with its own verdict, none inherits a token', async (t) => {
      app.clear()
      const client = await connect(address)
      await client.send(request('GET /1', [bearer]) + request('GET /smuggled') + request('GET /public/2') + request('POST /smuggled', ['Content-Length: 2'], 'ab') + request('GET /3', [bearer]))
      const statuses = []
      for (let i = 0; i < 5; i++) statuses.push((await client.next()).status)
      t.same(statuses, [200, 401, 200, 401, 200])
      t.same(app.requests.map((got) => got.target), ['/1', '/public/2', '/3'])
      onlyBob(t)
      client.destroy()
    })

    t.test('S11 without a token: 401, and the body is never asked for', async (t) => {
      app.clear()
      const client = await connect(address)
      await client.send(request('POST /', ['Content-Length: 5', 'Expect: 100-continue']))
      t.equal((await client.next('POST')).status, 401)
      t.equal(app.requests.length, 0)
      client.destroy()
    })

    t.test('A6 a WebSocket without a token, on a path it may not, or through a trick of the path: refused before any connection to the app', async (t) => {
      const before = app.connections()
      for (const [target, fields] of [['/chat', []], ['/chat', ['X-User-Id: bob']], ['/public/../chat', []], ['/public/%2e%2e/chat', []], ['/chat', ['Authorization: Bearer nonsense']]] as const) {
        const client = await connect(address)
        await client.send(request(`GET ${target}`, [...WEBSOCKET, ...fields]))
        t.ok([400, 401].includes((await client.next()).status), target)
        t.not(await client.closed(), 'open')
      }
      t.equal(app.connections(), before)
    })

    t.test('A6 with a token: identity and Origin reach the app', async (t) => {
      app.clear()
      app.answer(answers.upgrade('websocket'))
      const client = await connect(address)
      await client.send(request('GET /chat', [...WEBSOCKET, bearer, 'X-User-Id: admin']))
      t.equal((await client.next()).status, 101)
      t.equal(app.requests[0]!.header('origin'), 'https://elsewhere.example')
      onlyBob(t)
      client.destroy()
      app.answer(answers.ok)
    })

    t.test('S7 h2c with a token: served as HTTP/1.1, without the offer', async (t) => {
      app.clear()
      t.equal((await exchange(address, request('GET /', [bearer, 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQ']))).status, 200)
      t.notMatch(app.requests[0]!.raw, /h2c|http2|upgrade/i)
      onlyBob(t)
    })

    t.test('what was refused is counted with a reason that an operator can read', (t) => {
      const refused = (reason: string): number => all.metric(`sidegate_requests_total{reason="${reason}"}`) + countReason(all, reason)
      for (const reason of ['malformed_request', 'ambiguous_framing', 'version_refused', 'token_missing', 'protected_connection']) t.ok(refused(reason) > 0, reason)
      t.end()
    })
  })
}

/** Log lines with this reason. */
function countReason(all: Stage, reason: string): number {
  return all.lines.filter((line) => line['reason'] === reason).length
}
