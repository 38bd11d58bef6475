/**
 * Every case of the http-desync corpus (../shared/corpora/http-desync) replayed raw through a running proxy. Whatever its verdict: what reaches the app was
 * decided, is well formed, and is the same message; and what the corpus calls compliant passes.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { answers, startApp } from '../helpers/app.ts'
import { connect, request, type RawResponse } from '../helpers/raw.ts'
import { MARK, startProxy, transports } from '../helpers/transports.ts'

interface Case {
  readonly name: string
  readonly uri?: string
  readonly method?: string
  readonly version?: string
  readonly headers?: readonly { readonly name: string; readonly value: string | number | null }[]
  readonly expected: { readonly tier: 'Compliant' | 'Acceptable' | 'Ambiguous' | 'Severe'; readonly reason?: string }
}

const CORPUS = new URL('../../../shared/corpora/http-desync/', import.meta.url)

/** One case with its origin and bytes. `body` is what its own framing asks for, where it has one reading; then a second request follows. */
interface Replay {
  readonly title: string
  readonly tier: Case['expected']['tier']
  readonly real: boolean
  readonly method: string
  readonly bytes: Buffer
}

function loadCases(): Replay[] {
  return readdirSync(CORPUS).filter((file) => file.endsWith('.yaml')).flatMap((file) => {
    const cases = parse(readFileSync(new URL(file, CORPUS), 'utf8')) as Case[]
    return cases.map((each, i) => replay(each, `${file}#${i + 1} ${each.name}`, file.startsWith('real-life')))
  })
}

const text = (value: string | number | null | undefined): string => value === undefined || value === null ? '' : `${value}`

function replay(each: Case, title: string, real: boolean): Replay {
  const fields = (each.headers ?? []).map(({ name, value }) => `${text(name)}:${text(value)}`)
  // The corpus leaves Host out; a front end must see one, unless the case is about it.
  if (!(each.headers ?? []).some(({ name }) => /^\s*host/i.test(text(name)))) fields.unshift('Host: app')
  const line = [text(each.method), text(each.uri), text(each.version)].filter((part, i) => i < 2 || part !== '').join(' ')
  const values = (wanted: string): string[] => (each.headers ?? []).filter(({ name }) => text(name).toLowerCase() === wanted).map(({ value }) => text(value).trim())
  const length = values('content-length')[0]
  const body = values('transfer-encoding').length > 0 ? '5\r\nhello\r\n0\r\n\r\n' : length !== undefined && /^\d{1,7}$/.test(length) ? 'x'.repeat(Number(length)) : ''
  return { title, tier: each.expected.tier, real, method: text(each.method), bytes: Buffer.from(`${line}\r\n${fields.join('\r\n')}\r\n\r\n${body}`, 'latin1') }
}

/** Compliant for the corpus, refused by us, and why. */
const REFUSED_ON_PURPOSE: readonly (readonly [RegExp, string])[] = [
  [/Correct TE OK|identity and chunked|Multiple transfer encoding headers|TE with custom parameters|Different Transfer-Encoding|chunked;custom_param/,
    'only exactly `chunked` frames a request here: RFC 9112 section 6.1 lets a server refuse codings it does not know, and other readers differ on lists and parameters'],
  [/Empty URI/, 'RFC 9112 section 3.2: a request target is never empty'],
]

/** Not compliant to the letter, but seen in real life with one reading only: these pass. */
const PASSES_ALL_THE_SAME = /real-life-test-cases.*(Has a CL in GET|Has a TE in GET)/

if (!existsSync(CORPUS)) t.pass('skipped: ../shared/corpora/http-desync is not here', { skip: 'the corpus is not on this machine' })
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
