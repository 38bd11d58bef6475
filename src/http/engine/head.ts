/**
 * Heads as text. Every string that goes onto the wire here came off the wire through llhttp, is a literal of ours, or is checked:
 * a header of the verdict that the request did not have must be a token and a value without control characters or characters beyond
 * latin1, which the encoding would cut into something else (U+010D into CR).
 */
import type { Forward, Reply, RequestHead } from '../contract.ts'
import { isHopByHop } from '../hop-by-hop.ts'
import { STATUS_TEXT } from '../status-text.ts'
import { CHUNKED, LENGTH, hasToken, type Framing } from './framing.ts'
import { Lines, type Received } from './lines.ts'
import type { Parser } from './llhttp.ts'

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const PHRASE = /^[\t\x20-\x7e]*$/
const TARGET = /^[\x21-\x7e]+$/

/** Names that were looked at before: those of the configuration and of our own code, of which there are few. */
const TOKENS = new Set<string>()
const MOST_TOKENS = 256

function isToken(name: string): boolean {
  if (TOKENS.has(name)) return true
  if (!TOKEN.test(name)) return false
  if (TOKENS.size < MOST_TOKENS) TOKENS.add(name)
  return true
}

/**
 * The request for the app.
 * @param received the head as it was read
 * @param framing of the client's request: its body keeps its kind
 * @param upgrade protocol to ask for
 * @returns undefined when the verdict holds what cannot be sent
 */
export function requestText(head: RequestHead, received: Received, verdict: Forward, framing: Framing, upgrade: string | undefined): string | undefined {
  const { headers, target } = verdict
  const own = head.headers
  if (target !== head.target && !TARGET.test(target)) return undefined
  const lines = new Lines(received, `${head.method} ${target} HTTP/1.1\r\n`)
  let next = 0
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!
    const value = headers[at + 1]!
    let known = next
    while (known < own.length && !(own[known] === name && own[known + 1] === value)) known += 2
    if (known < own.length) {
      lines.pass(known >> 1, name, value)
      next = known + 2
    } else if (isToken(name) && VALUE.test(value)) lines.add(name, value)
    else return undefined
  }
  let { text } = lines
  if (framing.kind === CHUNKED) text += 'Transfer-Encoding: chunked\r\n'
  else if (framing.hasLength) text += `Content-Length: ${framing.length}\r\n`
  if (upgrade !== undefined) text += `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`
  return `${text}\r\n`
}

/** How a response goes to the client. */
export interface ResponseShape {
  readonly method: string
  /** Say `Connection: close`. */
  readonly close: boolean
  /** The body is sent in chunks. */
  readonly chunked: boolean
  /** For 101: the protocol. */
  readonly upgrade: string | undefined
}

/** The app's response head for the client: hop-by-hop fields, those that `Connection` names and those that the verdict drops are left out. */
export function responseText(parser: Parser, framing: Framing, verdict: Forward, shape: ResponseShape): string {
  const { headers, status } = parser
  const named = namesNoField(framing.connection) ? undefined : framing.connection
  const lines = new Lines(parser, parser.reasonPhrase === 'OK' ? `HTTP/1.1 ${status} OK\r\n` : `HTTP/1.1 ${status} ${PHRASE.test(parser.reasonPhrase) ? parser.reasonPhrase : ''}\r\n`)
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!
    if (isHopByHop(name) || isLength(name) || verdict.dropsResponseHeader(name)) continue
    if (named !== undefined && hasToken(named, name.toLowerCase())) continue
    lines.pass(at >> 1, name, headers[at + 1]!)
  }
  let { text } = lines
  if (shape.upgrade !== undefined) return `${text}Connection: Upgrade\r\nUpgrade: ${shape.upgrade}\r\n\r\n`
  if (shape.chunked) text += 'Transfer-Encoding: chunked\r\n'
  else if (framing.hasLength && saysLength(status, shape.method, framing)) text += `Content-Length: ${framing.length}\r\n`
  return shape.close ? `${text}Connection: close\r\n\r\n` : `${text}\r\n`
}

/** Whether a response is a stream of server-sent events. */
export function isEventStream(headers: readonly string[]): boolean {
  return headers.some((name, at) => at % 2 === 0 && name.toLowerCase() === 'content-type' && headers[at + 1]!.startsWith('text/event-stream'))
}

/** Whether `Connection` holds options only. */
const namesNoField = (connection: string): boolean => connection === '' || connection === 'keep-alive' || connection === 'close' || connection === 'upgrade'

const isLength = (name: string): boolean => name.length === 14 && name.toLowerCase() === 'content-length'

/** RFC 9110 section 8.6: never in 1xx and 204; in an answer to HEAD and in 304 it tells of a body that is not there. */
function saysLength(status: number, method: string, framing: Framing): boolean {
  return framing.kind === LENGTH || method === 'HEAD' || status === 304 || (status >= 200 && status !== 204)
}

/** Never in a trailer: what frames, routes, or says what the content is (RFC 9110 section 6.5.1). */
const NOT_IN_TRAILERS = new Set(['content-length', 'content-encoding', 'content-type', 'content-range', 'set-cookie', 'host', 'location', 'cache-control', 'expect', 'authorization'])

/** Trailers that may pass, as text with the closing empty line. */
export function trailersText(trailers: readonly string[], drops: (name: string) => boolean): string {
  let text = ''
  for (let at = 0; at < trailers.length; at += 2) {
    const name = trailers[at]!
    if (!isHopByHop(name) && !NOT_IN_TRAILERS.has(name.toLowerCase()) && !drops(name)) text += `${name}: ${trailers[at + 1]!}\r\n`
  }
  return `${text}\r\n`
}

let second = 0
let date = ''
function httpDate(): string {
  const now = Math.floor(Date.now() / 1000)
  if (now !== second) {
    second = now
    date = new Date(now * 1000).toUTCString()
  }
  return date
}

/** An answer of our own, body included. Fields that cannot be sent are left out. */
export function replyText(reply: Reply, method: string, close: boolean): string {
  const { status, headers } = reply
  const body = Buffer.from(reply.body, 'utf8')
  let text = `HTTP/1.1 ${status} ${STATUS_TEXT[status] ?? ''}\r\nDate: ${httpDate()}\r\n`
  for (let at = 0; at < headers.length; at += 2) {
    if (TOKEN.test(headers[at]!) && VALUE.test(headers[at + 1]!)) text += `${headers[at]}: ${headers[at + 1]}\r\n`
  }
  if (status !== 204 && status !== 304) text += `Content-Length: ${body.length}\r\n`
  text += close ? 'Connection: close\r\n\r\n' : '\r\n'
  return method === 'HEAD' || status === 204 || status === 304 ? text : text + body.toString('latin1')
}
