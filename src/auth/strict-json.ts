import { isUtf8 } from 'node:buffer'

/** A parsed JSON object without a prototype, all the way down. */
export type PlainObject = Record<string, unknown>

const MAX_DEPTH = 32
const QUOTE = 0x22
const COLON = 0x3a
const BACKSLASH = 0x5c
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Index of the quote that ends the string whose opening quote is at `start`, or -1. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end
  }
  return -1
}

/** Counts the members written in a JSON text: its colons outside strings. -1 when it nests deeper than any claim has reason to. */
function countWritten(text: string): number {
  let members = 0
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === QUOTE) {
      at = endOfString(text, at)
      if (at === -1) return -1
    } else if (char === COLON) members++
    else if (char === OPEN_OBJECT || char === OPEN_ARRAY) {
      if (++depth > MAX_DEPTH) return -1
    } else if (char === CLOSE_OBJECT || char === CLOSE_ARRAY) depth--
  }
  return members
}

/** Copies parsed JSON into objects without prototype, counting their members. */
function adopt(value: unknown, tally: { members: number }): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => adopt(item, tally))
  const copy = Object.create(null) as PlainObject
  for (const name of Object.keys(value)) {
    tally.members++
    copy[name] = adopt((value as PlainObject)[name], tally)
  }
  return copy
}

/**
 * Parses the bytes of one JSON object, strictly: valid UTF-8, bounded nesting, and no member name twice in any object (RFC 7519
 * section 4 lets a parser take the last of two; then two parsers can read two subjects, attack T11). JSON.parse keeps one of each pair of
 * duplicates, so there are duplicates exactly when the text has more members than the value: that costs one pass and no parser of our own.
 * @returns a new object without prototype, or undefined when the bytes are anything else
 */
export function parseStrictObject(bytes: Buffer): PlainObject | undefined {
  if (!isUtf8(bytes)) return undefined
  const text = bytes.toString('utf8')
  const written = countWritten(text)
  if (written === -1) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const tally = { members: 0 }
  const object = adopt(value, tally) as PlainObject
  return tally.members === written ? object : undefined
}
