/** Breaks messages by chance: a seeded generator, so that a finding can be had again. */

/** A small pseudo-random generator (mulberry32); [0, 1). */
export function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const BYTES = ['\r', '\n', '\r\n', '\0', ' ', '\t', ':', ';', ',', '"', '=', '\x0b', '\x7f', '\x80', '\xff', '0', '1', 'f', 'x', '%', '#', '/', '\r\n\r\n', '\n\n', '-', '_', '+']
const FIELDS = ['Content-Length: 3', 'Content-Length: 0', 'content-length: 5', 'Transfer-Encoding: chunked', 'transfer-encoding: identity', 'Transfer-Encoding:chunked ', 'Connection: close', 'Connection: Upgrade', 'Upgrade: websocket',
  'Expect: 100-continue', 'Host: other', 'X-User-Id: forged', 'Trailer: X', 'TE: trailers', 'Keep-Alive: x', ' folded: yes', 'X_Y: z']

type Random = () => number
const pick = <T>(random: Random, items: readonly T[]): T => items[Math.floor(random() * items.length)]!

const STEPS: readonly ((text: string, random: Random, others: readonly string[]) => string)[] = [
  (text, random) => { const at = place(text, random); return text.slice(0, at) + pick(random, BYTES) + text.slice(at) },
  (text, random) => { const at = place(text, random); return text.slice(0, at) + text.slice(at + 1 + Math.floor(random() * 3)) },
  (text, random) => { const at = place(text, random); return text.slice(0, at) + pick(random, BYTES) + text.slice(at + 1) },
  (text, random) => { const at = place(text, random); return text.slice(0, at) + String.fromCharCode(Math.floor(random() * 256)) + text.slice(at + 1) },
  (text, random) => lines(text, (all) => { const at = Math.floor(random() * all.length); return all.toSpliced(at, 0, all[at]!) }),
  (text, random) => lines(text, (all) => { const at = Math.floor(random() * all.length); return all.toSpliced(at, 1) }),
  (text, random) => lines(text, (all) => all.toSpliced(1 + Math.floor(random() * 3), 0, pick(random, FIELDS))),
  (text, random) => lines(text, (all) => { const a = Math.floor(random() * all.length); const b = Math.floor(random() * all.length); return all.with(a, all[b]!).with(b, all[a]!) }),
  (text, random) => { const at = place(text, random); const end = at + Math.floor(random() * 12); return text.slice(0, at) + swapCase(text.slice(at, end)) + text.slice(end) },
  (text, random, others) => text.slice(0, place(text, random)) + pick(random, others),
  (text, random, others) => text + pick(random, others),
]

const place = (text: string, random: Random): number => Math.floor(random() * (text.length + 1))
const lines = (text: string, change: (all: string[]) => string[]): string => change(text.split('\r\n')).join('\r\n')
const swapCase = (text: string): string => Array.from(text, (c) => c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase()).join('')

/** One to three changes to one of the messages. */
export function mutate(messages: readonly string[], random: Random): string {
  let text = pick(random, messages)
  for (let left = 1 + Math.floor(random() * 3); left > 0; left--) text = pick(random, STEPS)(text, random, messages)
  return text.replaceAll(/[^\0-\xff]/g, '?')
}

/** Cuts bytes in up to four pieces at chance places. */
export function cut(bytes: Buffer, random: Random): Buffer[] {
  const places = Array.from({ length: Math.floor(random() * 4) }, () => Math.floor(random() * bytes.length)).sort((a, b) => a - b)
  return [0, ...places].map((from, i) => bytes.subarray(from, places[i] ?? bytes.length)).filter((piece) => piece.length > 0)
}
