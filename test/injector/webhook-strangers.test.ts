/** The webhook's port is open to every pod. What strangers do there, without any credential, neither fills the controller nor keeps the API server out. */
import t, { type Test } from 'tap'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { Agent, request } from 'undici'
import { createLog } from '../../src/telemetry/log.ts'
import { createAuthority, issueLeaf } from '../../src/pki/authority.ts'
import { createBodyBudget } from '../../src/injector/body-budget.ts'
import { capConnections } from '../../src/injector/connection-cap.ts'
import { startWebhookServer } from '../../src/injector/webhook-server.ts'

const log = createLog({ sink: (bytes, done) => { done(null, bytes.length) } })
const MIB = 1024 ** 2
const validity = { now: Date.now(), validityMs: 3_600_000 }
const ca = await createAuthority('test', validity)
const certificate = await issueLeaf(ca, ['localhost'], validity)

async function webhook(t: Test) {
  const server = await startWebhookServer({
    bind: { host: '127.0.0.1', port: 0 }, log, certificate,
    admit: () => Promise.resolve({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid: 'u', allowed: true } }),
  })
  const agent = new Agent({ connect: { ca: ca.cert, servername: 'localhost' } })
  t.teardown(async () => {
    await agent.destroy()
    await server.close(0, 0)
  })
  const { port } = server.address
  return { port, post: async () => (await request(`https://127.0.0.1:${port}/mutate`, { method: 'POST', body: '{}', dispatcher: agent })).statusCode }
}

/** What came over a connection until it was closed. */
async function heard(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (bytes: Buffer) => { text += bytes.toString() })
  socket.on('error', () => {})
  if (!socket.destroyed) await once(socket, 'close')
  return text
}

t.test('bodies that never end hold no more than the budget; a review is answered meanwhile', async (t) => {
  const { port, post } = await webhook(t)
  const body = Buffer.alloc(8 * MIB - 1, 0x20)
  const strangers: Promise<string>[] = []
  for (let i = 0; i < 12; i++) {
    const socket = connectTls({ port, host: '127.0.0.1', ca: ca.cert, servername: 'localhost' })
    await once(socket, 'secureConnect')
    strangers.push(heard(socket))
    socket.write(`POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: ${8 * MIB}\r\n\r\n`)
    socket.write(body)
  }
  await Promise.race(strangers)
  t.equal(await post(), 200)
  const answers = await Promise.all(strangers)
  const refused = answers.filter((text) => text.startsWith('HTTP/1.1 503 '))
  // One may lose its answer to the reset that follows: it was sending on.
  t.ok(refused.length >= 1, `${refused.length} of 12`)
  t.match(refused[0], /retry-after: 1\r\n/i)
  t.match(refused[0], /The reviews that are on their way have more than 67108864 bytes together\. Send it again\./)
  t.ok(answers.filter((text) => text.startsWith('HTTP/1.1 408 ')).length <= 8, 'those that fitted ended with their time')
})

t.test('512 silent connections: the next client is served at once, and they do not last', async (t) => {
  const { port, post } = await webhook(t)
  const silent = Array.from({ length: 512 }, () => connect({ port, host: '127.0.0.1' }))
  const ends = silent.map(heard)
  for (const socket of silent) if (socket.connecting) await once(socket, 'connect')
  const started = performance.now()
  t.equal(await post(), 200)
  await Promise.all(ends)
  t.ok(performance.now() - started < 60_000, 'not for two minutes')
})

t.test('a TLS client that says nothing does not last either', async (t) => {
  const { port } = await webhook(t)
  const socket = connectTls({ port, host: '127.0.0.1', ca: ca.cert, servername: 'localhost' })
  await once(socket, 'secureConnect')
  const started = performance.now()
  await heard(socket)
  t.ok(performance.now() - started < 30_000)
})

const incoming = (headers: Record<string, string> = {}) => Object.assign(new PassThrough(), { headers }) as unknown as PassThrough & IncomingMessage

t.test('the budget: the largest that is on its way goes; what is complete stays until its review is over', async (t) => {
  const budget = createBodyBudget(100_000, 100_000)
  const [done, small, large] = [incoming(), incoming(), incoming()]
  const [first, second, third] = [done, small, large].map((request) => budget.read(request))
  done.end('x'.repeat(60_000))
  t.match(await first, { body: /^x+$/ })
  small.write('x'.repeat(10_000))
  large.write('x'.repeat(25_000))
  await sleep(1)
  small.write('x'.repeat(10_000))
  t.same(await third, { problem: 'no room' })
  small.end()
  t.match(await second, { body: 'x'.repeat(20_000) })
  for (const request of [done, small, large]) budget.release(request)
  t.equal(budget.held, 0)
})

t.test('the budget: too large, said before or found out; a client that goes away; many small chunks', async (t) => {
  const budget = createBodyBudget(1_000, 100_000)
  t.same(await budget.read(incoming({ 'content-length': '1001' })), { problem: 'too large' })
  const more = incoming()
  const read = budget.read(more)
  more.write('x'.repeat(1_001))
  t.same(await read, { problem: 'too large' })
  const gone = incoming()
  const lost = budget.read(gone)
  gone.write('x')
  await sleep(1)
  gone.destroy()
  await t.rejects(lost, { message: 'the client went away' })
  budget.release(gone)
  const crumbs = incoming()
  const many = budget.read(crumbs)
  for (let i = 0; i < 900 && !crumbs.isPaused(); i++) {
    crumbs.write('x')
    await sleep(0)
  }
  t.same(await many, { problem: 'no room' }, 'a buffer costs more than its byte')
  t.equal(budget.held, 0)
})

t.test('the cap: who does least goes, the longest first; a complete request stays', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cap = capConnections(server, 3)
  const accepted: Socket[] = []
  server.on('connection', (socket) => { accepted.push(socket.on('error', () => {})) })
  const clients: Socket[] = []
  t.teardown(() => {
    for (const socket of [...accepted, ...clients]) socket.destroy()
    server.close()
  })
  const arrive = async () => {
    const count = accepted.length
    clients.push(connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {}))
    while (accepted.length === count) await sleep(1)
    return accepted.at(-1)!
  }
  const first = await arrive()
  const second = await arrive()
  const third = await arrive()
  cap.enter(first, 'answering')
  cap.enter(second, 'idle')
  const fourth = await arrive()
  t.same([first, second, third, fourth].map(({ destroyed }) => destroyed), [false, false, true, false], 'the silent one before the idle one')
  cap.enter(fourth, 'sending')
  const fifth = await arrive()
  t.same([first, second, fourth, fifth].map(({ destroyed }) => destroyed), [false, true, false, false])
  cap.enter(fifth, 'sending')
  const sixth = await arrive()
  t.same([first, fourth, fifth, sixth].map(({ destroyed }) => destroyed), [false, true, false, false], 'then who has been sending longest')
  for (const socket of [fifth, sixth]) cap.enter(socket, 'answering')
  t.equal((await arrive()).destroyed, true, 'all are being answered: no room')
  first.destroy()
  await once(first, 'close')
  t.equal(cap.size, 2)
  t.equal((await arrive()).destroyed, false)
})
