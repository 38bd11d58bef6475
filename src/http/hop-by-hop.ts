/**
 * Hop-by-hop headers (RFC 9110 section 7.6.1) are ours to consume. They are taken out BEFORE the sidecar adds its own headers, so that a
 * client's `Connection: X-User-Id` can never remove what we add (attacks H7, H8; the fault of many proxies).
 */
import { deny, isDenial, type Denial } from '../telemetry/reason.ts'
import { compileNames, indexOf, valuesOf } from './header-names.ts'

/** Headers for one connection only. `Proxy` is no such header, but CGI reads it as `HTTP_PROXY` (httpoxy), and nobody sends it in earnest. */
export const HOP_BY_HOP = [
  'Connection', 'Keep-Alive', 'Proxy-Connection', 'Proxy-Authenticate', 'Proxy-Authorization', 'Proxy-Authentication-Info', 'Proxy',
  'TE', 'Trailer', 'Transfer-Encoding', 'Upgrade', 'HTTP2-Settings',
] as const

/** Framing and `Expect`: the transport writes its own (see `Forward.headers` in contract.ts). */
const FRAMING = ['Content-Length', 'Expect'] as const

/** Whether a header, in any spelling (`Transfer_Encoding` too), is hop-by-hop. */
export const isHopByHop = compileNames(HOP_BY_HOP)

const isConsumed = compileNames([...HOP_BY_HOP, ...FRAMING])

/** What `Connection` must not name: without them the message is another message. */
const isMessageItself = compileNames(['Host', 'Content-Length', 'Transfer-Encoding'])

/** The names in the `Connection` headers of a message, in lower case, without empty elements. */
export function nominated(headers: readonly string[]): string[] {
  const values = valuesOf(headers, 'connection')
  return values.length === 0 ? [] : values.join().toLowerCase().split(',').map((name) => name.trim()).filter(Boolean)
}

/** A header that is changed on its way, or taken out. */
export interface HeaderChange {
  /** Index of the header's name in the flat list. */
  readonly index: number
  /** The new value; undefined takes the header out. */
  readonly value: string | undefined
}

/**
 * The end-to-end part of a request's headers, in wire order.
 * @param headers flat list as received
 * @param strips further headers to leave out: identity headers, forwarding headers
 * @param changes of single headers, in ascending order of index: those that carry the token
 * @returns a new flat list without hop-by-hop and framing headers, those that `Connection` names, and those that `strips` says; or
 *   `protected_connection` when `Connection` names Host, Content-Length or Transfer-Encoding
 */
export function endToEnd(headers: readonly string[], strips: (name: string) => boolean, changes: readonly HeaderChange[] = []): string[] | Denial {
  const named = checkedNominations(headers)
  if (isDenial(named)) return named
  const kept: string[] = []
  let next = 0
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    let value = headers[i + 1]
    if (next < changes.length && changes[next]!.index === i) value = changes[next++]!.value
    if (value === undefined || isConsumed(name) || strips(name) || (named.size > 0 && named.has(name.toLowerCase()))) continue
    kept.push(name, value)
  }
  return kept
}

/** Options of `Connection` that name no header field to look for: by far the most common content. */
const OPTIONS = new Set(['close', 'keep-alive', 'upgrade', 'te'])

const NONE: ReadonlySet<string> = new Set()

function checkedNominations(headers: readonly string[]): ReadonlySet<string> | Denial {
  const at = indexOf(headers, 'connection')
  if (at < 0 || (OPTIONS.has(headers[at + 1]!) && indexOf(headers, 'connection', at + 2) < 0)) return NONE
  const named = nominated(headers).filter((name) => !OPTIONS.has(name))
  const protectedName = named.find(isMessageItself)
  return protectedName === undefined ? new Set(named) : deny('protected_connection', `Connection names ${protectedName}`)
}

/**
 * The protocol that a request asks to upgrade to, if it is one of the allowed.
 * @param allowed protocol names in lower case; `h2c` belongs there only if someone means it (attack S7)
 * @returns the protocol in lower case, or undefined: `Connection` does not name `upgrade`, not exactly one protocol is asked for, or it is
 *   not allowed
 */
export function readUpgrade(headers: readonly string[], allowed: ReadonlySet<string>): string | undefined {
  const at = indexOf(headers, 'upgrade')
  if (at < 0 || indexOf(headers, 'upgrade', at + 2) >= 0) return undefined
  const protocol = headers[at + 1]!.trim().toLowerCase()
  return allowed.has(protocol) && nominated(headers).includes('upgrade') ? protocol : undefined
}
