/** Binding: by the way around node:dns and node:cluster that the engine takes, and by `listen` itself for a name. Both say the same when they cannot. */
import net from 'node:net'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { startEngine } from '../../../src/http/engine/start.ts'
import type { Handler } from '../../../src/http/contract.ts'
import { LIMITS, replyFor } from '../../helpers/transports.ts'

const handler: Handler = { decide: () => replyFor('token_missing'), refuse: replyFor, finished() {}, lapsed: () => undefined }
const upstream = { host: '127.0.0.1', port: 1 }
const start = (host: string, port: number) => startEngine([{ bind: { host, port }, upstream }], handler, LIMITS)
const hasIPv6 = await new Promise<boolean>((resolve) => {
  const probe = net.createServer().once('error', () => resolve(false)).listen(0, '::1', () => probe.close(() => resolve(true)))
})

async function answers(t: Test, host: string, port: number): Promise<void> {
  const socket = net.connect({ host, port }).on('error', () => {})
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  const [head] = await once(socket, 'data') as [Buffer]
  socket.destroy()
  t.match(head.toString('latin1'), /^HTTP\/1\.1 401 Unauthorized\r\n/, `${host}:${port}`)
}

t.test('this Node has the way around', (t) => {
  t.type((net.Server.prototype as { _listen2?: unknown })._listen2, 'function')
  t.end()
})

for (const [bind, ask, name] of [['127.0.0.1', '127.0.0.1', 'IPv4'], ['0.0.0.0', '127.0.0.1', 'all of IPv4'], ['localhost', 'localhost', 'a name'], ['::1', '::1', 'IPv6'], ['::', '127.0.0.1', 'both']] as const) {
  t.test(`it listens on ${bind}: ${name}`, { skip: bind.includes(':') && !hasIPv6 && 'no IPv6 on this machine' }, async (t) => {
    const transport = await start(bind, 0)
    t.teardown(() => transport.close(0, 0))
    if (net.isIP(bind) !== 0) t.equal(transport.bound[0]!.host, bind)
    await answers(t, ask, transport.bound[0]!.port)
  })
}

t.test('a port in use, and an address that is not ours: one clause each, and the same as by name', async (t) => {
  const taken = await start('127.0.0.1', 0)
  t.teardown(() => taken.close(0, 0))
  const { port } = taken.bound[0]!
  await t.rejects(start('127.0.0.1', port), { code: 'EADDRINUSE', address: `127.0.0.1:${port}`, message: `cannot listen on 127.0.0.1:${port}: listen EADDRINUSE: address already in use 127.0.0.1:${port}` })
  await t.rejects(start('192.0.2.1', 0), { code: 'EADDRNOTAVAIL', message: 'cannot listen on 192.0.2.1:0: listen EADDRNOTAVAIL: address not available 192.0.2.1' })
  await t.rejects(start('1:2:nonsense', 0), { code: 'EINVAL' })
})
