/**
 * Trailers cannot say how the connection goes on (RFC 9110 section 6.5.1): Node's parser lets `Connection: close` there end it, found by test/differential, seed 77003. And they are kept, so they are few.
 */
import t from 'tap'
import { ChunkBudget } from '../../../src/http/engine/chunk-budget.ts'
import { startEngine } from '../../../src/http/engine/start.ts'
import { answers, chunked } from '../../helpers/app.ts'
import { connect, request } from '../../helpers/raw.ts'
import { startScripted } from '../../helpers/scripted.ts'

t.test('a field about the connection in the trailers changes nothing: the next request is one, in one piece or byte by byte', async (t) => {
  const { app, proxy, script } = await startScripted(t, startEngine)
  for (const trailer of ['Connection: close', 'connection: x, close', 'Proxy-Connection: close', 'Connection: Upgrade', 'Upgrade: websocket', 'Connection: Host']) {
    const bytes = request('POST /first', ['Transfer-Encoding: chunked'], chunked(['hello'], [trailer])) + request('GET /second')
    for (const pieces of [[bytes], bytes.split('')]) {
      script(answers.echo)
      const client = await connect(proxy.address)
      await client.send(...pieces)
      t.equal((await client.next()).text, 'hello', trailer)
      t.equal((await client.next()).status, 200)
      t.same(app.requests.map(({ method, target }) => `${method} ${target}`), ['POST /first', 'GET /second'])
      t.notMatch(app.requests[0]!.raw, /close|upgrade/i)
      t.equal(client.ending(), 'open')
      client.destroy()
    }
  }
})

const SMALL = '1\r\na\r\n'

t.test('S16 what small chunks save on framing is not theirs to spend', (t) => {
  const budget = new ChunkBudget()
  t.ok(Array.from({ length: 10_000 }, () => budget.take(SMALL.length, [3, 4])).every(Boolean))
  t.ok(budget.take(16_384, []))
  t.equal(budget.spent, 16_386, 'and the end of the last chunk')
  t.notOk(budget.take(24, []), 'sixteen KiB and a line, whatever came before')
  budget.reset()
  t.ok(budget.take(1, []))
  const small = Array.from({ length: 1_000 }, (_, at) => [6 * at + 3, 6 * at + 4]).flat()
  t.notOk(budget.take(6_000 + 17_000, small), 'in the same read, either')
  budget.reset()
  t.ok(budget.take(6_000, small))
  t.equal(budget.spent, 2)
  t.ok(Array.from({ length: 600 }, () => budget.take(50, [48, 49])).every(Boolean), 'lines of 48 bytes where 24 would do: 600 of them')
  t.notOk(Array.from({ length: 100 }, () => budget.take(50, [48, 49])).every(Boolean), 'but not 700')
  t.end()
})

t.test('S16 a client\'s trailers without end are refused after a body of small chunks', async (t) => {
  const { proxy, script } = await startScripted(t, startEngine)
  script(answers.echo)
  const client = await connect(proxy.address)
  await client.send(request('POST /', ['Transfer-Encoding: chunked'], SMALL.repeat(20_000)))
  await client.send(`0\r\nX-Trailer: ${'b'.repeat(100_000)}`)
  t.equal((await client.next()).status, 400)
  client.destroy()
})

t.test('S16 an app\'s trailers without end break its answer; a few are passed on', async (t) => {
  const { proxy, script } = await startScripted(t, startEngine)
  const answer = (trailer: string): string => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${SMALL.repeat(20_000)}0\r\nX-Trailer: ${trailer}\r\n\r\n`
  script(answers.raw(answer('b'.repeat(10_000))))
  const patient = await connect(proxy.address)
  await patient.send(request('GET /'))
  t.equal((await patient.next()).text.length, 20_000)
  patient.destroy()
  script(answers.raw(answer('b'.repeat(200_000))))
  const client = await connect(proxy.address)
  await client.send(request('GET /'))
  await t.rejects(client.next())
  t.match(await proxy.finished(1), [{ outcome: { failed: 'upstream_malformed' } }])
  client.destroy()
})
