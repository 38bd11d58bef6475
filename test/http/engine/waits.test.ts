/** What waits for something: whose deadline it is under, and what becomes of it when that is over first. */
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Verdict } from '../../../src/http/contract.ts'
import { Client } from '../../../src/http/engine/client.ts'
import { Core, type Port } from '../../../src/http/engine/core.ts'
import { startEngine } from '../../../src/http/engine/start.ts'
import { Parser, RESPONSE } from '../../../src/http/engine/llhttp.ts'
import { answers, reply, startApp, takeOver } from '../../helpers/app.ts'
import { connect, request } from '../../helpers/raw.ts'
import { LIMITS, replyFor, standIn, startProxy } from '../../helpers/transports.ts'

t.test('A14 an idle connection keeps nothing of its last head: a piece of it would keep all of it', async (t) => {
  const written: unknown[] = []
  const sockets = new Duplex({ read() {}, write(chunk, _encoding, done) { written.push(chunk); done() } })
  const core = new Core({ decide: () => replyFor('token_missing'), refuse: replyFor, finished() {}, lapsed: () => undefined }, LIMITS)
  const upstream = { host: '127.0.0.1', port: 1 }
  const port: Port = { core, listener: { bind: upstream, upstream }, pool: core.pool(upstream), clients: new Set() }
  const client = new Client(port, sockets as Socket)
  t.teardown(() => { sockets.destroy(); core.close() })
  sockets.push(request('GET /', ['Keep-Alive: abcdefghijklmnopqrstuvwxyz', 'Connection: something-that-is-long-enough', 'Upgrade: tls/something-longer']))
  for (const end = Date.now() + 5_000; !(client.idle && written.length > 0) && Date.now() < end;) await sleep(5)
  t.equal(client.idle, true)
  t.match(client.framing, { connection: '', keepAlive: '', upgrade: '' })
  t.equal(client.upgrade, undefined)
})

t.test('an answer\'s head that fills the socket has its reader under a deadline', async (t) => {
  const app = await startApp(async (_, connection) => {
    await connection.write(`HTTP/1.1 200 OK\r\nX-Big: ${'h'.repeat(60_000)}\r\nContent-Length: 2\r\n\r\n`)
    await sleep(15)
    await connection.write('ok')
  })
  const proxy = await startProxy(startEngine, app.address, { limits: { upstreamConnections: 1, idleTimeout: 300, upstreamTimeout: 300 } })
  const greedy = await connect(proxy.address)
  t.teardown(async () => { greedy.destroy(); await proxy.close(); await app.close() })
  greedy.socket.pause()
  greedy.socket.write(request('GET /').repeat(200))
  const letGo = (): boolean => proxy.seen.finished.some(({ outcome }) => outcome.failed === 'client_aborted')
  for (const end = Date.now() + 30_000; !letGo() && Date.now() < end;) await sleep(50)
  t.ok(letGo())
})

t.test('a tunnel of which one side has ended ends when the other says nothing', async (t) => {
  const app = await startApp(async (_, connection) => {
    await connection.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    takeOver(connection.socket, () => {})
    connection.end()
  })
  const proxy = await startProxy(startEngine, app.address, { limits: { idleTimeout: 200 } })
  const client = await connect(proxy.address)
  t.teardown(async () => { client.destroy(); await proxy.close(); await app.close() })
  await client.send(request('GET /ws', ['Connection: Upgrade', 'Upgrade: websocket']))
  t.equal((await client.next()).status, 101)
  t.match(await proxy.finished(1), [{ outcome: { status: 101, failed: undefined } }])
})

t.test('a request that waited for a connection has the app\'s whole time for its answer', async (t) => {
  const app = await startApp(async ({ target }, connection) => {
    if (target === '/first') {
      await sleep(100)
      return connection.write(reply(200, [], 'one'))
    }
    await connection.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n')
    for (let piece = 0; piece < 5; piece++) {
      await sleep(400)
      await connection.write('ab')
    }
  })
  const proxy = await startProxy(startEngine, app.address, { limits: { upstreamConnections: 1, upstreamTimeout: 1_500 } })
  const [first, second] = await Promise.all([connect(proxy.address), connect(proxy.address)])
  t.teardown(async () => { first.destroy(); second.destroy(); await proxy.close(); await app.close() })
  await first.send(request('GET /first'))
  await app.got(1)
  await second.send(request('GET /second'))
  t.equal((await first.next()).text, 'one')
  t.equal((await second.next()).text, 'ababababab', 'longer than the queue may be waited in')
})

t.test('a request that is refused while its verdict is pending takes no connection, and is told once when the verdict comes', async (t) => {
  const app = await startApp(answers.echo)
  const verdicts: (() => void)[] = []
  const proxy = await startProxy(startEngine, app.address, {
    decide: (head) => head.target === '/ws' ? new Promise<Verdict>((resolve) => { verdicts.push(() => { resolve(standIn(head)) }) }) : standIn(head),
    limits: { upstreamConnections: 1, upstreamTimeout: 0 },
  })
  const client = await connect(proxy.address)
  t.teardown(async () => { client.destroy(); await proxy.close(); await app.close() })
  await client.send(request('GET /ws', ['Connection: Upgrade', 'Upgrade: websocket']))
  for (const end = Date.now() + 5_000; verdicts.length === 0 && Date.now() < end;) await sleep(5)
  await client.send('bytes that nobody agreed to')
  t.equal((await client.next()).status, 400)
  t.equal(proxy.seen.finished.length, 0, 'there is no verdict to tell of yet')
  verdicts[0]!()
  await sleep(50)
  t.match(proxy.seen.finished, [{ verdict: { kind: 'forward' }, outcome: { status: 400, failed: 'upgrade_refused' } }])
  t.equal(app.requests.length, 0)
  const honest = await connect(proxy.address)
  await honest.send(request('GET /x'))
  t.equal((await honest.next()).status, 200, 'the one connection is free')
  honest.destroy()
})

t.test('a reload that lowers the limit of heads refuses the one under way', async (t) => {
  const app = await startApp(answers.echo)
  const proxy = await startProxy(startEngine, app.address)
  const client = await connect(proxy.address)
  t.teardown(async () => { client.destroy(); await proxy.close(); await app.close() })
  await client.send(`GET / HTTP/1.1\r\nHost: app\r\nX-Long: ${'x'.repeat(8_000)}`)
  await sleep(30)
  proxy.transport.use({ decide: standIn, refuse: replyFor, finished() {}, lapsed: () => undefined }, { ...LIMITS, headerBytes: 4_096 })
  await client.send('more\r\n\r\n')
  t.equal((await client.next()).status, 431)
})

t.test('line ends without end before a head are read in a loop', (t) => {
  const parser = new Parser(RESPONSE)
  parser.reset(10)
  const bytes = Buffer.from('\r\n'.repeat(100_000))
  t.equal(parser.head(bytes, 0, bytes.length), bytes.length)
  t.equal(parser.headDone, false)
  t.end()
})

t.test('an option of Connection is one line\'s: close is found in any of many, and not made of two', async (t) => {
  const app = await startApp(answers.echo)
  const proxy = await startProxy(startEngine, app.address)
  t.teardown(async () => { await proxy.close(); await app.close() })
  for (const [lines, ends] of [[['keep-alive', 'x, Close'], true], [['clo', 'se'], false]] as const) {
    const client = await connect(proxy.address)
    await client.send(request('GET /', lines.map((line) => `Connection: ${line}`)))
    const response = await client.next()
    t.equal(response.header('connection') === 'close', ends, lines.join(' | '))
    client.destroy()
  }
})
