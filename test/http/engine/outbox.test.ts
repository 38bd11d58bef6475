/** What ends a message leaves at the end of the turn, side by side with the others'; and what that must not change. */
import net from 'node:net'
import { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { monotonicMs } from '../../../src/lib/clock.ts'
import { post, sendAll, witness, type Sender } from '../../../src/http/engine/outbox.ts'
import { startEngine } from '../../../src/http/engine/start.ts'
import { reply, startApp } from '../../helpers/app.ts'
import { connect, request } from '../../helpers/raw.ts'
import { standIn, startProxy } from '../../helpers/transports.ts'

const immediate = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })

/** Senders that note in what order they wrote. */
function senders(count: number) {
  const order: number[] = []
  return { order, all: Array.from({ length: count }, (_, at): Sender => ({ posted: false, flush: () => { order.push(at) } })) }
}

t.test('what is posted waits for the end of the turn, once each, in order', async (t) => {
  const { order, all } = senders(3)
  for (const sender of [...all, ...all]) post(sender)
  t.strictSame(order, [])
  await immediate()
  t.strictSame(order, [0, 1, 2])
  t.strictSame(all.map(({ posted }) => posted), [false, false, false])
  post(all[1]!)
  await immediate()
  t.strictSame(order, [0, 1, 2, 1])
})

t.test('sixteen are enough: nobody waits for a thousand others', (t) => {
  const { order, all } = senders(20)
  for (const sender of all) post(sender)
  t.equal(order.length, 16)
  sendAll()
  t.equal(order.length, 20)
  t.end()
})

t.test('a witness is told behind the writes, and when that was', async (t) => {
  const { order, all } = senders(1)
  const told: number[] = []
  const before = monotonicMs()
  post(all[0]!)
  witness({ written: (now) => { told.push(now, order.length) } })
  await immediate()
  t.equal(told.length, 2)
  t.equal(told[1], 1)
  t.ok(told[0]! >= before && told[0]! <= monotonicMs())
})

t.test('what a write posts goes out in the next turn, not in an endless one', async (t) => {
  const again: Sender = { posted: false, flush: () => { if (writes++ < 3) post(again) } }
  let writes = 0
  post(again)
  await immediate()
  t.equal(writes, 1)
  await immediate()
  t.equal(writes, 2)
  sendAll()
  sendAll()
})

t.test('one that throws keeps nobody else from writing, or from posting again', (t) => {
  const { order, all } = senders(2)
  const bad: Sender = { posted: false, flush: () => { throw new Error('a bug') } }
  for (const sender of [all[0]!, bad, all[1]!]) post(sender)
  t.throws(sendAll, /a bug/)
  t.strictSame(order, [0, 1])
  t.equal(bad.posted, false)
  post(all[0]!)
  sendAll()
  t.strictSame(order, [0, 1, 0])
  t.end()
})

t.test('requests that are readable together are all decided before the first is answered', async (t) => {
  const seen: string[] = []
  const proxy = await startProxy(startEngine, { host: '127.0.0.1', port: 1 }, { decide: (head) => { seen.push('decided'); return standIn(head) } })
  const clients = await Promise.all(Array.from({ length: 5 }, () => connect(proxy.address)))
  const write = Object.getOwnPropertyDescriptor(Duplex.prototype, 'write')!.value as (this: net.Socket, ...args: unknown[]) => boolean
  t.teardown(async () => {
    delete (net.Socket.prototype as { write?: unknown }).write
    for (const client of clients) client.destroy()
    await proxy.close()
  })
  // Until all are accepted.
  await sleep(50)
  for (const client of clients) client.socket.write(request('GET /deny'))
  net.Socket.prototype.write = function (this: net.Socket, ...args: unknown[]) {
    if (String(args[0]).startsWith('HTTP/1.1 401')) seen.push('written')
    return write.apply(this, args)
  }
  const answers = await Promise.all(clients.map((client) => client.next()))
  t.strictSame(answers.map(({ status }) => status), Array<number>(5).fill(401))
  t.strictSame(seen, [...Array<string>(5).fill('decided'), ...Array<string>(5).fill('written')])
})

t.test('S15 bytes of the app that meet a request before it is written are no answer to it', async (t) => {
  const connections: net.Socket[] = []
  const app = await startApp(async (got, connection) => { await connection.write(reply(200, [], got.target)) })
  const spy = net.createServer((socket) => {
    connections.push(socket)
    const behind = net.connect(app.address.port, '127.0.0.1')
    socket.on('error', () => {}).on('close', () => behind.destroy())
    behind.on('error', () => {})
    socket.pipe(behind)
    behind.on('data', (bytes) => socket.write(bytes))
  })
  await new Promise<void>((resolve) => { spy.listen(0, '127.0.0.1', resolve) })
  const { port } = spy.address() as net.AddressInfo
  const proxy = await startProxy(startEngine, { host: '127.0.0.1', port })
  const client = await connect(proxy.address)
  t.teardown(async () => {
    client.destroy()
    await proxy.close()
    spy.close()
    await app.close()
  })
  await client.send(request('GET /first'))
  t.equal((await client.next()).text, '/first')
  await sleep(20)
  t.equal(connections.length, 1)
  // Both are in the kernel before the engine reads either, the request first.
  for (const [at, method] of ['GET', 'POST'].entries()) {
    client.socket.write(request(`${method} /second`))
    connections[at]!.write(reply(200, [], 'for somebody else'))
    t.equal((await client.next()).text, '/second', `${method}: it was not sent before, so it is sent once`)
    t.equal(connections.length, at + 2)
    await sleep(20)
  }
})

t.test('an answer that is posted when its connection is sent away still arrives', async (t) => {
  const proxy = await startProxy(startEngine, { host: '127.0.0.1', port: 1 }, { decide: (head) => { queueMicrotask(leave); return standIn(head) } })
  const leave = (): void => { void proxy.transport.close(0, 1_000) }
  const client = await connect(proxy.address)
  t.teardown(() => { client.destroy() })
  await client.send(request('GET /deny'))
  t.equal((await client.next()).status, 401)
  t.equal(await client.closed(), 'end')
})
