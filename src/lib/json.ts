/**
 * JSON.parse, safe from what else was parsed before. V8 guesses the next member's name from objects of the same shape, and compares its guess with the text as it is written:
 * `"\u0073ub"` may come out as a name of somebody's who had one that reads `\u0` there (nodejs/node#63785). Strangers choose what is parsed before: a token is taken apart before its
 * signature is checked (attack T27). So no name reaches JSON.parse with a backslash in it.
 */

const QUOTE = 0x22
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Stands for characters that cannot be in a name without a backslash, with two hexadecimal digits behind it. Private to this file: the same character in a name is written so, too. */
const MARK = '\ue000'
// oxlint-disable-next-line no-control-regex
const UNSPEAKABLE = /[\x00-\x1f"\\\ue000]/g
const MARKED = /\ue000(..)/g

/**
 * Parses JSON as JSON.parse does.
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  if (!text.includes('\\')) return JSON.parse(text)
  const spelt = spellNames(text)
  const value: unknown = JSON.parse(spelt)
  return spelt !== text && spelt.includes(MARK) ? restoreNames(value) : value
}

/**
 * Parses JSON in which no object has a name twice: which one holds would be anyone's guess.
 * @throws SyntaxError
 */
export function parseUniqueJson(text: string): unknown {
  const value = parseJson(text)
  if (membersWritten(text) !== membersOf(value)) throw new SyntaxError('a field is there twice')
  return value
}

/**
 * Counts the members written in a JSON text: its colons outside strings. A parser keeps one of each pair with the same name, so there are duplicates exactly when the text has
 * more members than the value ({@link membersOf}).
 * @returns -1 when it nests deeper than `maxDepth`, or a string does not end
 */
export function membersWritten(text: string, maxDepth = Infinity): number {
  let members = 0
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === QUOTE) {
      at = endOfString(text, at)
      if (at === -1) return -1
    } else if (char === COLON) members++
    else if (char === OPEN_OBJECT || char === OPEN_ARRAY) {
      if (++depth > maxDepth) return -1
    } else if (char === CLOSE_OBJECT || char === CLOSE_ARRAY) depth--
  }
  return members
}

/** Counts the members of all objects in a value. */
export function membersOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const own = Array.isArray(value) ? 0 : Object.keys(value).length
  return Object.values(value).reduce<number>((sum, item) => sum + membersOf(item), own)
}

/** Index of the quote that ends the string whose opening quote is at `start`, or -1. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end
  }
  return -1
}

/** The same text, its members' names written without a backslash. What is no JSON stays none. */
function spellNames(text: string): string {
  let spelt = ''
  let copied = 0
  for (let start = text.indexOf('"'); start !== -1;) {
    const end = endOfString(text, start)
    if (end === -1) return text
    if (isName(text, end)) {
      const name = text.slice(start + 1, end)
      if (name.includes('\\') || name.includes(MARK)) {
        spelt += text.slice(copied, start + 1) + (JSON.parse(`"${name}"`) as string).replaceAll(UNSPEAKABLE, mark)
        copied = end
      }
    }
    start = text.indexOf('"', end + 1)
  }
  return spelt + text.slice(copied)
}

/** Whether the string that ends there has a colon behind it. */
function isName(text: string, end: number): boolean {
  let next = end + 1
  while (' \t\r\n'.includes(text.charAt(next)) && next < text.length) next++
  return text.charCodeAt(next) === COLON
}

/** U+E000 is the only one above 0xff. */
const mark = (character: string): string => MARK + (character === MARK ? '..' : character.charCodeAt(0).toString(16).padStart(2, '0'))
const unmark = (_: string, code: string): string => code === '..' ? MARK : String.fromCharCode(Number.parseInt(code, 16))

function restoreNames(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(restoreNames)
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name.replaceAll(MARKED, unmark), restoreNames(item)]))
}
