/** Watched exchanges end when the handler says so, in the way their client understands. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { answers, reply, startApp, takeOver } from '../../helpers/app.ts'
import { connect, request } from '../../helpers/raw.ts'
import { standIn, startProxy, transports } from '../../helpers/transports.ts'
import type { RequestHead, Verdict } from '../../../src/http/contract.ts'
import type { Reason } from '../../../src/telemetry/reason.ts'

const watched = (head: RequestHead): Verdict => ({ ...standIn(head), watched: true }) as Verdict
const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket']
/** A text frame of a server. */
const frame = (text: string): Buffer => Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)])

for (const [name, start] of transports) {
  t.test(name, async (t) => {
    let lapsed: Reason | undefined
    const asked = { yet: false }
    const app = await startApp()
    const proxy = await startProxy(start, app.address, { decide: watched, lapsed: () => { asked.yet ||= lapsed !== undefined; return lapsed } })
    t.teardown(async () => { await proxy.close(); await app.close() })
    t.beforeEach(() => { lapsed = undefined; asked.yet = false; proxy.seen.finished.length = 0; app.clear() })
    const ended = async () => (await proxy.finished(1))[0]!.outcome

    t.test('a stream of events ends cleanly', async (t) => {
      app.answer(async (_, connection) => { await connection.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n') })
      const client = await connect(proxy.address)
      await client.send(request('GET /'))
      await client.until((bytes) => bytes.includes('data: 1'))
      lapsed = 'token_expired'
      t.equal((await client.next()).text, 'data: 1\n\n')
      t.equal(await client.closed(), 'end')
      t.match(await ended(), { status: 200, failed: 'token_expired' })
      client.destroy()
    })

    t.test('a download breaks', async (t) => {
      app.answer(async (_, connection) => { await connection.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nfirst') })
      const client = await connect(proxy.address)
      await client.send(request('GET /'))
      await client.until((bytes) => bytes.includes('first'))
      lapsed = 'token_revoked'
      t.not(await client.closed(), 'open')
      await t.rejects(client.next())
      t.match(await ended(), { status: 200, failed: 'token_revoked' })
    })

    t.test('before the app has answered: a denial', async (t) => {
      app.answer(answers.never)
      const client = await connect(proxy.address)
      await client.send(request('GET /'))
      await app.got(1)
      lapsed = 'token_expired'
      t.equal((await client.next()).status, 401)
      t.match(await ended(), { status: 401, failed: 'token_expired' })
      client.destroy()
    })

    t.test('a WebSocket gets a close frame, between two frames', async (t) => {
      let write: (bytes: Buffer) => Promise<void> = async () => {}
      app.answer(async (got, connection) => { write = (bytes) => connection.write(bytes); await answers.upgrade('websocket')(got, connection); takeOver(connection.socket, () => {}) })
      const client = await connect(proxy.address)
      await client.send(request('GET /', UPGRADE))
      t.equal((await client.next()).status, 101)
      await write(frame('hello').subarray(0, 4))
      await client.until((bytes) => bytes.includes('he'))
      lapsed = 'token_expired'
      while (!asked.yet) await sleep(20)
      await write(Buffer.concat([frame('hello').subarray(4), frame('more')]))
      await client.closed()
      t.same(client.rest(), Buffer.concat([frame('hello'), Buffer.from([0x88, 0x02, 0x03, 0xf0])]))
      t.match(await ended(), { status: 101 })
      client.destroy()
    })

    t.test('what does not lapse lives', async (t) => {
      app.answer(async (_, connection) => { await sleep(1_200); await connection.write(reply(200, [], 'late')) })
      const client = await connect(proxy.address)
      await client.send(request('GET /'))
      t.equal((await client.next()).text, 'late')
      client.destroy()
    })
  })
}
