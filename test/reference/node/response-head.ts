/**
 * The app's response head and trailers as the client may see them. Hop-by-hop fields and those that the app's `Connection` names are taken out
 * (attack H16), and those that the verdict drops; framing is written anew by whoever sends.
 */
import { isHopByHop, nominated } from '../../../src/http/hop-by-hop.ts'

/** An app's response head, checked. */
export interface ResponseHead {
  readonly status: number
  readonly statusText: string
  /** Flat list without hop-by-hop fields and without framing. */
  readonly headers: readonly string[]
  /** Content-Length as the app said it; undefined when it said none. */
  readonly length: string | undefined
  /** `Upgrade` as the app said it, lower case. */
  readonly upgrade: string | undefined
}

/** Raw fields as undici hands them over: name, value, ... */
export type RawFields = readonly (Buffer | string)[] | null | undefined

/** latin1 strings of raw fields: one character is one byte. */
export function textOf(raw: unknown): string[] {
  return ((raw ?? []) as readonly (Buffer | string)[]).map((part) => typeof part === 'string' ? part : part.toString('latin1'))
}

/**
 * Reads and filters a response head.
 * @param drops what the verdict removes from responses
 * @returns undefined when its body could be delimited in two ways, or not at all
 */
export function readResponseHead(status: number, statusText: string, raw: unknown, drops: (name: string) => boolean): ResponseHead | undefined {
  const fields = textOf(raw)
  const named = nominated(fields)
  const headers: string[] = []
  let length: string | undefined
  let coding: string | undefined
  let upgrade: string | undefined
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    const value = fields[i + 1]!
    const lower = name.toLowerCase()
    if (lower === 'content-length') {
      if (length !== undefined || !/^\d{1,15}$/.test(value)) return undefined
      length = value
    } else if (lower === 'transfer-encoding') {
      if (coding !== undefined || value.toLowerCase() !== 'chunked') return undefined
      coding = value
    } else if (lower === 'upgrade') upgrade = upgrade === undefined ? value.toLowerCase() : 'many'
    if (!isHopByHop(name) && lower !== 'content-length' && !named.includes(lower) && !drops(name)) headers.push(name, value)
  }
  if (length !== undefined && coding !== undefined) return undefined
  return { status, statusText: printable(statusText), headers, length, upgrade }
}

/** A reason phrase that cannot be repeated byte for byte is left out. */
function printable(text: string): string {
  return /^[\t\x20-\x7e]*$/.test(text) ? text : ''
}

/** Never in a trailer: what frames, routes or names the sender (RFC 9110 section 6.5.1). */
const NOT_IN_TRAILERS = new Set(['content-length', 'content-encoding', 'content-type', 'content-range', 'set-cookie', 'host', 'location', 'cache-control'])

/** Response trailers as pairs for `ServerResponse.addTrailers`. */
export function readTrailers(raw: unknown, drops: (name: string) => boolean): [string, string][] {
  const fields = textOf(raw)
  const kept: [string, string][] = []
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    if (!isHopByHop(name) && !NOT_IN_TRAILERS.has(name.toLowerCase()) && !drops(name)) kept.push([name, fields[i + 1]!])
  }
  return kept
}
