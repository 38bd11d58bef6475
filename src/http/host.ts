/** The `Host` header (RFC 9110 section 7.2, RFC 9112 section 3.2): exactly one, with one reading (attack P13). */
import { detach } from '../lib/detach.ts'
import { deny, type Denial } from '../telemetry/reason.ts'
import { indexOf, valuesOf } from './header-names.ts'

/**
 * A name or IPv4 address, or an IPv6 literal in brackets; then an optional port. Percent-escapes, userinfo and the rest of `reg-name` have
 * no use here.
 */
const HOST = /^(?:([A-Za-z0-9._-]{1,255})|(\[[0-9A-Fa-f:.]{2,45}\]))(?::\d{0,5})?$/

/**
 * Reads the host a request is for.
 * @param headers flat list as received
 * @param version an HTTP/1.0 request may come without a Host
 * @returns the host in the form that rules are matched on ('' for HTTP/1.0 without one), or `bad_host`
 */
export function readHost(headers: readonly string[], version: '1.0' | '1.1'): string | Denial {
  const at = indexOf(headers, 'host')
  if (at < 0) return version === '1.0' ? '' : deny('bad_host', 'no Host header')
  if (indexOf(headers, 'host', at + 2) >= 0) return deny('bad_host', `${valuesOf(headers, 'host').length} Host headers`)
  if (headers[at + 1] === last.text) return last.host
  // What is remembered must not keep the head alive that it was cut from, and the token in it.
  const text = detach(headers[at + 1]!)
  const host = canonicalHost(text)
  if (host === undefined) return deny('bad_host', 'not a host and optional port')
  last = { text, host }
  return host
}

/** The host read last: almost all requests of a pod are for the same one. */
let last = { text: 'localhost', host: 'localhost' }

/**
 * The form of a host in which it is compared: lower case, without port and without the root's dot.
 * @returns undefined when the text is not a host and optional port
 */
export function canonicalHost(text: string): string | undefined {
  const match = HOST.exec(text)
  const host = match?.[1] ?? match?.[2]
  if (host === undefined || host.startsWith('.') || host.includes('..')) return undefined
  return host.toLowerCase().replace(/\.$/, '')
}
