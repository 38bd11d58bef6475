/**
 * Header names as frameworks see them. CGI and its children (WSGI, PHP, Rack) turn `-` into `_`, nginx and PHP fold `.` and more, everyone
 * folds case: `X_User.ID` arrives in the app as the same variable as `X-User-Id`. So names that matter are compared after folding case and
 * every character that is not a letter or digit to `-` (attacks H3, H4, H5).
 */

const HYPHEN = 45

/** Character code -> its folded code. Bytes beyond ASCII fold to `-` too. */
const FOLDED = Uint8Array.from({ length: 256 }, (_, code) => {
  const character = String.fromCharCode(code)
  return (/[A-Za-z0-9]/.test(character) ? character.toLowerCase() : '-').charCodeAt(0)
})

/** Folds a header name: lower case, and `-` for every character that is not an ASCII letter or digit. Keeps its length. */
export function fold(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '-')
}

/** Whether `name` folds to `folded`, which has the same length. */
function foldsTo(name: string, folded: string): boolean {
  for (let i = 0; i < folded.length; i++) {
    const code = name.charCodeAt(i)
    if ((code < 256 ? FOLDED[code] : HYPHEN) !== folded.charCodeAt(i)) return false
  }
  return true
}

/** Where a name is looked for: its length and its folded last character tell almost all names apart. */
const SLOTS = 1024
function slotOf(name: string): number {
  const last = name.charCodeAt(name.length - 1)
  return (name.length * 37 + (last < 256 ? FOLDED[last]! : HYPHEN)) & (SLOTS - 1)
}

/**
 * Compiles a set of header names.
 * @returns whether a name, in any spelling, is in the set. It reads a length and a character, and only where these fit it compares, up to the
 *   first difference: so it needs no cache that an attacker could fill.
 */
export function compileNames(names: Iterable<string>): (name: string) => boolean {
  const taken = new Uint8Array(SLOTS)
  const folded = [...new Set(Array.from(names, fold))]
  for (const name of folded) taken[slotOf(name)] = 1
  return (name) => {
    if (taken[slotOf(name)] === 0) return false
    for (const candidate of folded) if (candidate.length === name.length && foldsTo(name, candidate)) return true
    return false
  }
}

/**
 * Whether a name is this one, without regard to case, as HTTP has it. Names of one length seldom begin alike, so most are told apart by a letter.
 * @param lowerName in lower case, and it begins with a letter
 */
export function isName(name: string, lowerName: string): boolean {
  return name.length === lowerName.length && (name.charCodeAt(0) | 32) === lowerName.charCodeAt(0) && (name === lowerName || name.toLowerCase() === lowerName)
}

/**
 * Finds a header in a flat list; the name matches without regard to case, as HTTP has it.
 * @param lowerName the name, in lower case
 * @param from index of a name
 * @returns the index of the first such name from there on, or -1
 */
export function indexOf(headers: readonly string[], lowerName: string, from = 0): number {
  for (let i = from; i < headers.length; i += 2) {
    if (isName(headers[i]!, lowerName)) return i
  }
  return -1
}

/**
 * Values of one header in a flat list, in wire order; the name matches without regard to case, as HTTP has it.
 * @param headers flat list: name, value, name, value ...
 * @param lowerName the name, in lower case
 */
export function valuesOf(headers: readonly string[], lowerName: string): string[] {
  const values: string[] = []
  for (let i = indexOf(headers, lowerName); i >= 0; i = indexOf(headers, lowerName, i + 2)) values.push(headers[i + 1]!)
  return values
}
