import { isUtf8 } from 'node:buffer'
import { membersWritten, parseJson } from '../lib/json.ts'

/** A parsed JSON object without a prototype, all the way down. */
export type PlainObject = Record<string, unknown>

/** Deeper than any claim has reason to nest. */
const MAX_DEPTH = 32

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
 * section 4 lets a parser take the last of two; then two parsers can read two subjects, attack T11). A parser keeps one of each pair of
 * duplicates, so there are duplicates exactly when the text has more members than the value: that costs one pass and no parser of our own.
 * @returns a new object without prototype, or undefined when the bytes are anything else
 */
export function parseStrictObject(bytes: Buffer): PlainObject | undefined {
  if (!isUtf8(bytes)) return undefined
  const text = bytes.toString('utf8')
  const written = membersWritten(text, MAX_DEPTH)
  if (written === -1) return undefined
  let value: unknown
  try {
    value = parseJson(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const tally = { members: 0 }
  const object = adopt(value, tally) as PlainObject
  return tally.members === written ? object : undefined
}
