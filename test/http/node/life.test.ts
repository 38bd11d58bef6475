/** A transport's own life: binding, reload, drain; and exchanges that outlive their token (A8). */
import net from 'node:net'
import t from 'tap'
import type { Forward } from '../../../src/http/contract.ts'
import { answers, reply, startApp, takeOver, type Answer } from '../../helpers/app.ts'
import { connect, exchange, request } from '../../helpers/raw.ts'
import { LIMITS, replyFor, standIn, startProxy, transports } from '../../helpers/transports.ts'

const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })
const WEBSOCKET = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']

// Both transports at once: most of the time is waiting.
t.jobs = 2

for (const [name, start] of transports) {
  t.test(name, async (t) => {
    const app = await startApp()
    t.teardown(() => app.close())
    const script = (answer: Answer): void => { app.clear(); app.answer(answer) }

    t.test('a port in use: an error with its code and the address, and nothing left bound', async (t) => {
      const taken = net.createServer()
      await new Promise<void>((resolve) => { taken.listen(0, '127.0.0.1', resolve) })
      const { port } = taken.address() as net.AddressInfo
      const free = net.createServer()
      await new Promise<void>((resolve) => { free.listen(0, '127.0.0.1', resolve) })
      const { port: other } = free.address() as net.AddressInfo
      await new Promise((resolve) => { free.close(resolve) })
      const handler = { decide: standIn, refuse: replyFor, finished: () => {}, lapsed: () => undefined }
      const listeners = [{ bind: { host: '127.0.0.1', port: other }, upstream: app.address }, { bind: { host: '127.0.0.1', port }, upstream: app.address }]
      await t.rejects(start(listeners, handler, LIMITS), { code: 'EADDRINUSE', message: new RegExp(`127\\.0\\.0\\.1:${port}`) })
      await t.rejects(connect({ host: '127.0.0.1', port: other }), { code: 'ECONNREFUSED' })
      taken.close()
    })

    t.test('several listeners, each before its own app', async (t) => {
      const second = await startApp(answers.raw(reply(200, [], 'second')))
      script(answers.raw(reply(200, [], 'first')))
      const handler = { decide: standIn, refuse: replyFor, finished: () => {}, lapsed: () => undefined }
      const bind = { host: '127.0.0.1', port: 0 }
      const transport = await start([{ bind, upstream: app.address }, { bind, upstream: second.address }], handler, LIMITS)
      t.equal((await exchange(transport.bound[0]!, request('GET /'))).text, 'first')
      t.equal((await exchange(transport.bound[1]!, request('GET /'))).text, 'second')
      await transport.close(0, 0)
      await second.close()
    })

    t.test('use(): the next request on the same connection is decided by the new handler; what is in flight reports to the old', async (t) => {
      let go: () => void = () => {}
      script(async (got, connection) => { await got.body; await new Promise<void>((resolve) => { go = resolve }); await connection.write(reply(200, [], 'old')) })
      const proxy = await startProxy(start, app.address)
      const client = await connect(proxy.address)
      await client.send(request('GET /1'))
      await app.got(1)
      const finished: string[] = []
      proxy.transport.use({ decide: () => replyFor('no_rule'), refuse: replyFor, finished: (head) => { finished.push(head.target) }, lapsed: () => undefined }, LIMITS)
      go()
      t.equal((await client.next()).text, 'old')
      await client.send(request('GET /2'))
      t.equal((await client.next()).status, 403)
      await proxy.finished(1)
      await pause(10)
      t.same(finished, ['/2'])
      client.destroy()
      await proxy.close()
    })

    t.test('drain: goes on accepting with Connection: close, then stops, finishes what is in flight, closes', async (t) => {
      let go: () => void = () => {}
      script(async (got, connection) => { if (got.target === '/slow') await new Promise<void>((resolve) => { go = resolve }); await connection.write(reply(200, [], got.target)) })
      const proxy = await startProxy(start, app.address)
      const idle = await connect(proxy.address)
      await idle.send(request('GET /a'))
      t.equal((await idle.next()).header('connection') === 'close', false)
      const slow = await connect(proxy.address)
      await slow.send(request('GET /slow'))
      await app.got(2)
      let closed = false
      const closing = proxy.transport.close(150, 5000).then(() => { closed = true })
      const late = await connect(proxy.address)
      await late.send(request('GET /late'))
      t.equal((await late.next()).header('connection'), 'close', 'still accepted, told to go')
      t.not(await late.closed(), 'open')
      await pause(250)
      await t.rejects(connect(proxy.address), { code: 'ECONNREFUSED' })
      t.not(await idle.closed(), 'open', 'idle connections are closed')
      t.equal(closed, false, 'what is in flight is waited for')
      go()
      const response = await slow.next()
      t.equal(response.text, '/slow')
      t.equal(response.header('connection'), 'close')
      await closing
      t.equal(closed, true)
    })

    t.test('drain: what is still there after the grace is cut, and reported', async (t) => {
      script(answers.never)
      const proxy = await startProxy(start, app.address)
      const client = await connect(proxy.address)
      await client.send(request('GET /'))
      await app.got(1)
      await proxy.transport.close(0, 100)
      t.not(await client.closed(), 'open')
      t.equal((await proxy.finished(1)).length, 1)
    })

    t.test('drain: a tunnel is waited for, then cut', async (t) => {
      script(answers.upgrade('websocket'))
      const proxy = await startProxy(start, app.address)
      const client = await connect(proxy.address)
      await client.send(request('GET /', WEBSOCKET))
      t.equal((await client.next()).status, 101)
      const closing = proxy.transport.close(0, 150)
      await client.send('still')
      await client.until((bytes) => bytes.includes('still'))
      await closing
      t.not(await client.closed(), 'open')
      t.equal((await proxy.finished(1))[0]!.outcome.status, 101)
    })

    t.test('drain: within a request\'s head, body, and before the verdict', async (t) => {
      script(answers.ok)
      let decided: () => void = () => {}
      const proxy = await startProxy(start, app.address, { decide: (head) => head.target === '/undecided' ? new Promise<Forward>((resolve) => { decided = () => { resolve(standIn(head) as Forward) } }) : standIn(head) })
      const [head, body, undecided] = await Promise.all([1, 2, 3].map(() => connect(proxy.address)))
      await head!.send('GET /head HTTP/1.1\r\nHost: ap')
      await body!.send(request('POST /body', ['Content-Length: 4'], 'ab'))
      await undecided!.send(request('GET /undecided'))
      await app.got(1)
      const closing = proxy.transport.close(0, 5000)
      await pause(50)
      await head!.send('p\r\n\r\n')
      await body!.send('cd')
      decided()
      for (const client of [head!, body!, undecided!]) {
        const response = await client.next()
        t.equal(response.status, 200)
        t.equal(response.header('connection'), 'close')
      }
      await closing
    })

    t.test('a client that leaves before an asynchronous verdict: nothing is forwarded, one report', async (t) => {
      script(answers.ok)
      let decided: () => void = () => {}
      const proxy = await startProxy(start, app.address, { decide: (head) => new Promise<Forward>((resolve) => { decided = () => { resolve(standIn(head) as Forward) } }) })
      const client = await connect(proxy.address)
      await client.send(request('GET /'))
      await pause(20)
      client.destroy()
      await pause(20)
      decided()
      t.match((await proxy.finished(1))[0]!.outcome, { status: 0, failed: 'client_aborted' })
      await pause(20)
      t.equal(app.requests.length, 0)
      await proxy.close()
    })

    const watched = (until: () => boolean): Parameters<typeof startProxy>[2] => ({
      decide: (head) => ({ ...standIn(head) as Forward, watched: true }), lapsed: () => until() ? 'token_expired' : undefined,
    })

    t.test('A8 an event stream ends cleanly when the token lapses', async (t) => {
      let lapsed = false
      let gone = false
      script(async (_, connection) => { await connection.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n'); await connection.gone; gone = true })
      const proxy = await startProxy(start, app.address, watched(() => lapsed))
      const client = await connect(proxy.address)
      await client.send(request('GET /events'))
      await client.until((bytes) => bytes.includes('data: 1'))
      await pause(1200)
      t.equal(client.ending(), 'open', 'as long as the token is good')
      lapsed = true
      t.equal((await client.next()).text, 'data: 1\n\n', 'a last chunk')
      t.not(await client.closed(), 'open')
      t.match((await proxy.finished(1))[0]!.outcome, { status: 200, failed: 'token_expired' })
      await pause(30)
      t.equal(gone, true, 'the app learns of it')
      await proxy.close()
    })

    t.test('A8 a download is cut when the token lapses, and does not look whole', async (t) => {
      for (const framing of ['Content-Length: 1000', 'Transfer-Encoding: chunked', 'Connection: close']) {
        script(async (_, connection) => { await connection.write(`HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\n${framing}\r\n\r\n5\r\nbegun\r\n`); await connection.gone })
        const proxy = await startProxy(start, app.address, watched(() => true))
        const client = await connect(proxy.address)
        await client.send(request('GET /zip'))
        await t.rejects(client.next(), framing)
        t.not(client.ending(), 'open')
        t.equal((await proxy.finished(1))[0]!.outcome.failed, 'token_expired')
        client.destroy()
        await proxy.close()
      }
    })

    t.test('A8 a WebSocket gets a close frame with 1008 between two frames when the token lapses', async (t) => {
      let lapsed = false
      let socket: net.Socket | undefined
      script(async (_, connection) => {
        socket = connection.socket
        takeOver(socket, () => {})
        await connection.write('HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
        // A frame of 300 bytes, of which 10 have come.
        socket.write(Buffer.concat([Buffer.from([0x82, 126, 1, 44]), Buffer.alloc(10, 'x')]))
      })
      const proxy = await startProxy(start, app.address, watched(() => lapsed))
      const client = await connect(proxy.address)
      await client.send(request('GET /chat', WEBSOCKET))
      t.equal((await client.next()).status, 101)
      await client.until((bytes) => bytes.toString('latin1').endsWith('xxxxxxxxxx'))
      lapsed = true
      await pause(1300)
      socket!.write(Buffer.concat([Buffer.alloc(290, 'y'), Buffer.from([0x82, 1]), Buffer.from('z')]))
      await client.closed()
      const frames = client.rest()
      t.equal(frames.length, 4 + 300 + 4)
      t.same(frames.subarray(304), Buffer.from([0x88, 2, 0x03, 0xf0]), 'right behind the frame, nothing of the next')
      t.match((await proxy.finished(1))[0]!.outcome, { status: 101, failed: 'token_expired' })
      client.destroy()
      await proxy.close()
    })

    t.test('A8 a WebSocket at rest gets its close frame at once', async (t) => {
      let lapsed = false
      script(answers.upgrade('websocket'))
      const proxy = await startProxy(start, app.address, watched(() => lapsed))
      const client = await connect(proxy.address)
      await client.send(request('GET /chat', WEBSOCKET))
      t.equal((await client.next()).status, 101)
      await client.send('\x81\x02hi')
      await client.until((bytes) => bytes.includes('hi'))
      lapsed = true
      t.not(await client.closed(), 'open')
      t.same(client.rest(), Buffer.from('\x81\x02hi\x88\x02\x03\xf0', 'latin1'))
      client.destroy()
      await proxy.close()
    })
  })
}
