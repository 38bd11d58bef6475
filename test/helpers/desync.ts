/** The http-desync corpus (../shared/corpora/http-desync) as bytes, and what we make of it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { parse } from 'yaml'

interface Case {
  readonly name: string
  readonly uri?: string
  readonly method?: string
  readonly version?: string
  readonly headers?: readonly { readonly name: string; readonly value: string | number | null }[]
  readonly expected: { readonly tier: 'Compliant' | 'Acceptable' | 'Ambiguous' | 'Severe'; readonly reason?: string }
}

const CORPUS = new URL('../../../shared/corpora/http-desync/', import.meta.url)

/** Whether the corpus is on this machine. */
export const hasCorpus = existsSync(CORPUS)

/** One case with its origin and bytes. `body` is what its own framing asks for, where it has one reading; then a second request follows. */
export interface Replay {
  readonly title: string
  readonly tier: Case['expected']['tier']
  readonly real: boolean
  readonly method: string
  readonly bytes: Buffer
}

/** Every case of the corpus as bytes. */
export function loadCases(): Replay[] {
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
export const REFUSED_ON_PURPOSE: readonly (readonly [RegExp, string])[] = [
  [/Correct TE OK|identity and chunked|Multiple transfer encoding headers|TE with custom parameters|Different Transfer-Encoding|chunked;custom_param/,
    'only exactly `chunked` frames a request here: RFC 9112 section 6.1 lets a server refuse codings it does not know, and other readers differ on lists and parameters'],
  [/Empty URI/, 'RFC 9112 section 3.2: a request target is never empty'],
]

/** Not compliant to the letter, but seen in real life with one reading only: these pass. */
export const PASSES_ALL_THE_SAME = /real-life-test-cases.*(Has a CL in GET|Has a TE in GET)/
