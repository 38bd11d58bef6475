/**
 * Heads as text. Every string that goes onto the wire here came off the wire through llhttp, is a literal of ours, or is checked:
 * a header of the verdict that the request did not have must be a token and a value without control characters or characters beyond
 * latin1, which the encoding would cut into something else (U+010D into CR).
 */
import type { Forward, Reply, RequestHead } from '../contract.ts'
import { detach } from '../../lib/detach.ts'
import { isName } from '../header-names.ts'
import { isHopByHop } from '../hop-by-hop.ts'
import { STATUS_TEXT } from '../status-text.ts'
import { CHUNKED, LENGTH, hasToken, type Framing } from './framing.ts'
import { Lines, type Received } from './lines.ts'
import type { Parser } from './llhttp.ts'

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const PHRASE = /^[\t\x20-\x7e]*$/
const TARGET = /^[\x21-\x7e]+$/

/** Names that were added before, those of the configuration and of our own code, of which there are few, each with a line that may well come again. */
const ADDED = new Map<string, { value: string, line: string, misses: number }>()
const MOST_ADDED = 256
/** A line that differs from one request to the next is remembered so seldom that it costs nothing. */
const REMEMBER_EVERY = 16

/** The line of a field that was not received, or undefined when it cannot be sent. */
function addedLine(name: string, value: string): string | undefined {
  const known = ADDED.get(name)
  if (known?.value === value) return known.line
  if ((known === undefined && !TOKEN.test(name)) || !VALUE.test(value)) return undefined
  const line = `${name}: ${value}\r\n`
  // Copies: a value may be a piece of somebody's head, which must not be kept for it.
  if (known === undefined) {
    if (ADDED.size < MOST_ADDED) ADDED.set(detach(name), { value: detach(value), line: detach(line), misses: 0 })
  } else if (known.misses++ % REMEMBER_EVERY === 0) {
    known.value = detach(value)
    known.line = detach(line)
  }
  return line
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
    } else {
      const line = addedLine(name, value)
      if (line === undefined) return undefined
      lines.add(line)
    }
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

const isLength = (name: string): boolean => isName(name, 'content-length')

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

/** An answer of our own, but for what differs from one time to the next. */
interface PreparedReply {
  readonly status: number
  readonly text: string
  readonly fields: string
  /** The text in UTF-8, one character a byte. */
  readonly body: string
}

/** By the list of headers, which the replies of one reason share: in a flood each is made once. */
const PREPARED = new WeakMap<readonly string[], PreparedReply>()

function prepare(reply: Reply): PreparedReply {
  const { status, headers, body: text } = reply
  const known = PREPARED.get(headers)
  if (known?.text === text && known.status === status) return known
  const body = Buffer.from(text, 'utf8')
  let fields = ''
  for (let at = 0; at < headers.length; at += 2) {
    if (TOKEN.test(headers[at]!) && VALUE.test(headers[at + 1]!)) fields += `${headers[at]}: ${headers[at + 1]}\r\n`
  }
  if (status !== 204 && status !== 304) fields += `Content-Length: ${body.length}\r\n`
  const prepared = { status, text, fields: detach(fields), body: body.toString('latin1') }
  PREPARED.set(headers, prepared)
  return prepared
}

/** An answer of our own, body included. Fields that cannot be sent are left out. */
export function replyText(reply: Reply, method: string, close: boolean): string {
  const { status } = reply
  const { fields, body } = prepare(reply)
  const head = `HTTP/1.1 ${status} ${STATUS_TEXT[status] ?? ''}\r\nDate: ${httpDate()}\r\n${fields}${close ? 'Connection: close\r\n\r\n' : '\r\n'}`
  return method === 'HEAD' || status === 204 || status === 304 ? head : head + body
}
