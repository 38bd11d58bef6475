/** Resets at every moment around an end: the socket is closed afterwards. With `resetAndDestroy` alone four of these stay open for good. */
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { resetSocket } from '../../src/lib/reset-socket.ts'
import t from 'tap'

const MIB = 1 << 20
const MOMENTS: Readonly<Record<string, (socket: net.Socket) => void>> = {
  'nothing sent': (socket) => { resetSocket(socket) },
  'in the middle of a write': (socket) => { socket.write(Buffer.alloc(20 * MIB)); resetSocket(socket) },
  'in the middle of a write, ended': (socket) => { socket.end(Buffer.alloc(20 * MIB)); resetSocket(socket) },
  'ended': (socket) => { socket.end(); resetSocket(socket) },
  'ended with bytes': (socket) => { socket.end('x'); resetSocket(socket) },
  'a tick after the end': (socket) => { socket.end('x'); process.nextTick(() => { resetSocket(socket) }) },
  'a turn after the end': (socket) => { socket.end('x'); setImmediate(() => { resetSocket(socket) }) },
  'ended once the bytes are gone': (socket) => { socket.write('x', () => { socket.end(); resetSocket(socket) }) },
  'twice': (socket) => { resetSocket(socket); resetSocket(socket) },
}

for (const [moment, act] of Object.entries(MOMENTS)) {
  t.test(moment, async (t) => {
    const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => { server.close() })
    const client = net.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true }).pause()
    client.on('error', () => {})
    const [socket] = await once(server, 'connection') as [net.Socket]
    const failed: Error[] = []
    socket.on('error', (error) => { failed.push(error) })
    const closed = once(socket, 'close').then(() => 'closed', () => 'failed')
    act(socket)
    t.equal(await Promise.race([closed, sleep(3_000, 'still open')]), 'closed')
    t.same(failed, [])
    client.destroy()
  })
}

t.test('where no end is on its way, the peer sees a reset', async (t) => {
  const server = net.createServer((socket) => { socket.write('x', () => { resetSocket(socket) }) }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1').resume()
  const [error] = await once(client, 'error') as [NodeJS.ErrnoException]
  t.equal(error.code, 'ECONNRESET')
})
