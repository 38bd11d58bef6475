/** Messages with more than one reading, or none: attacks S1-S6 and S13 as bytes, for every suite that replays them. */
import { request } from '../helpers/raw.ts'

export interface Refused {
  readonly id: string
  readonly bytes: string
  readonly status?: number
  /** As good. */
  readonly also?: number
  readonly reason?: string
}

/** A POST as bytes. */
export const post = (fields: readonly string[], body = ''): string => request('POST /x', fields, body)
const lines = (...all: string[]): string => all.join('\r\n') + '\r\n\r\n'

/** Heads that must be refused. The bytes hold the head and, where it matters, a body. */
export const REFUSED: readonly Refused[] = [
  { id: 'S1 CL.TE', bytes: post(['Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n'), reason: 'ambiguous_framing' },
  { id: 'S1 TE.CL', bytes: post(['Transfer-Encoding: chunked', 'Content-Length: 5'], '0\r\n\r\n'), reason: 'ambiguous_framing' },
  { id: 'S1 CL: 0 and TE', bytes: post(['Content-Length: 0', 'Transfer-Encoding: chunked'], '0\r\n\r\n'), reason: 'ambiguous_framing' },
  { id: 'S1 TE xchunked', bytes: post(['Transfer-Encoding: xchunked'], '0\r\n\r\n') },
  { id: 'S1 TE chunked, identity', bytes: post(['Transfer-Encoding: chunked, identity'], '0\r\n\r\n') },
  { id: 'S1 TE identity, chunked', bytes: post(['Transfer-Encoding: identity, chunked'], '0\r\n\r\n') },
  { id: 'S1 TE gzip, chunked', bytes: post(['Transfer-Encoding: gzip, chunked'], '0\r\n\r\n') },
  { id: 'S1 TE chunked, chunked', bytes: post(['Transfer-Encoding: chunked, chunked'], '0\r\n\r\n') },
  { id: 'S1 TE twice', bytes: post(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], '0\r\n\r\n') },
  { id: 'S1 TE chunked and TE identity', bytes: post(['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], '0\r\n\r\n') },
  { id: 'S1 TE empty', bytes: post(['Transfer-Encoding:'], '0\r\n\r\n') },
  { id: 'S1 TE identity', bytes: post(['Transfer-Encoding: identity'], '') },
  { id: 'S1 TE "chunked"', bytes: post(['Transfer-Encoding: "chunked"'], '0\r\n\r\n') },
  { id: 'S1 TE chunked;q=1', bytes: post(['Transfer-Encoding: chunked;q=1'], '0\r\n\r\n') },
  { id: 'S1 TE with vertical tab', bytes: post(['Transfer-Encoding: \x0bchunked'], '0\r\n\r\n') },
  { id: 'S1 space before the colon of TE', bytes: post(['Transfer-Encoding : chunked'], '0\r\n\r\n') },
  { id: 'S1 tab before the colon of TE', bytes: post(['Transfer-Encoding\t: chunked'], '0\r\n\r\n') },
  { id: 'S1 TE with HTTP/1.0', bytes: lines('POST /x HTTP/1.0', 'Host: app', 'Transfer-Encoding: chunked') + '0\r\n\r\n', reason: 'ambiguous_framing' },
  { id: 'S1 comma before chunked', bytes: post(['Transfer-Encoding: ,chunked'], '0\r\n\r\n') },
  { id: 'S2 two CL that differ', bytes: post(['Content-Length: 5', 'content-length: 6'], 'hello') },
  { id: 'S2 two CL that agree', bytes: post(['Content-Length: 5', 'Content-Length: 5'], 'hello') },
  { id: 'S2 +5', bytes: post(['Content-Length: +5'], 'hello') },
  { id: 'S2 -5', bytes: post(['Content-Length: -5'], 'hello') },
  { id: 'S2 5, 5', bytes: post(['Content-Length: 5, 5'], 'hello') },
  { id: 'S2 5 ,5', bytes: post(['Content-Length: 5 ,5'], 'hello') },
  { id: 'S2 5 5', bytes: post(['Content-Length: 5 5'], 'hello') },
  { id: 'S2 0x5', bytes: post(['Content-Length: 0x5'], 'hello') },
  { id: 'S2 5.0', bytes: post(['Content-Length: 5.0'], 'hello') },
  { id: 'S2 5e0', bytes: post(['Content-Length: 5e0'], 'hello') },
  { id: 'S2 1_0', bytes: post(['Content-Length: 1_0'], 'hello') },
  { id: 'S2 empty', bytes: post(['Content-Length:'], 'hello') },
  { id: 'S2 beyond 64 bits', bytes: post(['Content-Length: 18446744073709551621'], 'hello') },
  { id: 'S2 beyond 53 bits', bytes: post(['Content-Length: 9007199254740993'], 'hello') },
  { id: 'S2 space before the colon', bytes: post(['Content-Length : 5'], 'hello') },
  { id: 'S2 non-ASCII digit', bytes: post(['Content-Length: \xb2'], 'hello') },
  { id: 'S3 obs-fold', bytes: post(['X: a\r\n b'], '') },
  { id: 'S3 obs-fold with tab', bytes: post(['X: a\r\n\tb'], '') },
  { id: 'S3 obs-fold hides CL', bytes: post(['X: a\r\n Content-Length: 3'], 'abc') },
  { id: 'S3 folded TE', bytes: post(['Transfer-Encoding:\r\n chunked'], '0\r\n\r\n') },
  { id: 'S3 space before the first field', bytes: lines('POST /x HTTP/1.1', ' Content-Length: 3', 'Host: app') + 'abc' },
  { id: 'S4 bare LF line ends', bytes: 'GET /x HTTP/1.1\nHost: app\n\n' },
  { id: 'S4 bare LF after a field', bytes: 'GET /x HTTP/1.1\r\nHost: app\nX: y\r\n\r\n' },
  { id: 'S4 bare LF after the request line', bytes: 'GET /x HTTP/1.1\nHost: app\r\n\r\n' },
  { id: 'S4 bare LF ends the head', bytes: 'GET /x HTTP/1.1\r\nHost: app\r\n\n' },
  { id: 'S4 bare CR within a value', bytes: request('GET /x', ['X: a\rb']) },
  { id: 'S4 bare CR as a line end', bytes: 'GET /x HTTP/1.1\rHost: app\r\r' },
  { id: 'S4 CR CR LF', bytes: 'GET /x HTTP/1.1\r\r\nHost: app\r\n\r\n' },
  { id: 'S4 NUL within a value', bytes: request('GET /x', ['X: a\0b']) },
  { id: 'S4 control characters within a value', bytes: request('GET /x', ['X: a\x01b']) },
  { id: 'S4 DEL within a value', bytes: request('GET /x', ['X: a\x7fb']) },
  { id: 'S5 CR within a name', bytes: post(['Content\rLength: 5'], 'hello') },
  { id: 'S5 space within a name', bytes: post(['Content Length: 5'], 'hello') },
  { id: 'S5 NUL within a name', bytes: post(['Content-Length\0: 5'], 'hello') },
  { id: 'S5 non-ASCII name', bytes: request('GET /x', ['X\xe9: 1']) },
  { id: 'S5 line without a colon', bytes: request('GET /x', ['X-No-Colon']) },
  { id: 'S5 empty name', bytes: request('GET /x', [': v']) },
  { id: 'S13 HTTP/0.9', bytes: 'GET /x\r\n\r\n', status: 505 },
  { id: 'S13 HTTP/1.2', bytes: 'GET /x HTTP/1.2\r\nHost: app\r\n\r\n', status: 505 },
  { id: 'S13 HTTP/2.0', bytes: 'GET /x HTTP/2.0\r\nHost: app\r\n\r\n', status: 505 },
  { id: 'S13 HTTP/2 preface (A2-A5 end here)', bytes: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', status: 505, also: 400 },
  { id: 'S13 HTTP/0.9 in words', bytes: 'GET /x HTTP/0.9\r\nHost: app\r\n\r\n', status: 505 },
  { id: 'S13 HTTP/11', bytes: 'GET /x HTTP/11\r\nHost: app\r\n\r\n' },
  { id: 'S13 http/1.1', bytes: 'GET /x http/1.1\r\nHost: app\r\n\r\n' },
  { id: 'S13 unknown method', bytes: 'GOT /x HTTP/1.1\r\nHost: app\r\n\r\n' },
  { id: 'S13 lower-case method', bytes: 'get /x HTTP/1.1\r\nHost: app\r\n\r\n' },
  { id: 'S13 space in the target', bytes: 'GET /x y HTTP/1.1\r\nHost: app\r\n\r\n' },
  { id: 'S13 CONNECT', bytes: 'CONNECT app:80 HTTP/1.1\r\nHost: app\r\n\r\n', status: 405 },
  { id: 'S13 TLS hello', bytes: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + 'x'.repeat(64) },
]

/** Bad chunked bodies: the head is good and decided, so the app may have got the head; never the whole message, and never the smuggled request. */
export const BAD_BODIES: readonly (readonly [string, string])[] = [
  ['S4 CRLF missing after a chunk', '5\r\nhelloX\r\n0\r\n\r\n'],
  ['S4 bare LF after the size', '5\nhello\r\n0\r\n\r\n'],
  ['S4 bare LF after the data', '5\r\nhello\n0\r\n\r\n'],
  ['S4 bare CR after the size', '5\rhello\r\n0\r\n\r\n'],
  ['S6 extension with a bare LF', '5;a=\n b\r\nhello\r\n0\r\n\r\n'],
  ['S6 extension with a bare CR', '5;a=\rb\r\nhello\r\n0\r\n\r\n'],
  ['S6 64 KiB of extension', `5;${'a'.repeat(65_536)}\r\nhello\r\n0\r\n\r\n`],
  ['S6 size with 0x', '0x5\r\nhello\r\n0\r\n\r\n'],
  ['S6 size with +', '+5\r\nhello\r\n0\r\n\r\n'],
  ['S6 size with -', '-5\r\nhello\r\n0\r\n\r\n'],
  ['S6 size with a leading space', ' 5\r\nhello\r\n0\r\n\r\n'],
  ['S6 size with an underscore', '1_0\r\nhello\r\n0\r\n\r\n'],
  ['S6 empty size', '\r\nhello\r\n0\r\n\r\n'],
  ['S6 size beyond 64 bits', '10000000000000005\r\nhello\r\n0\r\n\r\n'],
  ['S6 no digits, only an extension', ';x\r\nhello\r\n0\r\n\r\n'],
  ['S6 trailer with a bare LF', '5\r\nhello\r\n0\r\nX: y\n\r\n'],
  ['S6 trailer obs-fold', '5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n'],
  ['S6 trailer with a space before the colon', '5\r\nhello\r\n0\r\nX : y\r\n\r\n'],
]
