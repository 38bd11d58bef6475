/**
 * What a head says about the message's end (RFC 9112 section 6) and the connection, and every doubt about it. llhttp has already
 * refused bad syntax; here goes what it lets through: other transfer codings, other protocols and versions, numbers too large.
 */
import type { Reason } from '../../telemetry/reason.ts'
import type { RequestHead } from '../contract.ts'
import { isName } from '../header-names.ts'
import { FRAMING_ERRORS, INVALID_VERSION, TOO_MANY_FIELDS, type Parser } from './llhttp.ts'

/** Kinds of body. */
export const NONE = 0
export const LENGTH = 1
export const CHUNKED = 2
/** Until the connection's end; responses only. */
export const CLOSE = 3

/** What was read out of a head. Reused: one per connection side. */
export class Framing {
  kind = NONE
  /** Body bytes still to come, for LENGTH. */
  length = 0
  /** A Content-Length was there, be it 0. */
  hasLength = false
  /** Expect fields, and whether one of them is something else than 100-continue. */
  expectations = 0
  badExpectation = false
  /** The sender will close, or must be closed after this message. */
  close = false
  /** `Connection` as sent, all its lines joined, lower case; '' when there was none. */
  connection = ''
  /** `Upgrade` as sent. */
  upgrade = ''
  /** `Keep-Alive` as sent (the app's promise of how long it keeps the connection). */
  keepAlive = ''

  /** Between two messages: a piece of a head keeps all of that head's text (attack A14). */
  forget(): void { this.connection = this.upgrade = this.keepAlive = '' }
}

const NUMBER = /^\d{1,15}$/

/**
 * Reads the fields that matter for framing and the connection into `framing`.
 * @returns false when the message could be read in two ways
 */
export function readFields(headers: readonly string[], framing: Framing): boolean {
  framing.kind = NONE
  framing.length = 0
  framing.hasLength = framing.badExpectation = framing.close = false
  framing.connection = framing.upgrade = framing.keepAlive = ''
  framing.expectations = 0
  let codings = 0
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!
    const value = headers[at + 1]!
    switch (name.length) {
      case 6: if (isName(name, 'expect')) readExpect(value, framing); break
      case 7: if (isName(name, 'upgrade')) framing.upgrade += (framing.upgrade && ',') + value; break
      case 10: readConnection(name, value, framing); break
      case 14:
        if (!isName(name, 'content-length')) break
        if (framing.hasLength || !NUMBER.test(value)) return false
        framing.hasLength = true
        framing.length = Number(value)
        break
      case 17:
        if (!isName(name, 'transfer-encoding')) break
        if (codings++ > 0 || value.toLowerCase() !== 'chunked') return false
        framing.kind = CHUNKED
    }
  }
  if (framing.hasLength) {
    if (framing.kind === CHUNKED) return false
    if (framing.length > 0) framing.kind = LENGTH
  }
  return true
}

function readExpect(value: string, framing: Framing): void {
  framing.expectations++
  if (value.toLowerCase() !== '100-continue') framing.badExpectation = true
}

function readConnection(name: string, value: string, framing: Framing): void {
  if (isName(name, 'connection')) {
    const options = value.toLowerCase()
    framing.connection += (framing.connection && ',') + options
    if (hasToken(options, 'close')) framing.close = true
  } else if (isName(name, 'keep-alive')) framing.keepAlive = value
}

/** Whether a comma-separated list has the word; both in lower case. */
export function hasToken(list: string, word: string): boolean {
  if (list === word) return true
  return list.includes(word) && list.split(',').some((part) => part.trim() === word)
}

/**
 * Reads a request's fields into `framing`.
 * @returns why it must be refused
 */
export function requestFault({ headers, method, target, version }: RequestHead, framing: Framing, targetBytes: number): Reason | undefined {
  if (target.length > targetBytes) return 'target_too_long'
  if (!readFields(headers, framing) || (version === '1.0' && framing.kind === CHUNKED)) return 'ambiguous_framing'
  if (method === 'CONNECT') return 'method_refused'
  return version === '1.1' && (framing.badExpectation || framing.expectations > 1) ? 'expectation_failed' : undefined
}

/** Protocols over TCP whose offer is dropped and the request served as it is: nobody means them here (attack S7). */
const IGNORED_UPGRADES = /^(h2c|tls\/.*)$/

/** The upgrade that a request asks for, lower case and not further checked; undefined when it asks for none (or for one that is ignored). */
export function upgradeAsked(framing: Framing): string | undefined {
  const asked = framing.upgrade.toLowerCase()
  return asked === '' || IGNORED_UPGRADES.test(asked) || !hasToken(framing.connection, 'upgrade') ? undefined : asked
}

/**
 * Checks the request line as it stood on the wire: one space between the parts, HTTP and nothing else, version 1.0 or 1.1. llhttp reads
 * several spaces as one, and also RTSP, ICE, HTTP/0.9 and HTTP/2.0.
 * @returns the minor version, or the reason to refuse
 */
export function requestVersion(parser: Parser): 0 | 1 | Reason {
  const { method, target, raw } = parser
  const at = method.length + 1 + target.length
  if (raw.startsWith(method) && raw.charCodeAt(method.length) === 32 && raw.startsWith(target, method.length + 1) && raw.startsWith(' HTTP/1.', at)) {
    const minor = raw.charCodeAt(at + 8) - 48
    if ((minor === 0 || minor === 1) && raw.charCodeAt(at + 9) === 13) return minor
  }
  const version = parser.major * 10 + parser.minor
  return version === 10 || version === 11 ? 'malformed_request' : 'version_refused'
}

const OTHER_VERSION = /^[A-Z-]+ \S+ HTTP\/(?!1\.[01]$)\d\.\d$/

/** Why a parser stopped. */
export function parseFailure(parser: Parser): Reason {
  if (parser.error === TOO_MANY_FIELDS) return 'headers_too_large'
  if (FRAMING_ERRORS.has(parser.error)) return 'ambiguous_framing'
  return parser.error === INVALID_VERSION && OTHER_VERSION.test(parser.raw) ? 'version_refused' : 'malformed_request'
}

/**
 * How the response's body ends (RFC 9112 section 6.3), after {@link readFields}.
 * @param method of the request it answers
 * @returns false when it could be read in two ways
 */
export function responseBody(parser: Parser, method: string, framing: Framing): boolean {
  const { status } = parser
  const old = parser.minor === 0
  if (!parser.raw.startsWith('HTTP/1.') || status < 100) return false
  if (old) {
    if (framing.kind === CHUNKED) return false
    if (!hasToken(framing.connection, 'keep-alive')) framing.close = true
  }
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) framing.kind = NONE
  else if (framing.kind === NONE && !framing.hasLength) {
    framing.kind = CLOSE
    framing.close = true
  }
  return true
}
