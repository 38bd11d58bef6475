/**
 * Header names as frameworks see them. CGI and its children (WSGI, PHP, Rack) turn `-` into `_`, nginx and PHP fold `.` and more, everyone
 * folds case: `X_User.ID` arrives in the app as the same variable as `X-User-Id`. So names that matter are compared after folding case and
 * every character that is not a letter or digit to `-` (attacks H3, H4, H5).
 */

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
    if ((code < 256 ? FOLDED[code] : 45) !== folded.charCodeAt(i)) return false
  }
  return true
}

/**
 * Compiles a set of header names.
 * @returns whether a name, in any spelling, is in the set. Looks only at names of the same length and leaves at the first difference, so it
 *   needs no cache that an attacker could fill.
 */
export function compileNames(names: Iterable<string>): (name: string) => boolean {
  const byLength: string[][] = []
  for (const folded of new Set(Array.from(names, fold))) (byLength[folded.length] ??= []).push(folded)
  return (name) => {
    const candidates = byLength[name.length]
    if (candidates === undefined) return false
    for (const folded of candidates) if (foldsTo(name, folded)) return true
    return false
  }
}

/**
 * Values of one header in a flat list, in wire order; the name matches without regard to case, as HTTP has it.
 * @param headers flat list: name, value, name, value ...
 * @param lowerName the name, in lower case
 */
export function valuesOf(headers: readonly string[], lowerName: string): string[] {
  const values: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (name.length === lowerName.length && name.toLowerCase() === lowerName) values.push(headers[i + 1]!)
  }
  return values
}
