/** Identity headers and the places of tokens: names that are safe to own, each once. */
import { fold, compileNames } from '../../http/header-names.ts'
import { HOP_BY_HOP } from '../../http/hop-by-hop.ts'
import { FOREIGN_IDENTITY_HEADERS, ORIGIN_HEADERS, OVERRIDE_HEADERS } from '../../http/forwarded.ts'
import type { ConfigPath, Reports } from '../problem.ts'
import type { TokenSourceConfig } from '../schema.ts'
import type { Draft } from '../validate.ts'

/** Whoever removes one of these from requests and responses breaks the message. */
const MESSAGE_HEADERS = [...HOP_BY_HOP, 'Host', 'Content-Length', 'Expect', 'Content-Type', 'Content-Encoding', 'Date'] as const

/** Headers with a meaning of their own that a claim must not take over. */
const STANDARD_HEADERS = [
  'Authorization', 'WWW-Authenticate', 'Cookie', 'Set-Cookie', 'Accept', 'Accept-Encoding', 'Accept-Language', 'Accept-Charset', 'Accept-Ranges',
  'Access-Control-Allow-Origin', 'Access-Control-Allow-Credentials', 'Access-Control-Request-Method', 'Access-Control-Request-Headers', 'Age', 'Allow', 'Alt-Svc',
  'Cache-Control', 'Content-Disposition', 'Content-Language', 'Content-Location', 'Content-Range', 'Content-Security-Policy', 'ETag', 'Expires', 'From',
  'If-Match', 'If-Modified-Since', 'If-None-Match', 'If-Range', 'If-Unmodified-Since', 'Last-Modified', 'Link', 'Location', 'Origin', 'Pragma', 'Range',
  'Referer', 'Retry-After', 'Sec-WebSocket-Accept', 'Sec-WebSocket-Extensions', 'Sec-WebSocket-Key', 'Sec-WebSocket-Protocol', 'Sec-WebSocket-Version', 'Server',
  'Strict-Transport-Security', 'Traceparent', 'Tracestate', 'User-Agent', 'Vary', 'Via', ...ORIGIN_HEADERS, ...OVERRIDE_HEADERS,
] as const

const breaksMessages = compileNames(MESSAGE_HEADERS)
const isStandard = compileNames(STANDARD_HEADERS)

export function checkIdentity(draft: Draft, reports: Reports): void {
  const headers = draft.identity?.headers ?? {}
  const path = ['identity', 'headers']
  const seen = new Map<string, string>()
  for (const name of Object.keys(headers)) {
    const here = [...path, name]
    if (breaksMessages(name) || isStandard(name)) reports.error(here, 'this header has a meaning of its own in HTTP; choose another name, such as X-User-Id')
    const twin = seen.get(fold(name))
    if (twin !== undefined) reports.error(here, `to many frameworks this is the same header as ${twin}; keep one of them`)
    seen.set(fold(name), name)
  }
  for (const [index, name] of draft.identity?.alsoStrip?.entries() ?? []) {
    if (breaksMessages(name)) reports.error(['identity', 'alsoStrip', index], `without ${name} messages cannot be understood; remove it from the list`)
  }
  checkTokens(draft, seen, reports)
  checkTenantHeaders(draft, reports)
}

function checkTokens(draft: Draft, identityHeaders: ReadonlyMap<string, string>, { error, warn }: Reports): void {
  const places = new Map<string, number>()
  for (const [index, source] of draft.tokens?.entries() ?? []) {
    if (source === undefined) continue
    const path: ConfigPath = ['tokens', index]
    const place = placeOf(source)
    const earlier = places.get(place)
    if (earlier !== undefined) error(path, `the same place as tokens[${earlier}]; remove one of them`)
    places.set(place, index)
    const shadow = earlier === undefined ? shadowOf(source, draft.tokens ?? []) : -1
    if (shadow >= 0) error(path, `tokens[${shadow}] is the same header with a scheme, so without one nothing is taken from it; name the scheme, or keep only one of them`)
    if ('query' in source) warn(path, 'tokens in URLs end up in histories and logs of others (RFC 6750 section 5.3); prefer a header')
    if ('cookie' in source && !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(source.cookie)) error([...path, 'cookie'], `${JSON.stringify(source.cookie)} cannot be a cookie's name (RFC 6265)`)
    if ('header' in source) checkTokenHeader(source.header, [...path, 'header'], identityHeaders, error)
  }
}

function checkTokenHeader(name: string, path: ConfigPath, identityHeaders: ReadonlyMap<string, string>, error: Reports['error']): void {
  const twin = identityHeaders.get(fold(name))
  if (breaksMessages(name)) error(path, `${name} has a meaning of its own in HTTP; choose another header`)
  if (twin !== undefined) error(path, `the identity header ${twin} has this name, too; choose another for one of them`)
}

/** The place with a scheme in the header of a place without one, in any spelling, or -1. */
function shadowOf(source: TokenSourceConfig, all: readonly (TokenSourceConfig | undefined)[]): number {
  if (!('header' in source) || source.scheme !== undefined) return -1
  return all.findIndex((other) => other !== undefined && 'header' in other && other.scheme !== undefined && fold(other.header) === fold(source.header))
}

/** The app must read the tenant where the sidecar read it, so not from a header that is consumed, removed or written anew on its way. */
function checkTenantHeaders({ identity, rules, tokens }: Draft, { error }: Reports): void {
  const changed = compileNames([
    ...HOP_BY_HOP, 'Host', 'Content-Length', 'Expect', ...ORIGIN_HEADERS, ...OVERRIDE_HEADERS, ...FOREIGN_IDENTITY_HEADERS,
    ...Object.keys(identity?.headers ?? {}), ...identity?.alsoStrip ?? [], ...(tokens ?? []).flatMap((source) => source !== undefined && 'header' in source ? [source.header] : []),
  ])
  for (const [index, rule] of rules?.entries() ?? []) {
    const header = rule?.require?.tenant?.header
    if (header !== undefined && changed(header)) error(['rules', index, 'require', 'tenant', 'header'], `the app does not get ${header} as the client sent it; choose a header of its own, such as X-Tenant`)
  }
}

const placeOf = (source: TokenSourceConfig): string => {
  if ('cookie' in source) return `cookie ${source.cookie}`
  return 'query' in source ? `query ${source.query}` : `header ${fold(source.header)} ${source.scheme?.toLowerCase() ?? ''}`
}
