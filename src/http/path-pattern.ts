/** Path patterns: literal segments, `*` for one segment, `**` at the end for the rest, which may be empty. Anchored, no regular expressions. */
import { foldPathCase, readTarget } from './path.ts'
import { isDenial } from '../telemetry/reason.ts'

/** A path pattern, ready for the tree. */
export interface PathPattern {
  /** Literal segments, decoded (and folded) as request paths are; null is `*`. */
  readonly segments: readonly (string | null)[]
  /** How the pattern ends: with a segment, with `/`, or with `**`. */
  readonly end: 'segment' | 'slash' | 'rest'
}

/**
 * Parses a path pattern. Literals are read as a request path would be, so a pattern that no request can match is an error; non-ASCII text
 * may be written as such or percent-encoded.
 * @throws an Error that says what is wrong and what to write
 */
export function parsePattern(pattern: string, caseSensitive: boolean): PathPattern {
  if (!pattern.startsWith('/')) throw new Error(`${pattern} must begin with /`)
  const parts = pattern.slice(1).split('/')
  const last = parts.at(-1)
  const end = last === '**' ? 'rest' : last === '' ? 'slash' : 'segment'
  const segments = end === 'segment' ? parts : parts.slice(0, -1)
  return { segments: segments.map((segment) => parseSegment(segment, pattern, caseSensitive)), end }
}

/** Whether every path that `narrow` matches is matched by `wide`. */
export function covers(wide: PathPattern, narrow: PathPattern): boolean {
  if (wide.end !== 'rest' && (wide.end !== narrow.end || wide.segments.length !== narrow.segments.length)) return false
  return wide.segments.every((segment, i) => i < narrow.segments.length && (segment === null || segment === narrow.segments[i]))
}

function parseSegment(segment: string, pattern: string, caseSensitive: boolean): string | null {
  if (segment === '*') return null
  if (segment === '**') throw new Error(`${pattern}: ** stands for the rest of the path, so it can only be the last segment`)
  if (segment.includes('*')) throw new Error(`${pattern}: * stands for one whole segment; write %2A for a literal asterisk`)
  if (segment === '') throw new Error(`${pattern} has an empty segment (//), which no request can have`)
  const encoded = segment.replaceAll(/[^\x21-\x7e]+/gu, (text) => encodeURIComponent(text.toWellFormed()))
  const target = readTarget(`/${encoded}`, 0)
  if (isDenial(target) || target.query !== undefined) throw new Error(`${pattern} can match no request: ${isDenial(target) ? target.detail : 'it holds a ?'}`)
  const folded = caseSensitive ? target.decoded : foldPathCase(target.decoded)
  if (isDenial(folded)) throw new Error(`${pattern} can match no request with caseSensitive: false: ${folded.detail}`)
  return folded.slice(1)
}
