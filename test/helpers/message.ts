/**
 * A small, strict HTTP/1.1 message reader for the test doubles: no leniency, so that what a proxy got wrong shows. Strings are latin1:
 * one character is one byte. It reads from a growing Buffer and says how far one message goes.
 */

/** A message head: start line and fields in wire order. */
export interface MessageHead {
  readonly startLine: string
  /** Flat list: name, value, ... */
  readonly headers: readonly string[]
  /** The bytes of the head, the empty line included. */
  readonly raw: string
}

/** How the body of a message is delimited. */
export type Framing = { readonly kind: 'none' } | { readonly kind: 'length'; readonly length: number } | { readonly kind: 'chunked' } | { readonly kind: 'close' }

/** A body that is wholly there: its content, its bytes on the wire, its trailers, where it ends. */
export interface MessageBody {
  readonly content: Buffer
  readonly raw: Buffer
  readonly trailers: readonly string[]
  readonly end: number
}

const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*(.*?)[\t ]*$/

/**
 * Reads a head.
 * @returns undefined while incomplete
 * @throws when it is not strictly formed
 */
export function readHead(bytes: Buffer, from = 0): { head: MessageHead; end: number } | undefined {
  const at = bytes.indexOf('\r\n\r\n', from, 'latin1')
  if (at < 0) return undefined
  const raw = bytes.toString('latin1', from, at + 4)
  const [startLine = '', ...lines] = raw.slice(0, -4).split('\r\n')
  return { head: { startLine, headers: lines.flatMap(readField), raw }, end: at + 4 }
}

function readField(line: string): [string, string] {
  const match = FIELD.exec(line)
  if (match === null || /[\0\r\n]/.test(line)) throw new Error(`not a header field: ${JSON.stringify(line)}`)
  return [match[1]!, match[2]!]
}

/** All values of a field, in wire order. */
export function fieldValues(headers: readonly string[], name: string): string[] {
  const lower = name.toLowerCase()
  return headers.filter((_, i) => i % 2 === 1 && headers[i - 1]!.toLowerCase() === lower)
}

/** The value of a field that may come once; undefined when absent. */
export function fieldValue(headers: readonly string[], name: string): string | undefined {
  const values = fieldValues(headers, name)
  if (values.length > 1) throw new Error(`${name} comes ${values.length} times`)
  return values[0]
}

/** Framing by RFC 9112 section 6.3, for a message whose start line leaves it to the fields. `otherwise` is what no framing field means. */
export function framingOf(headers: readonly string[], otherwise: 'none' | 'close'): Framing {
  const coding = fieldValue(headers, 'transfer-encoding')
  const length = fieldValue(headers, 'content-length')
  if (coding !== undefined && length !== undefined) throw new Error('Content-Length and Transfer-Encoding in one message')
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') throw new Error(`Transfer-Encoding ${coding}`)
  if (coding !== undefined) return { kind: 'chunked' }
  if (length === undefined) return { kind: otherwise }
  if (!/^\d+$/.test(length)) throw new Error(`Content-Length ${length}`)
  return { kind: 'length', length: Number(length) }
}

/**
 * Reads a body that starts at `from`.
 * @param closed whether the connection has ended: what a close-delimited body waits for
 * @returns undefined while incomplete
 */
export function readBody(bytes: Buffer, from: number, framing: Framing, closed: boolean): MessageBody | undefined {
  if (framing.kind === 'chunked') return readChunked(bytes, from)
  if (framing.kind === 'close' && !closed) return undefined
  const end = framing.kind === 'none' ? from : framing.kind === 'close' ? bytes.length : from + framing.length
  if (bytes.length < end) return undefined
  const raw = bytes.subarray(from, end)
  return { content: raw, raw, trailers: [], end }
}

function readChunked(bytes: Buffer, from: number): MessageBody | undefined {
  const parts: Buffer[] = []
  for (let at = from; ;) {
    const eol = bytes.indexOf('\r\n', at, 'latin1')
    if (eol < 0) return undefined
    const line = bytes.toString('latin1', at, eol)
    if (!/^[0-9A-Fa-f]+$/.test(line)) throw new Error(`not a plain chunk size: ${JSON.stringify(line)}`)
    const size = Number.parseInt(line, 16)
    if (size === 0) return readTrailers(bytes, from, eol, Buffer.concat(parts))
    const end = eol + 2 + size
    if (bytes.length < end + 2) return undefined
    if (bytes.toString('latin1', end, end + 2) !== '\r\n') throw new Error('chunk without CRLF')
    parts.push(bytes.subarray(eol + 2, end))
    at = end + 2
  }
}

/** `eol` is where the line of the last chunk ends. */
function readTrailers(bytes: Buffer, from: number, eol: number, content: Buffer): MessageBody | undefined {
  const at = bytes.indexOf('\r\n\r\n', eol, 'latin1')
  if (at < 0) return undefined
  const lines = at === eol ? [] : bytes.toString('latin1', eol + 2, at).split('\r\n')
  return { content, raw: bytes.subarray(from, at + 4), trailers: lines.flatMap(readField), end: at + 4 }
}
