/**
 * What strangers make the engine keep has a bound, and nothing that was counted stays counted. Who goes first: never an honest client that gets on, as long as
 * there are others that do not.
 */
import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { CONNECTION, Ledger, ledger, type Holder } from '../../../src/http/engine/ledger.ts'
import { startEngine } from '../../../src/http/engine/start.ts'
import { answers, reply, startApp, type Answer } from '../../helpers/app.ts'
import { connect, exchange, request, type RawClient } from '../../helpers/raw.ts'
import { startProxy } from '../../helpers/transports.ts'
import { until } from '../../helpers/sidecar.ts'

const KIBI = 1024
const MEBI = KIBI * KIBI

/** A holder that writes down what becomes of it. */
function holder(name: string, log: string[], { idle = false, moves = false } = {}): Holder {
  return { held: 0, stalled: false, idle, moves: () => moves, shed: () => { log.push(`shed ${name}`) }, leave: () => { log.push(`left ${name}`) } }
}

t.test('counts connections and bytes, each once, and forgets who goes', (t) => {
  const each = new Ledger(MEBI)
  const one = holder('one', [])
  each.enter(one)
  each.connected()
  t.equal(each.total, 2 * CONNECTION)
  each.hold(one, 1_000, true)
  each.hold(one, 5_000, false)
  t.equal(each.total, 2 * CONNECTION + 5_000)
  each.exit(one)
  each.exit(one)
  each.disconnected()
  t.equal(each.total, 0)
  t.equal(each.clients, 0)
  each.hold(one, 300, true)
  each.exit(one)
  t.equal(each.total, 0, 'what is told late is forgotten, too')
  t.end()
})

t.test('over the bound the longest stalled goes, one that moves does not, one that waits for the app goes last', (t) => {
  const log: string[] = []
  const each = new Ledger(1_000)
  const [waiting, first, moving, second, third] = [holder('waiting', log), holder('first', log), holder('moving', log, { moves: true }), holder('second', log), holder('third', log)]
  each.hold(waiting, 300, false)
  each.hold(first, 200, true)
  each.hold(moving, 200, true)
  each.hold(second, 300, true)
  t.same(log, [])
  each.hold(third, 300, true)
  t.same(log, ['shed first', 'shed second'])
  t.equal(each.total, 800)
  each.hold(third, 100, true)
  each.hold(third, 400, true)
  t.equal(each.total, 900, 'there is room for this')
  each.hold(third, 600, true)
  t.same(log, ['shed first', 'shed second', 'shed third'], 'even itself')
  each.exit(moving)
  each.hold(waiting, 1_001, false)
  t.same(log.slice(3), ['shed waiting'])
  t.equal(each.total, 0)
  t.equal(each.shed, 4)
  t.end()
})

t.test('room for a connection: what nobody uses is closed, then an idle client is sent away; never the one that asks', (t) => {
  const log: string[] = []
  const each = new Ledger(5 * CONNECTION)
  const [busy, idle, later] = [holder('busy', log), holder('idle', log, { idle: true }), holder('later', log, { idle: true })]
  for (const client of [busy, idle, later]) each.enter(client)
  each.connected()
  t.equal(each.makeRoom(busy), true)
  each.connected()
  let spare = 1
  each.addSpare({ closeIdle: () => { if (spare-- <= 0) return false; each.disconnected(); log.push('spare'); return true } })
  t.equal(each.makeRoom(busy), true)
  t.same(log, ['spare'])
  each.connected()
  t.equal(each.makeRoom(busy), true)
  t.same(log, ['spare', 'left idle'])
  each.connected()
  t.equal(each.makeRoom(busy), true)
  each.connected()
  t.equal(each.makeRoom(busy), false, 'only the busy one is left')
  each.hold(busy, 1, true)
  t.same(log, ['spare', 'left idle', 'left later', 'shed busy'])
  t.end()
})

t.test('where stalled clients have taken all the room, a request gets its connection to the app by the end of one of them', (t) => {
  const log: string[] = []
  const each = new Ledger(10 * CONNECTION)
  const [asker, other] = [holder('asker', log), holder('other', log)]
  for (const client of [asker, other]) each.enter(client)
  each.hold(asker, CONNECTION, true)
  each.hold(other, 7 * CONNECTION, true)
  t.equal(each.makeRoom(asker), true)
  t.same(log, ['shed other'])
  each.hold(asker, 9 * CONNECTION, true)
  t.equal(each.makeRoom(asker), false)
  t.same(log, ['shed other'])
  t.end()
})

const sum = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const body = randomBytes(3 * MEBI)

/** `/late`: answers after a while; `/big`: 3 MiB; `/slowly`: reads the body in small pieces; `/never`; `/reset`; `/chat`: upgrades. */
const script: Answer = async (got, connection) => {
  if (got.target.startsWith('/never')) return
  if (got.target.startsWith('/reset')) return connection.reset()
  if (got.target.startsWith('/chat')) return answers.upgrade('websocket')(got, connection)
  if (got.target.startsWith('/late')) await sleep(1_200)
  if (got.target.startsWith('/slowly')) for (let at = 0; at < 10; at++) { connection.socket.pause(); await sleep(40); connection.socket.resume(); await sleep(5) }
  const { content } = await got.body
  return connection.write(reply(200, [], got.target.startsWith('/big') ? body : sum(content)))
}

const large = (line: string): string => request(line, Array.from({ length: 60 }, (_, at) => `X-Field-${at}: ${'x'.repeat(400)}`))
const UPLOAD = request('POST /slowly', [`Content-Length: ${body.length}`])

