/**
 * Every case of the http-desync corpus (../shared/corpora/http-desync) replayed raw through a running proxy. Whatever its verdict: what reaches the app was
 * decided, is well formed, and is the same message; and what the corpus calls compliant passes.
 */
import t from 'tap'
import { answers, startApp } from '../helpers/app.ts'
import { connect, request, type RawResponse } from '../helpers/raw.ts'
import { hasCorpus, loadCases, PASSES_ALL_THE_SAME, REFUSED_ON_PURPOSE } from '../helpers/desync.ts'
import { MARK, startProxy, transports } from '../helpers/transports.ts'

// Both transports at once: most of the time is waiting.
t.jobs = 2

if (!hasCorpus) t.pass('skipped: ../shared/corpora/http-desync is not here', { skip: 'the corpus is not on this machine' })
else {
  for (const [name, start] of transports) {
    t.test(name, async (t) => {
      const app = await startApp(answers.ok)
      const proxy = await startProxy(start, app.address)
      t.teardown(async () => { await proxy.close(); await app.close() })
      const tally: Record<string, number> = {}

      for (const { title, tier, bytes, real, method } of loadCases()) {
        t.test(title, async (t) => {
          app.clear()
          for (const list of Object.values(proxy.seen)) list.length = 0
          const client = await connect(proxy.address)
          await client.send(bytes, request('GET /behind'))
          const first = await client.next(method)
          const passed = first.status === 200
          const second: RawResponse | undefined = await client.next('GET', passed ? 3000 : 300).catch(() => undefined)
          if (!passed) t.not(await client.closed(), 'open', 'a refused message ends the connection')
          client.destroy()

          t.same(app.anomalies, [], 'the app got nothing but well-formed requests')
          for (const got of app.requests) t.equal(got.values(MARK).length, 1, `the app got ${got.target}: decided`)
          t.equal(app.requests.length, proxy.seen.decided.length, 'as many requests at the app as decided')
          if (passed) {
            t.same(app.requests.map((got) => got.target).slice(1), ['/behind'], 'behind it the app sees the next request and nothing else')
            t.equal(second?.status, 200)
          } else {
            t.same(app.requests, [], 'refused, and nothing of it or behind it at the app')
            t.ok(proxy.seen.refused.length === 1, `one reason: ${proxy.seen.refused[0]?.reason}`)
          }
          const excuse = REFUSED_ON_PURPOSE.find(([pattern]) => pattern.test(title))?.[1]
          if (tier === 'Compliant' && excuse === undefined) t.ok(passed, `compliant, so it passes (${proxy.seen.refused[0]?.reason})`)
          if (excuse !== undefined) t.notOk(passed, `refused on purpose: ${excuse}`)
          if (PASSES_ALL_THE_SAME.test(title)) t.ok(passed, 'a legitimate real-life case')
          if (tier === 'Severe') t.notOk(passed, 'severe, so it is refused')
          const key = `${real ? 'real life, ' : ''}${tier} ${passed ? 'passed' : `refused (${proxy.seen.refused[0]?.reason})`}`
          tally[key] = (tally[key] ?? 0) + 1
        })
      }
      t.test('tally', (t) => {
        for (const [key, count] of Object.entries(tally).sort(([a], [b]) => a.localeCompare(b))) t.comment(`${key}: ${count}`)
        t.end()
      })
    })
  }
}
