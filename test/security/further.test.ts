/** Attacks that are not in the catalogue: N1-N14, of our own. Over every transport. */
import t, { type Test } from 'tap'
import { answers, chunked, reply, startApp } from '../helpers/app.ts'
import { connect, exchange, request } from '../helpers/raw.ts'
import { MARK, startProxy, transports } from '../helpers/transports.ts'

const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

t.jobs = 2

for (const [name, start] of transports) {
  t.test(name, async (t) => {
    const app = await startApp(answers.echo)
    const proxy = await startProxy(start, app.address)
    t.teardown(async () => { await proxy.close(); await app.close() })
    t.beforeEach(() => {
      app.clear()
      app.answer(answers.echo)
      for (const list of Object.values(proxy.seen)) list.length = 0
    })
    const nextPasses = async (t: Test): Promise<void> => {
      app.answer(answers.echo)
      t.equal((await exchange(proxy.address, request('POST /next', ['Content-Length: 2'], 'ok'))).text, 'ok')
    }

    t.test('N1 the app\'s Connection names its own framing or Set-Cookie: framing stays, the named field goes', async (t) => {
      app.answer(answers.raw(reply(200, ['Connection: Content-Length, X-Named', 'X-Named: 1', 'X-Kept: 1'], 'hello')))
      const response = await exchange(proxy.address, request('GET /'))
      t.equal(response.text, 'hello')
      t.equal(response.header('x-named'), undefined)
      t.equal(response.header('x-kept'), '1')
    })

    t.test('N2 numbers with leading zeros: one reading, and the app gets it in plain form', async (t) => {
      for (const bytes of [request('POST /', ['Content-Length: 0005'], 'hello'), request('POST /', ['Transfer-Encoding: chunked'], '0000000000005\r\nhello\r\n000\r\n\r\n')]) {
        app.clear()
        const client = await connect(proxy.address)
        await client.send(bytes + request('GET /behind'))
        const response = await client.next()
        t.ok(response.status === 400 || response.text === 'hello', `${response.status}`)
        if (response.status === 200) await client.next()
        for (const got of app.requests.slice(0, 1)) if (response.status === 200) t.equal((await got.body).content.toString(), 'hello')
        t.same(app.anomalies, [])
        client.destroy()
      }
    })

    t.test('N3 empty lines between requests: read over or refused, never a request, never endless', async (t) => {
      const client = await connect(proxy.address)
      await client.send(`\r\n${request('GET /1')}`)
      const first = await client.next()
      t.ok([200, 400].includes(first.status))
      client.destroy()
      const flood = await connect(proxy.address)
      for (let i = 0; i < 200 && flood.ending() === 'open'; i++) await flood.send('\r\n'.repeat(2000))
      await flood.send(request('GET /2'))
      await flood.closed(300)
      t.same(app.requests.map((got) => got.target).filter((target) => !['/1', '/2'].includes(target)), [])
      flood.destroy()
      await nextPasses(t)
    })

    t.test('N4 framing under folded names (Content_Length, Transfer.Encoding): never at the app', async (t) => {
      const response = await exchange(proxy.address, request('POST /', ['Content-Length: 5', 'Content_Length: 500', 'Transfer.Encoding: chunked', 'Transfer_Encoding: chunked'], 'hello'))
      t.equal(response.text, 'hello')
      t.notMatch(app.requests[0]!.raw, /500|chunked/)
    })

    t.test('N5 Upgrade in HTTP/1.0: no upgrade', async (t) => {
      app.answer(answers.upgrade('websocket'))
      const client = await connect(proxy.address)
      await client.send('GET /chat HTTP/1.0\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n')
      t.not((await client.next()).status, 101)
      client.destroy()
    })

    t.test('N6 CONNECT with bytes behind it, alone and behind another request: 405 or closed, no tunnel', async (t) => {
      for (const before of ['', request('GET /first')]) {
        app.clear()
        const client = await connect(proxy.address)
        await client.send(`${before}CONNECT app:80 HTTP/1.1\r\nHost: app\r\n\r\n${request('GET /smuggled')}`)
        await client.closed()
        t.not(client.ending(), 'open')
        t.notMatch(client.received().toString('latin1'), /200 OK[^]*200 OK/)
        t.notOk(app.requests.some((got) => got.target !== '/first'))
        client.destroy()
      }
    })

    t.test('N7 10 MB of request trailers: refused, the app\'s request never ends well', async (t) => {
      const client = await connect(proxy.address)
      await client.send(request('POST /', ['Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n'))
      for (let i = 0; i < 1000 && client.ending() === 'open'; i++) await client.send(Array.from({ length: 10 }, (_, j) => `X-${i}-${j}: ${'y'.repeat(1000)}\r\n`).join(''))
      t.not(await client.closed(), 'open')
      for (const got of app.requests) await t.rejects(got.body)
      client.destroy()
      await nextPasses(t)
    })

    t.test('N8 10 MB of response trailers: cut', async (t) => {
      app.answer(async (_, connection) => {
        await connection.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n')
        for (let i = 0; i < 10_000 && !connection.socket.destroyed; i++) await connection.write(`X-${i}: ${'y'.repeat(1000)}\r\n`)
        await connection.write('\r\n')
      })
      const client = await connect(proxy.address)
      await client.send(request('GET /'))
      await t.rejects(client.next('GET', 15_000))
      client.destroy()
      await nextPasses(t)
    })

    t.test('N9 chunk extensions that add up over many small chunks: refused, or at least never passed on', async (t) => {
      const client = await connect(proxy.address)
      await client.send(request('POST /', ['Transfer-Encoding: chunked']))
      for (let i = 0; i < 100 && client.ending() === 'open'; i++) await client.send(`1;${'e'.repeat(2000)}\r\nx\r\n`)
      await client.send('0\r\n\r\n')
      const response = await client.next('POST')
      t.ok([200, 400].includes(response.status))
      for (let i = 0; i < app.connections(); i++) t.notMatch(app.bytes(i).toString('latin1'), /;e/)
      client.destroy()
      await nextPasses(t)
    })

    t.test('N10 ten thousand chunks of one byte: whole', async (t) => {
      const response = await exchange(proxy.address, request('POST /', ['Transfer-Encoding: chunked'], `${'1\r\nx\r\n'.repeat(10_000)}0\r\n\r\n`))
      t.equal(response.body.length, 10_000)
    })

    t.test('N11 a client resets with requests in the queue: none of those is decided or forwarded', async (t) => {
      app.answer(answers.never)
      const client = await connect(proxy.address)
      await client.send(request('GET /1') + request('POST /2', ['Content-Length: 1'], 'x') + request('GET /3'))
      await app.got(1)
      client.reset()
      await proxy.finished(1)
      await pause(50)
      t.same(proxy.seen.decided.map((head) => head.target), ['/1'])
      t.same(app.requests.map((got) => got.target), ['/1'])
    })

    t.test('N13 a client leaves behind a stalled answer and a large body in the queue: noticed within the idle time', async (t) => {
      const impatient = await startProxy(start, app.address, { limits: { idleTimeout: 400 } })
      app.answer(async (_, connection) => { await connection.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345') })
      const client = await connect(impatient.address)
      await client.send(request('GET /1') + request('POST /2', ['Content-Length: 1000000'], 'x'.repeat(300_000)))
      await client.until((bytes) => bytes.includes('12345'))
      client.destroy()
      await impatient.finished(1)
      t.same(impatient.seen.decided.map((head) => head.target), ['/1'])
      await impatient.close()
    })

    t.test('N14 a client ends in the middle of its next head while an answer stalls: noticed at once', async (t) => {
      app.answer(async (_, connection) => { await connection.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345') })
      const client = await connect(proxy.address)
      await client.send(request('GET /1'), 'GET /2 HT')
      await client.until((bytes) => bytes.includes('12345'))
      client.end()
      t.match((await proxy.finished(1))[0]!.outcome, { status: 200, failed: 'client_aborted' })
      client.destroy()
    })

    t.test('N12 one client\'s bytes never reach another: interleaved bodies and answers over few connections to the app', async (t) => {
      const narrow = await startProxy(start, app.address, { limits: { upstreamConnections: 3 } })
      await Promise.all(Array.from({ length: 6 }, async (_, i) => {
        const client = await connect(narrow.address)
        for (let round = 0; round < 15; round++) {
          const word = `${i}-${round}-`.repeat(500 + 300 * i)
          const bytes = round % 2 === 0 ? request('POST /', [`Content-Length: ${word.length}`], word) : request('POST /', ['Transfer-Encoding: chunked'], chunked([word.slice(0, 777), word.slice(777)]))
          await client.send(bytes.slice(0, 200), bytes.slice(200))
          const response = await client.next('POST')
          if (response.status !== 503 && response.text !== word) t.fail(`client ${i}, round ${round}: another's bytes`)
        }
        client.destroy()
      }))
      for (const got of app.requests) t.equal(got.values(MARK).length, 1)
      t.same(app.anomalies, [])
      await narrow.close()
    })
  })
}
