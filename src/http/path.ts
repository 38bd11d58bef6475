/**
 * The request target, normalised or refused (RFC 9112 section 3.2, RFC 3986 section 6). Two readers of one path that disagree are the oldest
 * way around an authorising proxy, so a path that any common framework could read in two ways is refused, and one that is accepted is
 * forwarded byte for byte. Attacks P1-P8, P10, P14, P15, P17.
 *
 * Accepted: origin form only (`/a/b?q`). A path is made of visible ASCII that has no structure of its own, and percent-escapes of
 * - non-ASCII text in valid UTF-8 (`caf%C3%A9`), space (`%20`) and punctuation (`%40`, `%3A`, `%2C`, `%25`, `%23` ...).
 *
 * Refused: absolute, authority and asterisk form; `.` and `..` segments; empty segments (`//`); `;` and `\`; fragments; control and raw
 * non-ASCII bytes; incomplete escapes; and escapes of
 * - `/`, `\`, `.`, `;` (a decoder behind us would find structure that was not there when the rule was matched),
 * - control characters (`%00`, `%0a` ...) and bytes that are not UTF-8 (overlong `%c0%ae`, lone `%e9`),
 * - letters and digits (`/%61dmin`): RFC 3986 section 6.2.2.2 calls it equal to `/admin`, no client needs it, every attacker tries it.
 *
 * Rules are matched on the path decoded once ({@link Target.decoded}), because that is what apps route on: `/me%40corp` and `/me@corp` are
 * one resource and get one verdict. `%252e` decodes to the three characters `%2e` and stays that: nothing is ever decoded twice.
 */
import { deny, isDenial, type Denial } from '../telemetry/reason.ts'

/** A target that has one reading. */
export interface Target {
  /** The path, byte for byte as received and as forwarded. Begins with `/`. */
  readonly path: string
  /** What follows `?`, byte for byte, or undefined when there is no `?`. */
  readonly query: string | undefined
  /** The path with its escapes decoded once: what rules and tenants are matched on. Has as many `/` as `path`. */
  readonly decoded: string
}

/**
 * Segments of RFC 3986 `pchar` without `;`, and the four characters beyond it that browsers leave bare (`[`, `]`, `^`, `|`). No segment is
 * empty but the last, none is `.` or `..`. `/` is in no other class, so the expression cannot backtrack.
 */
const PATH = /^(?=\/)(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~!$&'()*+,=:@%[\]^|-]+)*\/?$/

/** Visible ASCII but `#`. A query decides nothing here, so broken escapes in it (`?a=100%`) are the app's business. */
const QUERY = /^[!"$-~]*$/

/**
 * An escape that is incomplete, or of a control character, `.`, `/`, digit, `;`, letter, `\`. `-`, `_` and `~` may be escaped: old
 * encoders do.
 */
const REFUSED_ESCAPE = /%(?:[01][0-9a-f]|7f|2[ef]|3[0-9b]|[46][1-9a-f]|[57][0-9a]|5c|(?![0-9a-f]{2}))/i

/**
 * Reads a request target.
 * @param target as it came off the wire, one character per byte
 * @param maxBytes `limits.targetBytes`; 0 means no limit
 * @returns its parts, or `target_too_long` or `ambiguous_path` with what is wrong in the detail
 */
export function readTarget(target: string, maxBytes: number): Target | Denial {
  if (maxBytes > 0 && target.length > maxBytes) return deny('target_too_long', `${target.length} bytes`)
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  const query = mark < 0 ? undefined : target.slice(mark + 1)
  if (!PATH.test(path)) return deny('ambiguous_path', whatIsWrong(path))
  if (query !== undefined && !QUERY.test(query)) return deny('ambiguous_path', whatIsWrong(query))
  const decoded = decodePath(path)
  return isDenial(decoded) ? decoded : { path, query, decoded }
}

/** Decodes the escapes of a path once. */
function decodePath(path: string): string | Denial {
  if (!path.includes('%')) return path
  const refused = REFUSED_ESCAPE.exec(path)
  if (refused) return deny('ambiguous_path', `the escape ${path.slice(refused.index, refused.index + 3)} in the path`)
  try {
    return decodeURIComponent(path)
  } catch {
    return deny('ambiguous_path', 'an escape in the path that is not UTF-8')
  }
}

/** Faults in the order in which an operator wants to hear of them. Never echoes the target: it may hold a secret. */
const FAULTS: readonly (readonly [RegExp, string])[] = [
  [/#/, 'a fragment'],
  [/[^\x20-\x7e]/, 'a control or non-ASCII byte'],
  [/ /, 'a space'],
  [/^(?!\/)/, 'not in origin form (must begin with /)'],
  [/\/\//, 'an empty segment (//)'],
  [/\/\.{1,2}(?:\/|$)/, 'a dot segment (. or ..)'],
  [/;/, 'a path parameter (;)'],
  [/\\/, 'a backslash'],
]

function whatIsWrong(part: string): string {
  return FAULTS.find(([fault]) => fault.test(part))?.[1] ?? 'a character that must be percent-encoded'
}

/** A non-ASCII character whose upper or lower case is an ASCII letter: the Kelvin sign is a `k` to an app that folds case. */
const foldsToAscii = (character: string) => /[a-z]/i.test(character.toLowerCase() + character.toUpperCase())

/**
 * The form of a decoded path in which `paths: { caseSensitive: false }` compares: lower case, by way of upper case, which makes one of
 * letters that have two lower cases. The Greek sigma has another one at the end of a word: it is folded as well, since where a word ends depends on what is cut off.
 * @returns the folded path, or `ambiguous_path` for a character that some case folding turns into an ASCII letter (`K` U+212A, `ſ`, `ı`, `ß`)
 */
export function foldPathCase(decoded: string): string | Denial {
  const risky = decoded.match(/[^\x20-\x7e]/gu)?.some(foldsToAscii)
  return risky ? deny('ambiguous_path', 'a character that becomes an ASCII letter when case is folded') : decoded.toUpperCase().toLowerCase().replaceAll('ς', 'σ')
}
