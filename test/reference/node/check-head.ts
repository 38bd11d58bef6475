/**
 * What Node's parser lets through and this transport does not: every head whose end could be read in two ways, versions other than 1.0 and
 * 1.1, heads beyond the limits. RFC 9112 sections 2.3, 6.1, 6.3; attacks S1, S2, S11, S13, H11.
 */
import type { Reason } from '../../../src/telemetry/reason.ts'
import type { RequestHead, TransportLimits } from '../../../src/http/contract.ts'
import { nominated } from '../../../src/http/hop-by-hop.ts'

/** How the request body is delimited. Undefined: there is none; a length of undefined: chunked. */
export type BodyFraming = undefined | { readonly length: number | undefined }

/** A head that passed the checks. */
export interface CheckedHead {
  readonly body: BodyFraming
  /** The client waits for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean
}

interface Found {
  lengths: number
  length: string
  codings: number
  coding: string
  expectations: number
  expectation: string
}

/** @returns what the transport needs to know of the head, or why it is refused before anyone decides on it */
export function checkHead(head: RequestHead, version: string, limits: TransportLimits): CheckedHead | Reason {
  if (version !== '1.1' && version !== '1.0') return 'version_refused'
  if (head.headers.length > limits.headerCount * 2) return 'headers_too_large'
  if (head.target.length > limits.targetBytes) return 'target_too_long'
  if (head.method === 'CONNECT') return 'method_refused'
  const found = scan(head.headers)
  const body = framing(found, head.version)
  if (typeof body === 'string') return 'ambiguous_framing'
  if (head.version === '1.0' || found.expectations === 0) return { body, expectsContinue: false }
  if (found.expectations > 1 || found.expectation.trim().toLowerCase() !== '100-continue') return 'expectation_failed'
  return { body, expectsContinue: body !== undefined }
}

/** One pass over the fields that matter; counts them, so that repetition is seen. */
function scan(headers: readonly string[]): Found {
  const found: Found = { lengths: 0, length: '', codings: 0, coding: '', expectations: 0, expectation: '' }
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (name.length === 14 && name.toLowerCase() === 'content-length') {
      found.lengths++
      found.length = headers[i + 1]!
    } else if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') {
      found.codings++
      found.coding = headers[i + 1]!
    } else if (name.length === 6 && name.toLowerCase() === 'expect') {
      found.expectations++
      found.expectation = headers[i + 1]!
    }
  }
  return found
}

/** RFC 9112 section 6.3, without its allowances: a repeated Content-Length is refused even when the copies agree. */
function framing(found: Found, version: RequestHead['version']): BodyFraming | 'ambiguous_framing' {
  if (found.codings > 0) {
    const plain = found.codings === 1 && found.lengths === 0 && version === '1.1' && found.coding.toLowerCase() === 'chunked'
    return plain ? { length: undefined } : 'ambiguous_framing'
  }
  if (found.lengths === 0) return undefined
  // 15 digits stay exact in a double.
  if (found.lengths > 1 || !/^\d{1,15}$/.test(found.length)) return 'ambiguous_framing'
  const length = Number(found.length)
  return length === 0 ? undefined : { length }
}

/** Protocols over TCP that are not offered by `Upgrade` in earnest here: their offer is dropped and the request served as it is (attack S7). */
const IGNORED_UPGRADES = /^(h2c|tls\/.*)$/

/**
 * Whether the request asks to upgrade, and to what.
 * @returns the protocol in lower case, `many` for something other than one protocol, undefined for none (or an offer such as `h2c` that is not taken up)
 */
export function upgradeOf(headers: readonly string[]): string | undefined {
  let asked: string | undefined
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (name.length === 7 && name.toLowerCase() === 'upgrade') asked = asked === undefined ? headers[i + 1]!.trim().toLowerCase() : 'many'
  }
  if (asked === undefined || IGNORED_UPGRADES.test(asked) || !nominated(headers).includes('upgrade')) return undefined
  return /^[!#$%&'*+.^_`|~0-9a-z/-]+$/.test(asked) ? asked : 'many'
}
