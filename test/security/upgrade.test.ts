/** Upgrades: decided before the app hears of them, a tunnel only after its 101. Attacks S7, S8, S9, A6, A7, H16. */
import t from 'tap'
import { answers, reply, takeOver, type Answer } from '../helpers/app.ts'
import { connect, request } from '../helpers/raw.ts'
import { startScripted } from '../helpers/scripted.ts'
import { transports } from '../helpers/transports.ts'

const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })
const WEBSOCKET = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Origin: https://here.example']

// Both transports at once: most of the time is waiting.
t.jobs = 2

for (const [name, start] of transports) {
  t.test(name, async (t) => {
    const { app, proxy, script } = await startScripted(t, start)

    t.test('a WebSocket: handshake to the app, 101 back, bytes both ways, ends both ways', async (t) => {
      script(answers.upgrade('websocket', ['Sec-WebSocket-Accept: x']))
      const client = await connect(proxy.address)
      await client.send(request('GET /chat', WEBSOCKET))
      const switched = await client.next()
      t.equal(switched.status, 101)
      t.equal(switched.header('upgrade'), 'websocket')
      t.equal(switched.header('connection')?.toLowerCase(), 'upgrade')
      t.equal(switched.header('sec-websocket-accept'), 'x')
      const [got] = app.requests
      t.equal(got!.header('upgrade'), 'websocket')
      t.equal(got!.header('connection')?.toLowerCase(), 'upgrade')
      t.equal(got!.header('origin'), 'https://here.example', 'A6 the app can check the Origin')
      t.equal(got!.header('x-decided'), 'GET /chat')
      await client.send('\x81\x02hi')
      await client.until((bytes) => bytes.includes('\x81\x02hi', 0, 'latin1'))
      client.end()
      t.equal(await client.closed(), 'end')
      t.match((await proxy.finished(1))[0]!.outcome, { status: 101, failed: undefined })
    })

    t.test('A6 without a token: refused before any connection to the app', async (t) => {
      script(answers.upgrade('websocket'))
      const before = app.connections()
      const client = await connect(proxy.address)
      await client.send(request('GET /deny', WEBSOCKET))
      const denied = await client.next()
      t.equal(denied.status, 401)
      t.not(await client.closed(), 'open', 'and the connection is not kept: nobody knows what the client sends next')
      t.equal(app.connections(), before)
    })

    t.test('S7 h2c: the offer is not passed on, the request is served as HTTP/1.1', async (t) => {
      script(answers.ok)
      const client = await connect(proxy.address)
      await client.send(request('GET /', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA']))
      t.equal((await client.next()).status, 200)
      t.notMatch(app.requests[0]!.raw, /upgrade|h2c|http2/i)
      await client.send(request('GET /next'))
      t.equal((await client.next()).status, 200, 'the connection is still HTTP/1.1')
      client.destroy()
    })

    t.test('S7 an app that would switch to h2c all the same does not get through', async (t) => {
      script(answers.upgrade('h2c'))
      const client = await connect(proxy.address)
      await client.send(request('GET /', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA']))
      t.equal((await client.next()).status, 502)
      client.destroy()
    })

    for (const [title, fields] of [
      ['a protocol that is not allowed', ['Connection: Upgrade', 'Upgrade: spdy/3.1']],
      ['Upgrade that Connection does not name', ['Upgrade: websocket']],
    ] as const) {
      t.test(`S7 ${title}: passed without the offer, never a tunnel`, async (t) => {
        script(answers.ok)
        const client = await connect(proxy.address)
        await client.send(request('GET /', fields))
        const { status } = await client.next()
        t.equal(status, 200)
        t.notMatch(app.requests[0]!.raw, /upgrade/i)
        client.destroy()
      })
    }

    t.test('S7 several protocols at once: never a tunnel', async (t) => {
      for (const fields of [['Upgrade: websocket, h2c'], ['Upgrade: websocket', 'Upgrade: h2c']]) {
        script(answers.upgrade('h2c'))
        const client = await connect(proxy.address)
        await client.send(request('GET /', ['Connection: Upgrade', ...fields]))
        t.ok([400, 502].includes((await client.next()).status))
        for (const got of app.requests) t.notMatch(got.raw, /h2c/i)
        client.destroy()
      }
    })

    for (const [title, bytes] of [
      ['a Content-Length body', request('GET /chat', [...WEBSOCKET, 'Content-Length: 5'], 'hello')],
      ['a chunked body', request('GET /chat', [...WEBSOCKET, 'Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n')],
      ['a POST with a body', request('POST /chat', [...WEBSOCKET, 'Content-Length: 5'], 'hello')],
    ] as const) {
      t.test(`S8 an upgrade with ${title}: 400, nothing at the app`, async (t) => {
        script(answers.upgrade('websocket'))
        const client = await connect(proxy.address)
        await client.send(bytes + request('GET /smuggled'))
        t.equal((await client.next()).status, 400)
        t.not(await client.closed(), 'open')
        t.equal(proxy.seen.refused[0]!.reason, 'upgrade_refused')
        t.same(app.requests, [])
      })
    }

    t.test('S8 a request pipelined behind an upgrade is never taken for a request, nor for the tunnel', async (t) => {
      script(answers.upgrade('websocket'))
      const client = await connect(proxy.address)
      await client.send(request('GET /chat', WEBSOCKET) + request('GET /admin'))
      t.equal((await client.next()).status, 400)
      t.not(await client.closed(), 'open')
      t.notOk(proxy.seen.decided.some((head) => head.target === '/admin'))
      t.same(app.requests.map((got) => got.target).filter((target) => target !== '/chat'), [])
      for (let i = 0; i < app.connections(); i++) t.notMatch(app.bytes(i).toString('latin1'), /GET \/admin/)
    })

    t.test('S8 bytes before the app has switched never reach it', async (t) => {
      let go: () => void = () => {}
      script(async (got, connection) => {
        await new Promise<void>((resolve) => { go = resolve })
        await answers.upgrade('websocket')(got, connection)
      })
      const client = await connect(proxy.address)
      await client.send(request('GET /chat', WEBSOCKET))
      await app.got(1)
      await client.send(request('GET /admin'))
      await pause(30)
      go()
      const response = await client.next()
      await pause(30)
      t.notOk(proxy.seen.decided.some((head) => head.target === '/admin'))
      if (response.status !== 101) for (let i = 0; i < app.connections(); i++) t.notMatch(app.bytes(i).toString('latin1'), /GET \/admin/)
      t.ok((name === 'engine' ? [400] : [101, 400]).includes(response.status))
      client.destroy()
      await proxy.finished(1)
    })

    t.test('S8 an upgrade behind a request that is still being served: never a tunnel over its answer', async (t) => {
      script(async (got, connection) => { await got.body; await pause(30); await (got.target === '/chat' ? answers.upgrade('websocket') : answers.ok)(got, connection) })
      const client = await connect(proxy.address)
      await client.send(request('GET /first') + request('GET /chat', WEBSOCKET))
      t.equal((await client.next()).text, 'ok', 'the first answer is whole')
      t.ok((name === 'engine' ? [400] : [101, 400]).includes((await client.next()).status))
      client.destroy()
      await pause(30)
    })

    for (const status of [200, 400, 401, 426]) {
      t.test(`S9 the app answers ${status} instead: that is the answer, and what follows is no tunnel`, async (t) => {
        script(answers.raw(reply(status, [], 'no')))
        const client = await connect(proxy.address)
        await client.send(request('GET /chat', WEBSOCKET))
        const response = await client.next()
        t.equal(response.status, status)
        t.equal(response.text, 'no')
        await client.send(request('GET /admin'))
        await pause(50)
        // Either the connection is closed, or the next request is one more request, decided as such.
        const decided = proxy.seen.decided.map((head) => head.target)
        t.same(app.requests.map((got) => got.target), decided)
        for (const got of app.requests) t.equal(got.values('x-decided').length, 1)
        t.same(app.anomalies, [])
        client.destroy()
      })
    }

    t.test('S9 the app answers 200 in chunks, with a body that looks like a 101', async (t) => {
      script(answers.raw('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n22\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n0\r\n\r\n'))
      const client = await connect(proxy.address)
      await client.send(request('GET /chat', WEBSOCKET))
      const response = await client.next()
      t.equal(response.status, 200)
      t.match(response.text, /^HTTP\/1.1 101/)
      client.destroy()
    })

    t.test('a 101 that nobody asked for, or to another protocol: 502, no tunnel', async (t) => {
      for (const [fields, protocol] of [[[], 'websocket'], [WEBSOCKET, 'h2c'], [WEBSOCKET, 'websocket, h2c']] as const) {
        script(answers.upgrade(protocol))
        const client = await connect(proxy.address)
        await client.send(request('GET /chat', fields))
        t.equal((await client.next()).status, 502)
        if (await client.closed(100) === 'open') {
          await client.send(request('GET /deny'))
          t.equal((await client.next()).status, 401, 'what comes next is a request')
        }
        client.destroy()
        t.equal((await proxy.finished(1))[0]!.outcome.failed, 'upstream_malformed')
      }
    })

    t.test('H16 the 101 is cleaned: hop-by-hop fields, those that Connection names, and those that the verdict drops', async (t) => {
      script(async (_, connection) => {
        await connection.write('HTTP/1.1 101 X\r\nConnection: Upgrade, X-Hop\r\nUpgrade: websocket\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Secret: s\r\nX-Kept: k\r\n\r\n')
        takeOver(connection.socket, () => {})
      })
      const client = await connect(proxy.address)
      await client.send(request('GET /chat', WEBSOCKET))
      const switched = await client.next()
      t.equal(switched.status, 101)
      t.notMatch(switched.raw, /X-Hop|Keep-Alive|X-Secret/i)
      t.equal(switched.header('x-kept'), 'k')
      client.destroy()
    })

    t.test('bytes that the app sends together with its 101 are the tunnel\'s', async (t) => {
      script(async (_, connection) => { takeOver(connection.socket, () => {}); await connection.write('HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello') })
      const client = await connect(proxy.address)
      await client.send(request('GET /chat', WEBSOCKET))
      t.equal((await client.next()).status, 101)
      await client.until((bytes) => bytes.includes('hello'))
      client.destroy()
    })

    t.test('A7 resets at every stage: no crash, one report each, the next request passes', async (t) => {
      const stages: readonly (readonly [string, Answer, (client: Awaited<ReturnType<typeof connect>>) => Promise<void>])[] = [
        ['the app resets instead of switching', answers.resetAtOnce, async () => {}],
        ['the app resets within its 101', async (_, c) => { await c.write('HTTP/1.1 101 Switching Pro'); await pause(10); c.reset() }, async () => {}],
        ['the app resets right after its 101', async (got, c) => { await answers.upgrade('websocket')(got, c); c.reset() }, async () => {}],
        ['the client resets before the 101', answers.never, async (client) => { await app.got(1); client.reset() }],
        ['the client closes before the 101', answers.never, async (client) => { await app.got(1); client.destroy() }],
        ['the client resets in the tunnel', answers.upgrade('websocket'), async (client) => { await client.next(); await client.send('x'); client.reset() }],
      ]
      for (const [title, answer, act] of stages) {
        script(answer)
        const client = await connect(proxy.address)
        const target = `/stage/${title.replaceAll(' ', '-')}`
        await client.send(request(`GET ${target}`, WEBSOCKET))
        await act(client)
        const ended = (): number => proxy.seen.finished.filter(({ head }) => head.target === target).length
        for (let i = 0; i < 200 && ended() === 0; i++) await pause(5)
        await pause(10)
        t.equal(ended(), 1, title)
        client.destroy()
        script(answers.ok)
        const next = await connect(proxy.address)
        await next.send(request('GET /'))
        t.equal((await next.next()).status, 200, `${title}: then`)
        next.destroy()
      }
    })

    t.test('each side learns that the other has gone', async (t) => {
      let gone = false
      script(async (got, connection) => { await answers.upgrade('websocket')(got, connection); await connection.gone; gone = true })
      const client = await connect(proxy.address)
      await client.send(request('GET /chat', WEBSOCKET))
      await client.next()
      client.destroy()
      await proxy.finished(1)
      await pause(20)
      t.equal(gone, true)
      script(async (got, connection) => { await answers.upgrade('websocket')(got, connection); connection.end() })
      const other = await connect(proxy.address)
      await other.send(request('GET /chat', WEBSOCKET))
      t.equal((await other.next()).status, 101)
      t.equal(await other.closed(), 'end')
      other.destroy()
    })
  })
}