/** A head that does not end. */
const UNFINISHED = async (client: RawClient): Promise<void> => {
  await client.send(large('GET /').slice(0, 9_000))
  await client.closed()
}

/** What clients do: each ends in another way. */
const DEEDS: readonly ((client: RawClient) => Promise<unknown>)[] = [
  async (client) => { await client.send(request('GET /')); await client.next(); client.destroy() },
  async (client) => { await client.send(request('GET /deny').repeat(3) + request('GET /').repeat(5)); await client.next(); client.reset() },
  async (client) => { await client.send(large('GET /').slice(0, 15_000)); await sleep(20); client.reset() },
  UNFINISHED,
  async (client) => { await client.send(large('GET /never')); await sleep(30); client.destroy() },
  async (client) => { await client.send(large('GET /never') + large('GET /').repeat(3)); await client.closed() },
  async (client) => { client.socket.pause(); await client.send(request('GET /big')); await sleep(150); client.reset() },
  async (client) => { client.socket.pause(); await client.send(request('GET /big').repeat(4)); await sleep(100); client.socket.resume(); await sleep(50); client.destroy() },
  async (client) => { client.socket.pause(); await client.send(request('GET /big')); await sleep(900); client.destroy() },
  async (client) => { await client.send(UPLOAD, body.subarray(0, 2 * MEBI)); await sleep(60); client.reset() },
  async (client) => { await client.send(UPLOAD, body); await client.closed(800); client.destroy() },
  async (client) => { await client.send(request('GET /reset')); await client.closed(300); client.destroy() },
  async (client) => { await client.send(request('GET /chat', ['Connection: Upgrade', 'Upgrade: websocket'])); await sleep(60); client.socket.pause(); await client.send(body); await sleep(100); client.destroy() },
  async (client) => { await client.send('GET / HTTP/1.1\r\nBad\r\n\r\n'); await client.closed(); client.destroy() },
  async (client) => { await client.send(request('POST /', ['Transfer-Encoding: chunked'], `5\r\nhello\r\n${'1\r\nx\r\n'.repeat(300)}zz`)); await client.closed(); client.destroy() },
  async (client) => { await client.send(request('GET /late')); client.end(); await client.closed(500); client.destroy() },
]

for (const most of [Infinity, MEBI / 2]) {
  t.test(`however exchanges end, nothing stays in the ledger (bound: ${most})`, async (t) => {
    const before = ledger.most
    ledger.most = most
    ledger.shed = 0
    const app = await startApp(script)
    const limits = { headerTimeout: 300, idleTimeout: 600, upstreamTimeout: 700, upstreamConnections: 40 }
    const proxy = await startProxy(startEngine, app.address, { limits })
    t.teardown(async () => { ledger.most = before; await proxy.close(); await app.close() })
    for (let round = 0; round < 2; round++) {
      const act = async (deed: (client: RawClient) => Promise<unknown>): Promise<void> => {
        const client = await connect(proxy.address).catch(() => undefined)
        if (client) await deed(client).catch(() => {})
        client?.destroy()
      }
      await Promise.all(Array.from({ length: 3 * DEEDS.length }, (_, at) => act(DEEDS[(at + round) % DEEDS.length]!)))
      // More at once than the smaller bound has room for.
      await Promise.all(Array.from({ length: 40 }, () => act(UNFINISHED)))
      t.ok(ledger.total >= 0 && ledger.total <= most)
    }
    t.equal(ledger.shed > 0, most < Infinity, `${ledger.shed} were ended`)
    if (most === Infinity) t.equal((await exchange(proxy.address, request('POST /', ['Content-Length: 5'], 'hello'))).text, sum(Buffer.from('hello')))
    await until(() => ledger.clients === 0, 8_000, () => `${ledger.clients} clients are still counted`)
    await proxy.close()
    t.equal(ledger.total, 0)
  })
}

t.test('honest clients that get on survive a flood of stalled ones: a slow reader, a slow upload, a large request before a slow app', async (t) => {
  const before = ledger.most
  ledger.most = 4 * MEBI
  ledger.shed = 0
  const app = await startApp(script)
  const proxy = await startProxy(startEngine, app.address, { limits: { upstreamConnections: 1_000 } })
  const flood: RawClient[] = []
  t.teardown(async () => { ledger.most = before; for (const client of flood) client.destroy(); await proxy.close(); await app.close() })

  const [reader, uploader] = await Promise.all([connect(proxy.address), connect(proxy.address)])
  reader.socket.pause()
  await reader.send(request('GET /big'))
  await uploader.send(UPLOAD, body)
  const stop = new AbortController()
  // Takes some now and then.
  const reading = (async () => { while (!stop.signal.aborted) { reader.socket.resume(); await sleep(1); reader.socket.pause(); await sleep(15) } })()
  const messages = [request('GET /big'), large('GET /').slice(0, 20_000), request('GET /never') + large('GET /').repeat(2)]
  let patient: RawClient | undefined
  for (let at = 0; at < 300; at++) {
    const client = await connect(proxy.address, { pauseReads: true })
    client.socket.pause()
    flood.push(client)
    await client.send(messages[at % messages.length]!)
    if (at === 150) {
      patient = await connect(proxy.address)
      await patient.send(large('GET /late'))
    }
    if (at % 10 === 0) await sleep(10)
  }
  t.equal((await patient!.next('GET', 10_000)).status, 200)
  t.equal((await uploader.next('POST', 10_000)).text, sum(body))
  stop.abort()
  await reading
  reader.socket.resume()
  t.equal(sum((await reader.next('GET', 10_000)).body), sum(body))
  t.ok(ledger.shed > 100, `${ledger.shed} of the flood were ended`)
  for (const client of [reader, uploader, patient!]) client.destroy()
})
