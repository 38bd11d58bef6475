/** What must not happen twice, or beside something else: retries, upgrades, empty lines. */
import t from 'tap'
import { EmptyLines } from '../../../src/http/engine/empty-lines.ts'
import { startEngine } from '../../../src/http/engine/start.ts'
import { answers, reply, type Answer } from '../../helpers/app.ts'
import { connect, exchange, request } from '../../helpers/raw.ts'
import { startScripted } from '../../helpers/scripted.ts'

const WEBSOCKET = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']

t.test('retries: never a request with a body, idempotent or not: part of it is gone', async (t) => {
  const { app, proxy, script } = await startScripted(t, startEngine)
  for (const bytes of [request('PUT /once', ['Content-Length: 1'], 'x'), request('DELETE /once', ['Transfer-Encoding: chunked'], '1\r\nx\r\n0\r\n\r\n')]) {
    script(answers.ok)
    await exchange(proxy.address, request('GET /warm'))
    let calls = 0
    const closing: Answer = async (got, connection) => {
      await got.body
      if (calls++ === 0) connection.reset()
      else await connection.write(reply(200, [], 'again'))
    }
    script(closing)
    t.equal((await exchange(proxy.address, bytes)).status, 502)
    t.equal(calls, 1)
    t.equal(app.requests.length, 1)
  }
})

t.test('S8 an upgrade is alone: behind another request, before other bytes, or with a length, it is refused and never decided', async (t) => {
  const { app, proxy, script } = await startScripted(t, startEngine)
  for (const bytes of [request('GET /first') + request('GET /chat', WEBSOCKET), request('GET /chat', WEBSOCKET) + 'x', request('GET /chat', [...WEBSOCKET, 'Content-Length: 0'])]) {
    script((got, connection) => got.target === '/chat' ? answers.upgrade('websocket')(got, connection) : answers.ok(got, connection))
    const client = await connect(proxy.address)
    await client.send(bytes)
    if (bytes.startsWith('GET /first')) t.equal((await client.next()).text, 'ok')
    t.equal((await client.next()).status, 400)
    t.not(await client.closed(), 'open')
    t.same(proxy.seen.refused.map(({ reason }) => reason), ['upgrade_refused'])
    t.notOk([...proxy.seen.decided, ...app.requests].some(({ target }) => target === '/chat'))
  }
})

t.test('two empty lines before a request, each exactly CRLF; not one more, however they are cut', (t) => {
  const skip = (...pieces: string[]) => {
    const lines = new EmptyLines()
    return pieces.map((piece) => lines.skip(Buffer.from(piece), 0, piece.length)).at(-1)
  }
  t.equal(skip('GET'), 0)
  t.equal(skip('\r\n\r\nGET'), 4)
  t.equal(skip('\r', '\n\r', '\nGET'), 1)
  for (const pieces of [['\r\n\r\n\r\n'], ['\r\n', '\r\n\r', '\n'], ['\n'], ['\r\n\n'], ['\r\r'], ['\r', 'G']]) t.equal(skip(...pieces), -1, JSON.stringify(pieces))
  t.end()
})

t.test('a target that is too long is refused before its head is complete', async (t) => {
  const { proxy } = await startScripted(t, startEngine, { targetBytes: 100 })
  const client = await connect(proxy.address)
  await client.send(`GET /${'a'.repeat(200)}`)
  t.equal((await client.next('GET', 2_000)).status, 414)
})
