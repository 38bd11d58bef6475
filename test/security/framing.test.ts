/** Attacks S1-S6, S13 and their kin: one message, one reading. Raw bytes in, whole and in pieces; the app must never see a refused one. */
import t, { type Test } from 'tap'
import { answers, chunked, startApp } from '../helpers/app.ts'
import { connect, exchange, request } from '../helpers/raw.ts'
import { startProxy, transports } from '../helpers/transports.ts'
import { BAD_BODIES, post, REFUSED } from './framing-cases.ts'

/** Behind every refused message comes this: whoever reads the message otherwise than we do would take it for a request. */
const SMUGGLED = request('GET /smuggled')

for (const [name, start] of transports) {
  t.test(name, async (t) => {
    const app = await startApp(answers.ok)
    const proxy = await startProxy(start, app.address)
    t.teardown(async () => { await proxy.close(); await app.close() })
    const clear = (): void => { app.clear(); for (const list of Object.values(proxy.seen)) list.length = 0 }
    const noneAtApp = (t: Test): void => {
      t.same(app.anomalies, [])
      t.same(app.requests.map((got) => got.target), [], 'nothing at the app')
    }

    for (const { id, bytes, status = 400, also = status, reason } of REFUSED) {
      t.test(`${id}: ${status} and close, never at the app`, async (t) => {
        clear()
        const client = await connect(proxy.address)
        await client.send(bytes + SMUGGLED)
        const response = await client.next()
        t.ok([status, also].includes(response.status), `${response.status}`)
        t.equal(response.header('connection'), 'close')
        t.not(await client.closed(), 'open')
        t.equal(client.rest().length, 0, 'one answer only')
        t.equal(proxy.seen.decided.length, 0)
        t.equal(proxy.seen.refused.length, 1)
        if (reason !== undefined) t.equal(proxy.seen.refused[0]!.reason, reason)
        noneAtApp(t)
        client.destroy()
      })
    }

    t.test('the same in two segments, split at every byte of some, never passes', async (t) => {
      clear()
      for (const id of ['S1 CL.TE', 'S2 two CL that differ', 'S3 obs-fold', 'S4 bare LF after a field', 'S5 CR within a name']) {
        const { bytes } = REFUSED.find((each) => each.id === id)!
        const clients = Array.from({ length: bytes.length - 1 }, async (_, i) => {
          const client = await connect(proxy.address)
          await client.send(bytes.slice(0, i + 1))
          await new Promise((resolve) => { setTimeout(resolve, 2) })
          await client.send(bytes.slice(i + 1))
          const { status } = await client.next()
          client.destroy()
          return status
        })
        t.same([...new Set(await Promise.all(clients))], [400], id)
      }
      noneAtApp(t)
    })

    for (const [id, body] of BAD_BODIES) {
      t.test(`${id}: never a whole message at the app, nothing behind it`, async (t) => {
        clear()
        const client = await connect(proxy.address)
        await client.send(post(['Transfer-Encoding: chunked'], body) + SMUGGLED)
        const response = await client.next()
        t.equal(response.status, 400)
        t.not(await client.closed(), 'open')
        t.equal(client.rest().length, 0)
        t.notOk(app.requests.some((got) => got.target === '/smuggled'))
        for (const got of app.requests) await t.rejects(got.body, 'the app never gets a body that ends')
        t.equal(proxy.seen.decided.filter((head) => head.target === '/smuggled').length, 0)
        client.destroy()
      })
    }

    t.test('S6 a chunk extension is read over, and never passed on', async (t) => {
      clear()
      const response = await exchange(proxy.address, post(['Transfer-Encoding: chunked'], '5;name=value\r\nhello\r\n0\r\n\r\n'))
      t.equal(response.status, 200)
      const body = await app.requests[0]!.body
      t.equal(body.content.toString(), 'hello')
      t.notMatch(body.raw.toString('latin1'), /name/)
    })

    t.test('S1 Transfer-Encoding in another case is chunked all the same', async (t) => {
      clear()
      const response = await exchange(proxy.address, post(['transfer-ENCODING: Chunked'], chunked(['hello'])))
      t.equal(response.status, 200)
      t.equal((await app.requests[0]!.body).content.toString(), 'hello')
    })

    t.test('a body on a GET reaches the app as a body, not as the next request', async (t) => {
      clear()
      const inner = request('GET /inner')
      const client = await connect(proxy.address)
      await client.send(request('GET /outer', [`Content-Length: ${inner.length}`], inner) + request('GET /next'))
      t.equal((await client.next()).status, 200)
      t.equal((await client.next()).status, 200)
      t.same(app.requests.map((got) => got.target), ['/outer', '/next'])
      t.equal((await app.requests[0]!.body).content.toString(), inner)
      t.same(app.anomalies, [])
      client.destroy()
    })

    t.test('refused bytes behind good requests: those are answered first, in order, then one 400', async (t) => {
      clear()
      app.answer(async (got, connection) => { await got.body; await new Promise((resolve) => { setTimeout(resolve, 20) }); await answers.ok(got, connection) })
      const client = await connect(proxy.address)
      await client.send(request('GET /1') + request('GET /2') + 'GET /3 HTTP/1.1\nHost: app\n\n' + request('GET /4'))
      t.equal((await client.next()).status, 200)
      t.equal((await client.next()).status, 200)
      t.equal((await client.next()).status, 400)
      t.not(await client.closed(), 'open')
      t.same(app.requests.map((got) => got.target), ['/1', '/2'])
      app.answer(answers.ok)
      client.destroy()
    })

    t.test('nothing behind an answer that closes is served', async (t) => {
      clear()
      const client = await connect(proxy.address)
      await client.send(request('GET /1', ['Connection: close']) + request('GET /2'))
      t.equal((await client.next()).header('connection'), 'close')
      t.not(await client.closed(), 'open')
      t.equal(client.rest().length, 0)
      t.same(app.requests.map((got) => got.target), ['/1'])
      t.same(proxy.seen.decided.map((head) => head.target), ['/1'])
      client.destroy()
    })
  })
}
