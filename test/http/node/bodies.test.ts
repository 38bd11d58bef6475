/** Bodies: streamed both ways in bounded memory, 100-continue, early answers, trailers. Attacks H9, S11, S12, S14. */
import net from 'node:net'
import t from 'tap'
import { answers, chunked, reply, startApp, takeOver } from '../../helpers/app.ts'
import { connect, request } from '../../helpers/raw.ts'
import { startScripted } from '../../helpers/scripted.ts'
import { startProxy, transports } from '../../helpers/transports.ts'

const MIB = 1 << 20
const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

for (const [name, start] of transports) {
  t.test(name, async (t) => {
    const { app, proxy, script } = await startScripted(t, start)

    t.test('a slow reader of a large response holds the app back; nothing piles up', async (t) => {
      const size = 256 * MIB
      let sent = 0
      script(async (_, connection) => {
        await connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
        const piece = Buffer.alloc(MIB, 'x')
        for (; sent < size && !connection.socket.destroyed; sent += piece.length) await connection.write(piece)
      })
      const client = await connect(proxy.address, { pauseReads: true })
      await client.send(request('GET /large'))
      client.socket.pause()
      await pause(300)
      t.ok(sent < 48 * MIB, `the app could write ${sent / MIB} MiB to a client that reads nothing`)
      let got = 0
      client.socket.on('data', (chunk: Buffer) => { got += chunk.length }).resume()
      await pause(100)
      t.ok(got > 0, 'and it goes on when the client reads')
      client.destroy()
      await proxy.finished(1)
    })

    t.test('a slow app holds a large upload back', async (t) => {
      const size = 256 * MIB
      let reset: () => void = () => {}
      script((_, connection) => { connection.socket.pause(); reset = () => { connection.reset() } })
      const client = await connect(proxy.address)
      await client.send(request('POST /large', [`Content-Length: ${size}`]))
      let sent = 0
      const piece = Buffer.alloc(MIB, 'x')
      const writing = (async () => {
        while (!client.socket.destroyed) {
          await new Promise<void>((resolve) => { client.socket.write(piece, () => { resolve() }) })
          sent += piece.length
        }
      })()
      await pause(400)
      t.ok(sent < 48 * MIB, `the client could write ${sent / MIB} MiB to an app that reads nothing`)
      reset()
      t.equal((await proxy.finished(1))[0]!.outcome.failed, 'upstream_reset')
      t.equal((await client.next('POST')).status, 502)
      client.destroy()
      await writing
    })

    for (const framing of ['Content-Length', 'chunks'] as const) {
      t.test(`128 MiB up and down by ${framing}: whole, in bounded memory`, async (t) => {
        const size = 128 * MIB
        let atApp = 0
        script(async (got, connection) => {
          atApp = got.partial().length
          takeOver(connection.socket, (chunk) => {
            atApp += chunk.length
            // The end of a chunked body is in its last bytes; of one with a length, in the count.
            if (framing === 'chunks' ? chunk.toString('latin1', Math.max(0, chunk.length - 5)) === '0\r\n\r\n' : atApp === size) void connection.write(reply(200, ['Connection: close'], 'thanks'))
          })
        })
        const client = await connect(proxy.address)
        const rss = await measureRss(async () => {
          await client.send(request('POST /large', [framing === 'chunks' ? 'Transfer-Encoding: chunked' : `Content-Length: ${size}`]))
          const piece = framing === 'chunks' ? Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(MIB, 'x'), Buffer.from('\r\n')]) : Buffer.alloc(MIB, 'x')
          for (let i = 0; i < size / MIB; i++) await new Promise<void>((resolve) => { client.socket.write(piece, () => { resolve() }) })
          if (framing === 'chunks') await client.send('0\r\n\r\n')
          t.equal((await client.next('POST', 20_000)).text, 'thanks')
        })
        t.ok(framing === 'chunks' ? atApp > size : atApp === size)
        t.ok(rss < 160 * MIB, `resident memory grew by ${Math.round(rss / MIB)} MiB at most, client and app included`)
        client.destroy()

        const down = net.connect(proxy.address.port, proxy.address.host)
        script(async (_, connection) => {
          const head = framing === 'chunks' ? 'Transfer-Encoding: chunked' : `Content-Length: ${size}`
          await connection.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n`)
          const piece = framing === 'chunks' ? Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(MIB, 'x'), Buffer.from('\r\n')]) : Buffer.alloc(MIB, 'x')
          for (let i = 0; i < size / MIB; i++) await connection.write(piece)
          if (framing === 'chunks') await connection.write('0\r\n\r\n')
        })
        let got = 0
        const grown = await measureRss(async () => {
          down.write(request('GET /large', ['Connection: close']))
          down.on('data', (chunk: Buffer) => { got += chunk.length })
          await new Promise((resolve) => { down.on('close', resolve) })
        })
        t.ok(got > size, `${got} bytes came back`)
        t.ok(grown < 160 * MIB, `resident memory grew by ${Math.round(grown / MIB)} MiB at most`)
        t.match((await proxy.finished(1)).at(-1)!.outcome, { status: 200, failed: undefined })
      })
    }

    t.test('S11 Expect: 100-continue: denied before the body is asked for', async (t) => {
      script(answers.echo)
      const client = await connect(proxy.address)
      await client.send(request('POST /deny', ['Content-Length: 5', 'Expect: 100-continue']))
      const denied = await client.next()
      t.equal(denied.status, 401)
      t.equal(denied.header('connection'), 'close', 'or the next request could be read as the body')
      t.not(await client.closed(), 'open')
      t.equal(app.requests.length, 0)
    })

    t.test('S11 Expect: 100-continue: one 100, then the body, then the answer', async (t) => {
      script(answers.echo)
      const client = await connect(proxy.address)
      await client.send(request('POST /', ['Content-Length: 5', 'Expect: 100-continue']))
      t.equal((await client.next()).status, 100)
      await client.send('hello')
      const response = await client.next()
      t.equal(response.status, 200)
      t.equal(response.text, 'hello')
      client.destroy()
    })

    t.test('S11 the app is down: no 100, so the body is never sent', async (t) => {
      const nowhere = await startApp()
      await nowhere.close()
      const dead = await startProxy(start, nowhere.address)
      const client = await connect(dead.address)
      await client.send(request('POST /', ['Content-Length: 5', 'Expect: 100-continue']))
      t.equal((await client.next()).status, 502)
      t.not(await client.closed(), 'open')
      await dead.close()
    })

    t.test('S11 any other expectation is 417', async (t) => {
      for (const fields of [['Expect: the-unexpected'], ['Expect: 100-continue, x'], ['Expect: 100-continue', 'Expect: 100-continue'], ['Expect: x100-continue']]) {
        script(answers.echo)
        const client = await connect(proxy.address)
        await client.send(request('POST /', ['Content-Length: 5', ...fields]))
        t.equal((await client.next()).status, 417, fields.join())
        t.equal(app.requests.length, 0)
        client.destroy()
      }
    })

    t.test('S12 a denial with a small unread body: read over, the next request is the next request', async (t) => {
      script(answers.ok)
      const inner = request('GET /inner')
      const client = await connect(proxy.address)
      await client.send(request('POST /deny', [`Content-Length: ${inner.length}`]), inner, request('GET /next'))
      t.equal((await client.next()).status, 401)
      t.equal((await client.next()).status, 200)
      t.same(app.requests.map((got) => got.target), ['/next'])
      client.destroy()
    })

    t.test('S12 a denial with a large or endless unread body: readable by a client that writes first, then closed', async (t) => {
      for (const fields of [[`Content-Length: ${8 * MIB}`], ['Transfer-Encoding: chunked']]) {
        script(answers.ok)
        const client = await connect(proxy.address)
        await client.send(request('POST /deny', fields))
        const piece = fields[0]!.startsWith('T') ? `10000\r\n${'x'.repeat(65_536)}\r\n` : 'x'.repeat(65_536)
        for (let i = 0; i < 64; i++) await client.send(piece)
        const denied = await client.next()
        t.equal(denied.status, 401)
        t.equal(denied.header('connection'), 'close')
        t.not(await client.closed(), 'open')
        t.equal(app.requests.length, 0)
        client.destroy()
      }
    })

    t.test('S12 the app answers before it has read the body: the answer arrives whole, then the connection closes', async (t) => {
      for (const fields of [[`Content-Length: ${8 * MIB}`], ['Transfer-Encoding: chunked']]) {
        script(answers.early(reply(413, [], 'too much')))
        const client = await connect(proxy.address)
        const piece = fields[0]!.startsWith('T') ? `10000\r\n${'x'.repeat(65_536)}\r\n` : 'x'.repeat(65_536)
        await client.send(request('POST /', fields), piece)
        await app.got(1)
        const before = app.requests[0]!.connection
        for (let i = 0; i < 32; i++) await client.send(piece)
        const response = await client.next()
        t.equal(response.status, 413)
        t.equal(response.text, 'too much')
        t.equal(response.header('connection'), 'close')
        t.not(await client.closed(), 'open')
        client.destroy()
        script(answers.ok)
        const next = await connect(proxy.address)
        await next.send(request('GET /next'))
        t.equal((await next.next()).status, 200, 'the next request passes')
        t.not(app.requests[0]!.connection, before, 'over another connection to the app')
        next.destroy()
      }
    })

    t.test('an answer that begins while the body is still coming: both go on', async (t) => {
      script(async (got, connection) => {
        await connection.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
        takeOver(connection.socket, (chunk) => { void connection.write(`${chunk.length.toString(16)}\r\n`); void connection.write(chunk); void connection.write('\r\n') })
        await got.body.catch(() => {})
      })
      const client = await connect(proxy.address)
      // undici writes the head together with the first bytes of the body (docs/decisions).
      await client.send(request('POST /', ['Content-Length: 1000']), 'zero')
      await client.until((bytes) => bytes.includes('200 OK'))
      for (const word of ['one', 'two', 'three']) {
        await client.send(word)
        await client.until((bytes) => bytes.includes(word))
      }
      client.destroy()
      await proxy.finished(1)
      t.pass('echoed while sending')
    })

    t.test('H9 request trailers: an identity header, or framing, never reaches the app', async (t) => {
      script(answers.echo)
      const client = await connect(proxy.address)
      await client.send(request('POST /', ['Transfer-Encoding: chunked', 'Trailer: X-User-Id'], chunked(['hello'], ['X-User-Id: admin', 'x_user_id: admin', 'Host: evil'])))
      t.equal((await client.next()).text, 'hello')
      const { trailers } = await app.requests[0]!.body
      t.notMatch(trailers.join('\n'), /user|host/i)
      t.notMatch(app.requests[0]!.raw, /Trailer|X-User-Id/i)
      client.destroy()
    })

    for (const field of ['Content-Length: 3', 'Transfer-Encoding: chunked']) {
      t.test(`H9 ${field} in a trailer frames nothing`, async (t) => {
        script(answers.echo)
        const client = await connect(proxy.address)
        await client.send(request('POST /', ['Transfer-Encoding: chunked'], chunked(['hello'], [field])) + request('GET /behind'))
        const response = await client.next()
        if (response.status === 400) t.not(await client.closed(), 'open', 'refused')
        else t.equal((await client.next()).status, 200, 'dropped, and still in step')
        for (const got of app.requests) t.notMatch((await got.body.catch(() => undefined))?.trailers.join('\n') ?? '', /length|encoding/i)
        t.same(app.anomalies, [])
        client.destroy()
      })
    }

    t.test('response trailers: passed on, without those that the verdict or the framing forbids', async (t) => {
      script(answers.raw(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n${chunked(['hello'], ['X-Sum: 42', 'X-Secret: s', 'Connection: close'])}`))
      const client = await connect(proxy.address)
      await client.send(request('GET /', ['TE: trailers', 'Connection: TE']))
      const response = await client.next()
      t.equal(response.text, 'hello')
      t.notMatch(response.trailers.join('\n'), /secret|connection/i)
      t.match(response.trailers.join('\n'), /X-Sum/)
      client.destroy()
    })

    t.test('S14 bodies where there can be none: read as the next message by nobody', async (t) => {
      for (const [method, bytes] of [
        ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'],
        ['GET', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello'],
        ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello'],
        ['HEAD', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'])}`],
        ['GET', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
      ] as const) {
        script(answers.raw(bytes))
        const client = await connect(proxy.address)
        await client.send(request(`${method} /`))
        const first = await client.next(method)
        t.equal(first.body.length, 0, `${method} ${first.status}`)
        script(answers.ok)
        await client.send(request('GET /next'))
        const next = await client.next().catch(() => undefined)
        t.ok(next === undefined || next.text === 'ok', 'the next answer is its own')
        client.destroy()
      }
    })

    t.test('S14 a flood of interim responses ends', async (t) => {
      script(async (_, connection) => { for (let i = 0; i < 1000 && !connection.socket.destroyed; i++) await connection.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n') })
      const client = await connect(proxy.address)
      await client.send(request('GET /'))
      let response = await client.next()
      for (let i = 0; response.status === 103 && i < 1000; i++) response = await client.next()
      t.equal(response.status, 502)
      t.equal((await proxy.finished(1))[0]!.outcome.failed, 'upstream_malformed')
      client.destroy()
    })
  })
}

/** How far resident memory rose above its start, at most, while something ran. */
async function measureRss(run: () => Promise<void>): Promise<number> {
  const before = process.memoryUsage.rss()
  let most = before
  const timer = setInterval(() => { most = Math.max(most, process.memoryUsage.rss()) }, 20)
  try {
    await run()
  } finally {
    clearInterval(timer)
  }
  return most - before
}
