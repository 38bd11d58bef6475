/**
 * What an event may say. Events are read by people who trust them, and nobody authenticates who calls the webhook: a forged review must not put
 * words of its own into one. Names stay; anything else that the pod says is reduced to the characters of names, and to their length.
 */

const LONGEST_NAME = 63
/** Names of objects, quantities, lists of ports. */
const NAME = /^[-A-Za-z0-9_./,:]{0,63}$/
/** As JSON writes a string. */
const LITERAL = /"(?:[^"\\]|\\.)*"/g
/** Shorter words say nothing. */
const SHORTEST_WORD = 4
/** More strings than a pod of people has. */
const MAX_STRINGS = 10_000

/** A text with the characters of Kubernetes names only, and no longer than one. */
export function asName(text: string): string {
  return text.slice(0, LONGEST_NAME).replaceAll(/[^-A-Za-z0-9_./,]/g, '-')
}

/** All strings and keys of a value. @returns undefined when there are too many */
function stringsOf(value: unknown): readonly string[] | undefined {
  const found: string[] = []
  const left: unknown[] = [value]
  while (left.length > 0) {
    const next = left.pop()
    if (typeof next === 'string') found.push(next)
    else if (Array.isArray(next)) for (const item of next) left.push(item)
    else if (typeof next === 'object' && next !== null) for (const entry of Object.entries(next)) left.push(...entry)
    if (found.length + left.length > MAX_STRINGS) return undefined
  }
  return found
}

/**
 * The sentence of a refusal, for an event.
 * @param pod that the sentence is about
 */
export function eventText(sentence: string, pod: unknown): string {
  const strings = stringsOf(pod)
  if (!strings) return 'The pod was refused; the answer to its creation has the reason.'
  const words = strings.filter((text) => text.length >= SHORTEST_WORD && text.length <= sentence.length && !NAME.test(text) && sentence.includes(text))
  // The longest first: one may be a part of another.
  const cleaned = words.sort((a, b) => b.length - a.length).reduce((text, word) => text.replaceAll(word, () => asName(word)), sentence)
  return cleaned.replaceAll(LITERAL, (literal) => NAME.test(literal.slice(1, -1)) ? literal : `"${asName(literal.slice(1, -1))}"`)
}
