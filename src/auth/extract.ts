import { compileNames } from '../http/header-names.ts'
import type { TokenSourceConfig } from '../config/schema.ts'
import { deny } from '../telemetry/reason.ts'
import type { Denial } from '../telemetry/reason.ts'

/** A change to one header of the request, so that the app does not see the token. */
export interface HeaderEdit {
  /** Index of the header's name in the flat list. */
  readonly index: number
  /** The new value; undefined removes the header. */
  readonly value: string | undefined
  /**
   * Must be made even when the token is forwarded: the header is another spelling of the token's header (`X_Auth_Token`), which the app's
   * framework may take for it although nobody verified what it holds.
   */
  readonly always: boolean
}

/** What a request holds of tokens. */
export interface Extraction {
  /** The one token; undefined when there is none in any of the places; a denial when there are two, or what is there is not a token. */
  readonly token: string | Denial | undefined
  /** Changes that take every token out of the headers, in ascending order of index. Complete whatever `token` is. */
  readonly edits: readonly HeaderEdit[]
  /** The target without the token's query parameters, which are always removed; the same string when there were none. */
  readonly target: string
}

/** Finds the token in a request head, in the configured places. Pure. */
export type Extractor = (head: { readonly target: string, readonly headers: readonly string[] }) => Extraction

/** What one place holds: a candidate, a refusal, or nothing. */
type Finding = string | Denial

const NO_EDITS: readonly HeaderEdit[] = []

/** A header that may carry a token. */
interface HeaderPlace {
  /** In lower case. */
  readonly name: string
  /** Accepted schemes, lower case; empty: the whole value is the token. */
  readonly schemes: readonly string[]
  /** Finds a scheme at any place where a lenient reader could see one. */
  readonly mention: RegExp | undefined
}

const escape = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)

function compileHeaderPlaces(sources: readonly TokenSourceConfig[]): HeaderPlace[] {
  const schemes = new Map<string, string[]>()
  for (const source of sources) {
    if (!('header' in source)) continue
    const name = source.header.toLowerCase()
    const list = schemes.get(name) ?? []
    schemes.set(name, source.scheme === undefined ? list : [...list, source.scheme.toLowerCase()])
  }
  return [...schemes].map(([name, list]) => ({
    name,
    schemes: list,
    mention: list.length > 0 ? new RegExp(`(?<![\\w-])(?:${list.map(escape).join('|')})(?![\\w-])`, 'i') : undefined,
  }))
}

/** Reads `scheme 1*SP token` (RFC 9110 section 11.4, RFC 6750 section 2.1). */
function readCredentials(value: string, schemes: readonly string[]): Finding {
  const space = value.indexOf(' ')
  const scheme = (space === -1 ? value : value.slice(0, space)).toLowerCase()
  if (!schemes.includes(scheme)) return deny('scheme_unknown')
  let start = space
  while (value.charCodeAt(start) === 0x20) start++
  return space === -1 || start === value.length ? deny('token_malformed', 'a scheme without a token') : value.slice(start)
}

/** The value of `name` in one cookie, quotes removed (RFC 6265 section 4.1.1), or undefined when this is another cookie. */
function readCookie(crumb: string, names: readonly string[]): string | undefined {
  const equals = crumb.indexOf('=')
  if (equals === -1 || !names.includes(crumb.slice(0, equals).trim())) return undefined
  const value = crumb.slice(equals + 1).trim()
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
}

