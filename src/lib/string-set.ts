import { randomBytes } from 'node:crypto'

/** A set of strings that is only asked whether it has one. */
export interface StringSet {
  has(text: string): boolean
  readonly size: number
}

/** Slots for each entry, at least: what is looked for is found, or a free slot, in a step or two. */
const ROOM = 2

const seed = randomBytes(8)
const [SEED_A, SEED_B] = [seed.readUInt32LE(0), seed.readUInt32LE(4)]
let a = 0
let b = 0

/** Mixes a string with the process's secret into 64 bits, `a` and `b`. Each step can be undone, so that two strings of which only one character differs never meet within a lane. */
function mix(text: string): void {
  a = SEED_A ^ text.length
  b = SEED_B
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    a = Math.imul(a ^ code, 0x9e3779b1)
    a ^= a >>> 15
    b = Math.imul(b + code, 0x2c1b3c6d)
    b = b << 13 | b >>> 19
  }
  a = Math.imul(a ^ b >>> 16, 0x297a2d39)
  b = Math.imul(b ^ a >>> 15, 0x165667b1)
  a ^= b >>> 13
  b ^= a >>> 16
  // Two zeros mark a free slot.
  if ((a | b) === 0) b = 1
}

/**
 * Makes a set that takes 16 to 32 bytes an entry, however long the strings are: of each it keeps 64 bits. A string that is in it is always found. One that is not is taken for one that is
 * with a probability of entries / 2^64 (100,000 entries: 5 in 10^15), which nobody can bring about on purpose, as the secret is another in each process.
 */
export function createStringSet(...lists: readonly (readonly string[])[]): StringSet {
  const most = lists.reduce((sum, { length }) => sum + length, 0)
  const mask = 2 ** Math.ceil(Math.log2(Math.max(1, most) * ROOM)) - 1
  const slots = new Uint32Array(2 * (mask + 1))
  let size = 0

  /** Where what was mixed last is, or would be. */
  function find(): number {
    for (let slot = a & mask; ; slot = slot + 1 & mask) {
      const left = slots[2 * slot]!
      const right = slots[2 * slot + 1]!
      if ((left === a >>> 0 && right === b >>> 0) || (left | right) === 0) return slot
    }
  }

  for (const list of lists) {
    for (const text of list) {
      mix(text)
      const slot = find()
      if ((slots[2 * slot]! | slots[2 * slot + 1]!) !== 0) continue
      slots[2 * slot] = a
      slots[2 * slot + 1] = b
      size++
    }
  }

  return {
    size,
    has(text) {
      if (size === 0) return false
      mix(text)
      const slot = find()
      return (slots[2 * slot]! | slots[2 * slot + 1]!) !== 0
    },
  }
}
