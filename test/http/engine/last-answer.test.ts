/**
 * An answer that says `Connection: close` is the connection's last, and leaves whole however slowly it is taken. The socket here is a stand-in whose kernel is in the test's hand; it
 * has no handle to take over, so this also is the way of a node that lets nobody do that.
 */
import { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Handler } from '../../../src/http/contract.ts'
import { Client } from '../../../src/http/engine/client.ts'
import { Core, type Port } from '../../../src/http/engine/core.ts'
import { LIMITS, replyFor } from '../../helpers/transports.ts'

const BODY = 'x'.repeat(200_000)
const REQUEST = 'GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n'

/** A connection whose writes are taken when `take` is called. */
function stand() {
  const taken: Buffer[] = []
  const held: (() => void)[] = []
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) { held.push(() => { taken.push(chunk); done() }) },
  })
  Object.assign(socket, { resetAndDestroy() { socket.destroy() } })
  return { socket: socket as Socket, take: () => { held.shift()?.() }, text: () => Buffer.concat(taken).toString('latin1') }
}

function connect(idleTimeout: number, socket: Socket): Port {
  const handler: Handler = { decide: () => ({ kind: 'reply', status: 200, headers: [], body: BODY }), refuse: replyFor, finished() {}, lapsed: () => undefined }
  const core = new Core(handler, { ...LIMITS, idleTimeout })
  const upstream = { host: '127.0.0.1', port: 1 }
  const port: Port = { core, listener: { bind: upstream, upstream }, pool: core.pool(upstream), clients: new Set() }
  port.clients.add(new Client(port, socket))
  return port
}

t.test('taken later than we linger, it is still there, and the end behind it', async (t) => {
  const { socket, take, text } = stand()
  const port = connect(10_000, socket)
  t.teardown(() => { socket.destroy(); port.core.close() })
  socket.push(REQUEST)
  await sleep(2_500)
  t.equal(socket.destroyed, false)
  take()
  await sleep(20)
  t.ok(text().endsWith(BODY))
  t.equal(socket.writableFinished, true)
})

t.test('one that takes nothing at all is let go', async (t) => {
  const { socket } = stand()
  const port = connect(300, socket)
  t.teardown(() => { port.core.close() })
  socket.push(REQUEST)
  await sleep(3_000)
  t.equal(socket.destroyed, true)
  t.equal(port.clients.size, 0)
})