const decodeComponent = (text: string): string => {
  if (!/[%+]/.test(text)) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

/** The names of query parameters that may hold a token. However it is escaped, a name is no shorter than itself and no longer than all of its bytes escaped: nothing else is decoded. */
interface QueryNames {
  readonly names: readonly string[]
  readonly shortest: number
  readonly longest: number
}

const compileQueryNames = (names: readonly string[]): QueryNames =>
  ({ names, shortest: Math.min(...names.map(({ length }) => length)), longest: 3 * Math.max(...names.map((name) => Buffer.byteLength(name))) })

/** Takes the token's parameters out of a target. A parameter whose encoded name an app would decode to the same is the same. */
function takeQuery(target: string, { names, shortest, longest }: QueryNames, found: Finding[]): string {
  const mark = target.indexOf('?')
  if (mark === -1) return target
  const parts = target.slice(mark + 1).split('&')
  const kept: string[] = []
  const taken: string[] = []
  for (const part of parts) {
    const equals = part.indexOf('=')
    const raw = equals === -1 ? part : part.slice(0, equals)
    if (raw.length >= shortest && raw.length <= longest && names.includes(decodeComponent(raw))) taken.push(equals === -1 ? '' : decodeComponent(part.slice(equals + 1)))
    else kept.push(part)
  }
  if (taken.length === 0) return target
  // RFC 6750 section 2.3 has one parameter; a second one is refused even when it is the same (RFC 6749 section 3.1).
  found.push(taken.length === 1 ? taken[0]! : deny('token_ambiguous', 'the query parameter is repeated'))
  return target.slice(0, mark) + (kept.length > 0 ? `?${kept.join('&')}` : '')
}

/** Adds to a list that most requests put one element into: a list begun by `push` makes room for seventeen. */
function add<T>(list: T[] | undefined, item: T): T[] {
  if (list === undefined) return [item]
  list.push(item)
  return list
}

/** Comes to one answer: a refusal before anything, then one token wherever it was found. */
function conclude(found: readonly Finding[] | undefined, tokenBytes: number): string | Denial | undefined {
  if (found === undefined) return undefined
  const first = found[0]!
  const refusal = found.find((each) => typeof each !== 'string')
  if (refusal !== undefined) return refusal
  if (found.some((other) => other !== first)) return deny('token_ambiguous', 'two different tokens')
  return (first as string).length > tokenBytes ? deny('token_malformed', 'larger than limits.tokenBytes') : first
}

/**
 * Compiles where tokens are looked for.
 * @param sources `tokens` of the configuration
 * @param tokenBytes longest token
 */
export function compileExtractor(sources: readonly TokenSourceConfig[], tokenBytes: number): Extractor {
  const places = compileHeaderPlaces(sources)
  const cookies = sources.flatMap((source) => 'cookie' in source ? [source.cookie] : [])
  const queries = compileQueryNames(sources.flatMap((source) => 'query' in source ? [source.query] : []))
  // In any spelling: the headers to look at more closely.
  const isPlace = compileNames([...places.map((place) => place.name), ...cookies.length > 0 ? ['cookie'] : []])

  /** Reads a Cookie header: its tokens, and its value without them, or the same string. */
  const readCookies = (value: string): { readonly tokens: readonly string[], readonly rest: string } => {
    const crumbs = value.split(';')
    const tokens: string[] = []
    const kept = crumbs.filter((crumb) => {
      const token = readCookie(crumb, cookies)
      if (token !== undefined) tokens.push(token)
      return token === undefined
    })
    return { tokens, rest: tokens.length === 0 ? value : kept.join(';').trim() }
  }

  return ({ target, headers }) => {
    let found: Finding[] | undefined
    let edits: HeaderEdit[] | undefined
    let seen: HeaderPlace[] | undefined

    for (let index = 0; index < headers.length; index += 2) {
      const name = headers[index]!
      if (!isPlace(name)) continue
      const value = headers[index + 1]!
      const lower = name.toLowerCase()
      if (cookies.length > 0 && lower === 'cookie') {
        const { tokens, rest } = readCookies(value)
        for (const token of tokens) found = add<Finding>(found, token)
        if (tokens.length > 0) edits = add(edits, { index, value: rest === '' ? undefined : rest, always: false })
        continue
      }
      const place = places.find((each) => each.name === lower)
      if (!place) {
        edits = add(edits, { index, value: undefined, always: true })
        continue
      }
      const { schemes, mention } = place
      const finding = schemes.length > 0 ? readCredentials(value, schemes) : value
      found = add(found, finding)
      // What has none of our schemes (Basic on a public path) is the app's own affair.
      if (typeof finding === 'string' || mention!.test(value)) edits = add(edits, { index, value: undefined, always: false })
      // A second line of a header that may be there once (RFC 9110 section 5.3), even an equal one, is read differently by different readers.
      if (seen?.includes(place)) found = add<Finding>(found, deny('token_ambiguous', 'the header is repeated'))
      seen = add(seen, place)
    }

    if (queries.names.length === 0) return { token: conclude(found, tokenBytes), edits: edits ?? NO_EDITS, target }
    const all = found ?? []
    const rest = takeQuery(target, queries, all)
    return { token: conclude(all.length > 0 ? all : undefined, tokenBytes), edits: edits ?? NO_EDITS, target: rest }
  }
}
