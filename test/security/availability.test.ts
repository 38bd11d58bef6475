/** Attacks on availability: A1 and its kin. Limits on heads, times and connections; what is refused costs little and blocks nobody. */
import t, { type Test } from 'tap'
import { answers, startApp, type Answer } from '../helpers/app.ts'
import { connect, exchange, request, type RawClient } from '../helpers/raw.ts'
import { startProxy, transports, type Proxy } from '../helpers/transports.ts'

const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

// Both transports at once: most of the time is waiting.
t.jobs = 2

for (const [name, start] of transports) {
  t.test(name, async (t) => {
    const app = await startApp(answers.ok)
    t.teardown(() => app.close())
    const passes = async (t: Test, proxy: Proxy): Promise<void> => { t.equal((await exchange(proxy.address, request('GET /good'))).status, 200, 'a good request passes') }
    const withProxy = async (limits: NonNullable<Parameters<typeof startProxy>[2]>['limits'] & {}, run: (proxy: Proxy) => Promise<void>, answer: Answer = answers.ok): Promise<void> => {
      app.clear()
      app.answer(answer)
      const proxy = await startProxy(start, app.address, { limits })
      try { await run(proxy) } finally { await proxy.close() }
    }

    t.test('A1 a head that takes too long: 408, closed, while others pass', (t) => withProxy({ headerTimeout: 300 }, async (proxy) => {
      const clients = await Promise.all(Array.from({ length: 50 }, () => connect(proxy.address)))
      const dripping = clients.map(async (client) => {
        for (const letter of 'GET /slow HTTP/1.1\r\nHost: app\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa') {
          if (client.ending() !== 'open') return
          await client.send(letter)
          await pause(50)
        }
      })
      await pause(100)
      await passes(t, proxy)
      const statuses = await Promise.all(clients.map(async (client) => (await client.next()).status))
      t.same([...new Set(statuses)], [408])
      t.not(await clients[0]!.closed(), 'open')
      await Promise.all(dripping)
      t.same([...new Set(proxy.seen.refused.map(({ reason }) => reason))], ['request_timeout'])
      t.equal(app.requests.length, 1)
    }))

    t.test('A1 a connection that never says anything is closed without a word', (t) => withProxy({ headerTimeout: 200, idleTimeout: 300 }, async (proxy) => {
      const client = await connect(proxy.address)
      t.equal(await client.closed(4000), 'end')
      t.equal(client.received().length, 0)
    }))

    t.test('A1 an idle kept-alive connection is closed without a word', (t) => withProxy({ headerTimeout: 500, idleTimeout: 300 }, async (proxy) => {
      const client = await connect(proxy.address)
      await client.send(request('GET /'))
      t.equal((await client.next()).status, 200)
      t.equal(await client.closed(4000), 'end')
      t.equal(client.rest().length, 0)
    }))

    t.test('A1 a body that stalls: 408 to the client, the end for the app', (t) => withProxy({ idleTimeout: 300 }, async (proxy) => {
      const client = await connect(proxy.address)
      await client.send(request('POST /', ['Content-Length: 100'], 'begun'))
      await app.got(1)
      t.equal((await client.next()).status, 408)
      await t.rejects(app.requests[0]!.body)
      t.equal((await proxy.finished(1))[0]!.outcome.failed, 'request_timeout')
    }))

    t.test('A1 a body that drips, but comes, is no stall', (t) => withProxy({ idleTimeout: 300 }, async (proxy) => {
      const client = await connect(proxy.address)
      await client.send(request('POST /', ['Content-Length: 10']))
      for (let i = 0; i < 10; i++) {
        await client.send('x')
        await pause(80)
      }
      t.equal((await client.next()).status, 200)
      client.destroy()
    }))

    t.test('A1 a client that does not read its answer is let go', (t) => withProxy({ idleTimeout: 300 }, async (proxy) => {
      const client = await connect(proxy.address, { pauseReads: true })
      client.socket.pause()
      await client.send(request('GET /'))
      t.equal((await proxy.finished(1))[0]!.outcome.failed, 'client_aborted')
      client.destroy()
    }, async (_, connection) => {
      await connection.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n')
      for (const piece = Buffer.alloc(1 << 20); !connection.socket.destroyed;) await connection.write(piece)
    }))

    t.test('an answer may take all the time it wants between two pieces', (t) => withProxy({ idleTimeout: 200, upstreamTimeout: 200, headerTimeout: 200 }, async (proxy) => {
      const client = await connect(proxy.address)
      await client.send(request('GET /'))
      const response = await client.next()
      t.equal(response.text, 'onetwo')
      t.match((await proxy.finished(1))[0]!.outcome, { status: 200, failed: undefined })
      client.destroy()
    }, answers.slow(['HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none', 'two'], 900)))

    t.test('H11 more headers than the limit: 431, never a partial view, wherever the forged one is', (t) => withProxy({ headerCount: 50, headerBytes: 1 << 20 }, async (proxy) => {
      const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `X-${i}: v`)
      for (const fields of [['X-User-Id: admin', ...many(2001)], [...many(2001), 'X-User-Id: admin'], many(50)]) {
        t.equal((await exchange(proxy.address, request('GET /', fields))).status, 431)
      }
      t.equal(app.requests.length, 0)
      t.equal((await exchange(proxy.address, request('GET /', many(49)))).status, 200, 'Host and 49 others are 50')
      t.equal(app.requests[0]!.header('x-48'), 'v')
    }))

    t.test('H11 exactly the limit passes whole, up to thousands', (t) => withProxy({ headerCount: 5000, headerBytes: 1 << 20 }, async (proxy) => {
      const fields = Array.from({ length: 3000 }, (_, i) => `X-${i}: v`)
      t.equal((await exchange(proxy.address, request('GET /', [...fields, 'X_User_Id: admin']))).status, 200)
      t.equal(app.requests[0]!.headers.filter((_, i) => i % 2 === 0).filter((each) => /^X-\d/.test(each)).length, 3000)
      t.notMatch(app.requests[0]!.raw, /admin/)
    }))

    t.test('10 MB of head: refused early, and the memory for it is never taken', (t) => withProxy({}, async (proxy) => {
      for (const make of [
        (i: number) => `X-${i}: ${'y'.repeat(1000)}\r\n`,
        () => 'y'.repeat(1000),
      ]) {
        const client = await connect(proxy.address)
        await client.send('GET / HTTP/1.1\r\nHost: app\r\nX: ')
        for (let i = 0; i < 10_000 && client.ending() === 'open'; i += 20) await client.send(Array.from({ length: 20 }, (_, j) => make(i + j)).join(''))
        const response = await client.next()
        t.equal(response.status, 431)
        client.destroy()
      }
      t.equal(app.requests.length, 0)
      await passes(t, proxy)
    }))

    t.test('a target beyond its limit: 414', (t) => withProxy({ targetBytes: 100 }, async (proxy) => {
      t.equal((await exchange(proxy.address, request(`GET /${'a'.repeat(100)}`))).status, 414)
      t.equal(app.requests.length, 0)
      t.equal((await exchange(proxy.address, request(`GET /${'a'.repeat(99)}`))).status, 200)
    }))

    t.test('more connections than the limit: 503, and those that are there go on', (t) => withProxy({ connections: 5 }, async (proxy) => {
      const first = await Promise.all(Array.from({ length: 5 }, () => connect(proxy.address)))
      for (const client of first) await client.send(request('GET /'))
      for (const client of first) t.equal((await client.next()).status, 200)
      const more = await Promise.all(Array.from({ length: 5 }, () => connect(proxy.address)))
      for (const client of more) {
        await client.send(request('GET /'))
        t.not(await client.closed(), 'open')
        if (client.received().length > 0) t.equal((await client.next()).status, 503)
        client.destroy()
      }
      t.equal(app.requests.length, 5)
      t.same([...new Set(proxy.seen.refused.map(({ reason }) => reason))], ['overloaded'])
      for (const client of first) { await client.send(request('GET /again')); t.equal((await client.next()).status, 200); client.destroy() }
      await pause(30)
      await passes(t, proxy)
    }))

    t.test('2,000 connections at once: every one is answered', (t) => withProxy({ upstreamConnections: 100 }, async (proxy) => {
      const statuses = new Map<number, number>()
      const clients: RawClient[] = []
      for (let i = 0; i < 2000; i += 250) clients.push(...await Promise.all(Array.from({ length: 250 }, () => connect(proxy.address))))
      await Promise.all(clients.map((client) => client.send(request('GET /'))))
      for (const client of clients) {
        const { status } = await client.next('GET', 20_000)
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
      }
      // 100 connections to the app, as many waiting; the rest is told so at once, and nothing hangs.
      t.same([...statuses.keys()].filter((status) => status !== 200 && status !== 503), [])
      t.ok((statuses.get(200) ?? 0) >= 100, JSON.stringify([...statuses]))
      t.ok(app.connections() <= 600)
      for (const client of clients) client.destroy()
      await pause(50)
      await passes(t, proxy)
    }))

    t.test('clients that abort within their bodies, more of them than there are connections to the app: the next good request passes', (t) => withProxy({ upstreamConnections: 4 }, async (proxy) => {
      for (let round = 0; round < 5; round++) {
        const clients = await Promise.all(Array.from({ length: 4 }, () => connect(proxy.address)))
        for (const client of clients) await client.send(request('POST /', ['Content-Length: 1000'], 'begun'))
        await pause(20)
        for (const client of clients) if (round % 2 === 0) client.destroy(); else client.reset()
        await pause(20)
      }
      await passes(t, proxy)
      t.same([...new Set((await proxy.finished(21)).map(({ outcome }) => outcome.failed))], ['client_aborted', undefined])
    }))

    t.test('clients that abort while they wait for a connection to the app leave no trace', (t) => withProxy({ upstreamConnections: 2 }, async (proxy) => {
      app.answer(answers.never)
      const holding = await Promise.all(Array.from({ length: 2 }, () => connect(proxy.address)))
      for (const client of holding) await client.send(request('GET /hold'))
      await app.got(2)
      const waiting = await Promise.all(Array.from({ length: 2 }, () => connect(proxy.address)))
      for (const client of waiting) await client.send(request('GET /wait'))
      await pause(20)
      for (const client of waiting) client.destroy()
      await pause(20)
      app.answer(answers.ok)
      for (const client of holding) client.destroy()
      await pause(20)
      await passes(t, proxy)
      t.notOk(app.requests.some((got) => got.target === '/wait'))
      t.equal((await proxy.finished(5)).length, 5)
    }))

    t.test('the app is busy beyond the queue: 503 upstream_busy', (t) => withProxy({ upstreamConnections: 1 }, async (proxy) => {
      app.answer(answers.never)
      const clients = await Promise.all(Array.from({ length: 40 }, () => connect(proxy.address)))
      for (const client of clients) await client.send(request('GET /'))
      await pause(100)
      const answered = clients.filter((client) => client.received().length > 0)
      t.ok(answered.length >= 1, `${answered.length} of 40 are told at once`)
      for (const client of answered) t.equal((await client.next()).status, 503)
      t.ok(proxy.seen.finished.every(({ outcome }) => outcome.failed === 'upstream_busy'))
      t.ok(app.requests.length <= 1)
      for (const client of clients) client.destroy()
    }))

    t.test('a thousand pipelined requests in one segment: each answered in order until the connection says close, none decided beyond that', (t) => withProxy({}, async (proxy) => {
      const client = await connect(proxy.address)
      await client.send(Array.from({ length: 1000 }, (_, i) => request(`GET /${i}`)).join(''))
      let answered = 0
      for (let last = false; !last && answered < 1000;) {
        const response = await client.next()
        answered++
        last = response.header('connection') === 'close'
      }
      await pause(50)
      t.ok(answered >= 16, `${answered} answered`)
      t.same(proxy.seen.decided.map((head) => head.target), Array.from({ length: answered }, (_, i) => `/${i}`))
      t.equal(app.requests.length, answered)
      client.destroy()
      await passes(t, proxy)
    }))
  })
}
