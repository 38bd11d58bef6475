/**
 * Random and mutated bytes at the listener, and from the app, for a bounded time: no crash, no hang, no leak; nothing at the app that was not decided,
 * nothing at the client that is not well formed. `FUZZ_SEED=N FUZZ_MS=N` repeats a run, or makes it longer.
 */
import { seedOf } from '../helpers/seed.ts'
import t, { type Test } from 'tap'
import { answers, chunked, reply, startApp } from '../helpers/app.ts'
import { connect, exchange, readResponse, request, type RawClient } from '../helpers/raw.ts'
import { MARK, startProxy, transports } from '../helpers/transports.ts'

const SEED = seedOf('FUZZ_SEED')
const DURATION = Number(process.env['FUZZ_MS'] ?? 2500)
const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

interface Dice {
  /** 0 <= n < limit */
  readonly below: (limit: number) => number
  readonly pick: <T>(list: readonly T[]) => T
}

/** A small generator (mulberry32): the same seed, the same bytes. */
function diceOf(seed: number): Dice {
  let state = seed >>> 0
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
  return { below, pick: (list) => list[below(list.length)]! }
}

const GOOD_REQUESTS = [
  request('GET /a?b=c', ['X-User-Id: admin', 'Accept: */*']),
  request('POST /p', ['Content-Length: 5'], 'hello'),
  request('POST /c', ['Transfer-Encoding: chunked'], chunked(['he', 'llo'], ['X-User-Id: admin'])),
  request('HEAD /h'), request('DELETE /d'), request('GET /deny', ['Authorization: Bearer x']),
  request('POST /deny', ['Content-Length: 3'], 'abc'),
  request('PUT /e', ['Content-Length: 2', 'Expect: 100-continue'], 'ab'),
  request('GET /ws', ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: x']),
  'GET /old HTTP/1.0\r\nHost: app\r\n\r\n',
]
const GOOD_RESPONSES = [
  reply(200, ['X-A: b'], 'hello').toString('latin1'),
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['he', 'llo'], ['X-T: 1'])}`,
  'HTTP/1.1 204 No Content\r\n\r\n', 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n',
  `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${reply(200, [], 'x').toString('latin1')}`,
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi',
  'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end',
]
/** What goes in: separators, framing, long runs. */
const PIECES = [
  '\r', '\n', '\r\n', '\0', ' ', '\t', ':', ';', ',', '\r\n\r\n', '\x7f', '\xff', '0', '-1', '+5', 'ffffffffffffffff', '/', '//', '..', '%2e', '#', '?', 'HTTP/1.1', 'HTTP/1.2',
  'Content-Length: 5\r\n', 'Content-Length: 0\r\n', 'Transfer-Encoding: chunked\r\n', 'Transfer-Encoding: identity\r\n', 'Connection: close\r\n', 'Connection: Content-Length\r\n',
  'Connection: upgrade\r\nUpgrade: websocket\r\n', 'Upgrade: h2c\r\n', 'Expect: 100-continue\r\n', 'Host: evil\r\n', '0\r\n\r\n', '5\r\nhello\r\n', '5;x=y\r\n', 'a'.repeat(5000), `X: ${'b'.repeat(40_000)}\r\n`,
  'GET /inner HTTP/1.1\r\nHost: app\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '__proto__: x\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison',
]

function mutate(dice: Dice, seed: string): string {
  let bytes = seed
  for (let i = dice.below(4); i > 0; i--) {
    const at = dice.below(bytes.length + 1)
    const kind = dice.below(6)
    if (kind === 0) bytes = bytes.slice(0, at) + dice.pick(PIECES) + bytes.slice(at)
    else if (kind === 1) bytes = bytes.slice(0, at) + bytes.slice(at + 1 + dice.below(8))
    else if (kind === 2) bytes = bytes.slice(0, at) + String.fromCharCode(dice.below(256)) + bytes.slice(at + 1)
    else if (kind === 3) bytes = bytes.slice(0, at) + bytes.slice(dice.below(bytes.length + 1))
    else if (kind === 4) bytes = bytes.replace('\r\n', `\r\n${dice.pick(PIECES)}`)
    else bytes = bytes.slice(0, at)
  }
  return bytes
}

const noise = (dice: Dice): string => Array.from({ length: 1 + dice.below(300) }, () => String.fromCharCode(dice.below(256))).join('')

for (const [name, start] of transports) {
  t.test(name, async (t) => {
    t.comment(`FUZZ_SEED=${SEED}`)
    const app = await startApp(answers.ok)
    const proxy = await startProxy(start, app.address, { limits: { headerTimeout: 400, idleTimeout: 600, upstreamTimeout: 600 } })
    t.teardown(async () => { await proxy.close(); await app.close() })
    const crashes: unknown[] = []
    const onCrash = (error: unknown): void => { crashes.push(error) }
    process.on('uncaughtException', onCrash).on('unhandledRejection', onCrash)
    t.teardown(() => { process.off('uncaughtException', onCrash).off('unhandledRejection', onCrash) })

    /** Sends one connection's worth of bytes in random pieces, waits a little, leaves in one of three ways. */
    const assault = async (dice: Dice): Promise<void> => {
      const client = await connect(proxy.address)
      try { await play(dice, client) } finally { client.destroy() }
    }
    const play = async (dice: Dice, client: RawClient): Promise<void> => {
      const bytes = dice.below(8) === 0 ? noise(dice) : Array.from({ length: 1 + dice.below(3) }, () => mutate(dice, dice.pick(GOOD_REQUESTS))).join('')
      for (let at = 0; at < bytes.length && client.ending() === 'open';) {
        const step = dice.below(3) === 0 ? 1 + dice.below(20) : bytes.length
        await client.send(bytes.slice(at, at + step))
        at += step
      }
      // Mostly wait until something comes back: a client that leaves at once is often not even accepted (Node accepts one connection a turn).
      if (dice.below(5) > 0) await client.until((received) => received.length > 0 || client.ending() !== 'open', 700).catch(() => {})
      if (dice.below(2) > 0) await client.closed(dice.below(30))
      checkAnswers(client.received())
      const leave = dice.below(3)
      if (leave === 0) client.reset()
      else if (leave === 1) {
        client.end()
        await client.closed(20)
      }
    }
    const malformed: string[] = []
    /** Every whole answer that came back is strictly formed (a HEAD's may have no body: tried both ways). */
    const checkAnswers = (bytes: Buffer): void => {
      try {
        for (let at = 0; at < bytes.length;) {
          const status = Number(bytes.toString('latin1', at + 9, at + 12))
          if (status === 101) return
          const bodiless = bytes.toString('latin1', at).search(/\r\n\r\nHTTP\/1\.1 \d{3} /) > 0
          const found = readResponse(bytes, at, 'GET', true) ?? (bodiless ? readResponse(bytes, at, 'HEAD', true) : undefined)
          if (found === undefined) return
          at = found.end
        }
      } catch (error) {
        // After a HEAD's answer with a length the next answer was eaten as its body; only a bad head is a fault.
        const reread = /HTTP\/1\.1 \d{3} [^\r\n]*\r\n(?:[!-9;-~]+: [^\r\n]*\r\n)*\r\n/.test(bytes.toString('latin1'))
        if (!reread) malformed.push(`${error instanceof Error ? error.message : String(error)} in ${JSON.stringify(bytes.toString('latin1').slice(0, 500))}`)
      }
    }
    const storm = async (offset: number): Promise<number> => {
      const until = Date.now() + DURATION
      let count = 0
      await Promise.all(Array.from({ length: 12 }, async (_, i) => {
        const dice = diceOf(SEED + offset + i)
        while (Date.now() < until) {
          await assault(dice).catch((error: unknown) => { if (!/ECONN|EPIPE|reset/i.test(String(error))) throw error })
          count++
        }
      }))
      return count
    }
    const settled = async (): Promise<void> => {
      for (let i = 0; i < 100 && proxy.seen.finished.length < proxy.seen.decided.length; i++) await pause(50)
    }
    const healthy = async (t: Test): Promise<void> => {
      app.answer(answers.ok)
      await settled()
      await t.resolves(exchange(proxy.address, request('GET /first')), 'what was not accepted yet has gone by')
      await settled()
      const reported = new Set(proxy.seen.finished.map(({ head }) => head))
      t.same(proxy.seen.decided.filter((head) => !reported.has(head)).map(({ method, target, headers }) => [method, target.slice(0, 200), headers.slice(0, 20)]), [], 'every verdict has its report')
      t.equal(proxy.seen.finished.length, proxy.seen.decided.length, 'and only one')
      t.same(crashes, [])
      t.same(malformed, [], 'answers are well formed')
      for (let i = 0; i < 10; i++) t.equal((await exchange(proxy.address, request(`GET /after/${i}`))).text, 'ok')
    }

    t.test('from clients', async (t) => {
      const count = await storm(0)
      t.comment(`${count} connections, ${proxy.seen.decided.length} decided, ${proxy.seen.refused.length} refused, ${app.requests.length} at the app`)
      await settled()
      t.ok(count > 20)
      t.ok(proxy.seen.refused.length > 10 && app.requests.length > 10, 'both happened')
      const decided = new Map<string, number>()
      for (const head of proxy.seen.decided) {
        const mark = `${head.method} ${encodeURI(head.target)}`
        decided.set(mark, (decided.get(mark) ?? 0) + 1)
      }
      for (const got of app.requests) {
        const [mark, ...others] = got.values(MARK)
        if (others.length > 0 || mark === undefined || mark !== `${got.method} ${encodeURI(got.target)}`) t.fail(`at the app, not as decided: ${got.raw}`)
        else if ((decided.get(mark) ?? 0) < 1) t.fail(`at the app, never decided: ${mark}`)
        if (/admin|evil/.test(got.values('x-user-id').join())) t.fail(`forged: ${got.raw}`)
      }
      t.same(app.anomalies.filter((each) => !each.startsWith('no request: ""')), [], 'the app got nothing but well-formed requests')
      await healthy(t)
    })

    t.test('from the app', async (t) => {
      app.clear()
      const dice = diceOf(SEED + 1000)
      app.answer(async (got, connection) => {
        await Promise.race([got.body.catch(() => {}), pause(20)])
        const bytes = dice.below(8) === 0 ? noise(dice) : mutate(dice, dice.pick(GOOD_RESPONSES))
        for (let at = 0; at < bytes.length;) {
          const step = dice.below(3) === 0 ? 1 + dice.below(20) : bytes.length
          await connection.write(bytes.slice(at, at + step))
          at += step
        }
        const leave = dice.below(4)
        if (leave === 0) connection.end()
        else if (leave === 1) connection.reset()
      })
      const count = await storm(2000)
      t.comment(`${count} connections, ${app.requests.length} answers of the app`)
      t.ok(app.requests.length > 10)
      await healthy(t)
    })

    t.test('nothing is left behind', async (t) => {
      await pause(1800)
      // The app's side of every pooled connection may stay open for a while; not one for each client that came.
      t.ok(app.open() <= 64, `${app.open()} connections to the app`)
      await proxy.close()
      await pause(50)
      t.equal(app.open(), 0)
    })
  })
}
