/** The ordinary: what a client sends reaches the app once and whole, and what the app answers reaches the client. */
import t from 'tap'
import { answers, chunked, reply } from '../../helpers/app.ts'
import { connect, exchange, request } from '../../helpers/raw.ts'
import { startScripted } from '../../helpers/scripted.ts'
import { transports } from '../../helpers/transports.ts'

for (const [name, start] of transports) {
  t.test(name, async (t) => {
    const { app, proxy, script } = await startScripted(t, start)

    t.test('a GET', async (t) => {
      script(answers.ok)
      const response = await exchange(proxy.address, request('GET /a?b=c', ['X-Mixed-CASE: v']))
      t.equal(response.status, 200)
      t.equal(response.text, 'ok')
      t.equal(app.requests[0]!.target, '/a?b=c')
      t.match(app.requests[0]!.raw, /X-Mixed-CASE: v\r\n/, 'names keep their spelling')
      t.equal(app.requests[0]!.header('content-length'), undefined)
      const { outcome } = (await proxy.finished(1))[0]!
      t.match(outcome, { status: 200, failed: undefined })
      t.ok(outcome.addedMs >= 0 && outcome.totalMs >= outcome.addedMs)
    })

    t.test('a POST with a length, and one in chunks', async (t) => {
      script(answers.echo)
      const client = await connect(proxy.address)
      await client.send(request('POST /', ['Content-Length: 5'], 'hello'))
      t.equal((await client.next()).text, 'hello')
      t.equal(app.requests[0]!.header('content-length'), '5')
      await client.send(request('POST /', ['Transfer-Encoding: chunked'], chunked(['he', 'llo'])))
      t.equal((await client.next()).text, 'hello')
      client.destroy()
    })

    t.test('a denial: the app sees nothing, the connection lives on', async (t) => {
      script(answers.ok)
      const client = await connect(proxy.address)
      await client.send(request('GET /deny'))
      const denied = await client.next()
      t.equal(denied.status, 401)
      t.equal(denied.header('www-authenticate'), 'Bearer')
      await client.send(request('GET /'))
      t.equal((await client.next()).status, 200)
      t.equal(app.requests.length, 1)
      client.destroy()
    })

    t.test('keep-alive on both sides', async (t) => {
      script(answers.ok)
      const before = app.connections()
      const client = await connect(proxy.address)
      for (let i = 0; i < 5; i++) {
        await client.send(request(`GET /${i}`))
        t.equal((await client.next()).status, 200)
      }
      client.destroy()
      t.ok(app.connections() - before <= 1, `${app.connections() - before} new connections to the app`)
    })

    t.test('HEAD, 204, 304', async (t) => {
      const client = await connect(proxy.address)
      script(answers.raw('HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n'))
      await client.send(request('HEAD /'))
      t.equal((await client.next('HEAD')).header('content-length'), '1234')
      script(answers.raw('HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n'))
      await client.send(request('DELETE /x'))
      const none = await client.next('DELETE')
      t.equal(none.status, 204)
      t.equal(none.header('transfer-encoding'), undefined)
      t.equal(none.header('content-length'), undefined)
      script(answers.raw('HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 77\r\n\r\n'))
      await client.send(request('GET /'))
      t.equal((await client.next()).status, 304)
      script(answers.ok)
      await client.send(request('GET /'))
      t.equal((await client.next()).text, 'ok', 'the connection is still in step')
      client.destroy()
    })

    t.test('chunked and close-delimited responses', async (t) => {
      const client = await connect(proxy.address)
      script(answers.raw(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['ab', 'cd'])}`))
      await client.send(request('GET /'))
      t.equal((await client.next()).text, 'abcd')
      script(answers.thenClose('HTTP/1.1 200 OK\r\n\r\nuntil the end'))
      await client.send(request('GET /'))
      const response = await client.next()
      t.equal(response.text, 'until the end')
      t.equal(response.framing, 'chunked')
      client.destroy()
    })

    t.test('repeated response headers stay apart and in order', async (t) => {
      script(answers.raw(reply(200, ['Set-Cookie: a=1', 'X-Z: 1', 'Set-Cookie: b=2', 'x-Secret: s', 'Connection: X-Hop', 'X-Hop: h', 'Keep-Alive: timeout=3'])))
      const { headers } = await exchange(proxy.address, request('GET /'))
      const pairs = headers.flatMap((value, i) => i % 2 === 1 ? [`${headers[i - 1]}: ${value}`] : [])
      t.same(pairs.filter((line) => /^(Set-Cookie|X-)/i.test(line)), ['Set-Cookie: a=1', 'X-Z: 1', 'Set-Cookie: b=2'])
    })

    t.test('interim responses are passed on', async (t) => {
      script(answers.raw(Buffer.concat([Buffer.from('HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Secret: s\r\n\r\n'), reply(200, [], 'x')])))
      const client = await connect(proxy.address)
      await client.send(request('GET /'))
      const hints = await client.next()
      t.equal(hints.status, 103)
      t.equal(hints.header('link'), '</a.css>; rel=preload')
      t.equal(hints.header('x-secret'), undefined)
      t.equal((await client.next()).text, 'x')
      client.destroy()
    })

    t.test('pipelined requests: each decided on its own, answers in order', async (t) => {
      script(async (got, connection) => {
        await got.body
        if (got.target === '/1') await new Promise((resolve) => { setTimeout(resolve, 30) })
        await connection.write(reply(200, [], got.target))
      })
      const client = await connect(proxy.address)
      await client.send(request('GET /1') + request('POST /deny', ['Content-Length: 3'], 'abc') + request('POST /2', ['Content-Length: 3'], 'abc') + request('GET /3'))
      t.equal((await client.next()).text, '/1')
      t.equal((await client.next()).status, 401)
      t.equal((await client.next()).text, '/2')
      t.equal((await client.next()).text, '/3')
      t.same(app.requests.map((got) => got.target), ['/1', '/2', '/3'])
      client.destroy()
    })

    t.test('HTTP/1.0: answered without chunks, then closed', async (t) => {
      script(answers.raw(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['ab', 'cd'])}`))
      const client = await connect(proxy.address)
      await client.send('GET / HTTP/1.0\r\nHost: app\r\nConnection: keep-alive\r\n\r\n')
      t.equal(await client.closed(), 'end')
      const response = await client.next()
      t.equal(response.text, 'abcd')
      t.equal(response.framing, 'close')
      t.equal(response.header('connection'), 'close')
    })

    t.test('server-sent events arrive as they are sent', async (t) => {
      let go: () => void = () => {}
      script(async (_, connection) => {
        await connection.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n')
        await new Promise<void>((resolve) => { go = resolve })
        await connection.write('9\r\ndata: 1\n\n\r\n')
      })
      const client = await connect(proxy.address)
      await client.send(request('GET /events'))
      await client.until((bytes) => bytes.includes('text/event-stream'))
      go()
      await client.until((bytes) => bytes.includes('data: 1'))
      client.destroy()
      const [ended] = await proxy.finished(1)
      t.equal(ended!.outcome.failed, 'client_aborted')
    })

    t.test('a client that closes its half is gone: the app learns of it', async (t) => {
      let gone = false
      script(async (_, connection) => { await connection.gone; gone = true })
      const client = await connect(proxy.address)
      await client.send(request('GET /'))
      await app.got(1)
      client.end()
      t.match((await proxy.finished(1))[0]!.outcome, { status: 0, failed: 'client_aborted' })
      await new Promise((resolve) => { setTimeout(resolve, 50) })
      t.equal(gone, true)
      client.destroy()
    })

    t.test('a client that goes away is noticed by the app', async (t) => {
      let gone = false
      script(async (_, connection) => {
        await connection.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n')
        await connection.gone
        gone = true
      })
      const client = await connect(proxy.address)
      await client.send(request('GET /'))
      await client.until((bytes) => bytes.includes('1\r\nx'))
      client.destroy()
      await proxy.finished(1)
      await new Promise((resolve) => { setTimeout(resolve, 50) })
      t.equal(gone, true)
    })
  })
}
