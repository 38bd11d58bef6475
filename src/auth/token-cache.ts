import { detach } from '../lib/detach.ts'
import type { VerificationKey } from './jwks.ts'
import type { Principal } from './types.ts'

/** A principal and what its verdict rests on. Whoever uses it again must find all of that unchanged. */
export interface Verified extends Principal {
  readonly proof: {
    /** The key that verified the signature. */
    readonly key: VerificationKey
    /** {@link import('./claims.ts').IssuerRules.identity} of the rules that the claims passed. */
    readonly rules: string
    /** `iss`: whose rules and keys are to be asked. */
    readonly iss: string
    /** `typ` of the header, for a check under other rules. */
    readonly typ: string | undefined
    /** The edition of the deny-list that let it pass last. */
    cleared: object | undefined
  }
}

export interface TokenCache {
  /** What was kept for exactly this token. It is a fact about the past: the caller checks time, key, rules and deny-list again. */
  get(token: string): Verified | undefined
  /**
   * Keeps a verified token; the cache may decline.
   * @param signature the token's signature bytes: random enough to be a hash that costs nothing
   */
  put(token: string, verified: Verified, signature: Buffer): void
  /** Forgets one token, whose verdict no longer holds. */
  drop(token: string): void
  readonly size: number
  readonly hits: number
  readonly misses: number
}

interface Entry {
  readonly token: string
  verified: Verified
  /** Used since the hand last passed. */
  used: boolean
  /** Its place in the ring. */
  place: number
}

/**
 * A token is looked up by its last characters, which are of its signature: 132 bits that nobody chooses who cannot sign. What is found is compared whole. V8 hashes all of a key,
 * and where it can it also puts each key that is looked for into its table of strings, found or not: a large token costs either twice, and a flood of them fills that table.
 */
const TAIL = 22
const tailOf = (token: string): string => token.slice(-TAIL)

/** What a token may weigh on average, in characters: it and its claims take some multiple of that in memory. */
const AVERAGE_TOKEN = 1024

/**
 * Makes a cache of verified tokens, bounded in number and in memory.
 *
 * What counts is the token itself, all of it, which is both cheaper and more exact than a digest. Only tokens that verified come in, so strangers cannot fill it. While there is room every one is kept; once it is
 * full a token is kept when it is seen for the second time, so that tokens used once (a new one per request) neither push
 * out the ones in use nor turn into old garbage. Eviction is CLOCK: a hit sets one bit, nothing is moved or allocated.
 * @param capacity most tokens kept, of 1 KiB on average; larger ones leave room for fewer; 0 keeps none
 */
export function createTokenCache(capacity: number): TokenCache {
  const budget = capacity * AVERAGE_TOKEN
  /** By {@link tailOf}. */
  const index = new Map<string, Entry>()
  const ring: Entry[] = []
  /** For each bucket the signature seen last: who comes again is let in. */
  const seen = new Uint32Array(capacity)
  let weight = 0
  let hand = 0
  let hits = 0
  let misses = 0

  const seenBefore = (signature: Buffer): boolean => {
    const mark = signature.readUInt32LE(signature.length - 4)
    const bucket = mark % capacity
    if (seen[bucket] === mark) return true
    seen[bucket] = mark
    return false
  }
  const isFull = (more: number): boolean => ring.length >= capacity || weight + more > budget

  const remove = (entry: Entry): void => {
    index.delete(tailOf(entry.token))
    weight -= entry.token.length
    const last = ring.pop()!
    if (last === entry) return
    last.place = entry.place
    ring[last.place] = last
  }

  /** Removes the first entry that was not used since the hand last passed it. */
  const evict = (): void => {
    for (;;) {
      if (hand >= ring.length) hand = 0
      const entry = ring[hand]!
      if (!entry.used) return remove(entry)
      entry.used = false
      hand++
    }
  }

  const find = (token: string): Entry | undefined => {
    const entry = index.get(tailOf(token))
    return entry?.token === token ? entry : undefined
  }

  return {
    get(token) {
      const entry = find(token)
      if (!entry) {
        misses++
        return undefined
      }
      hits++
      entry.used = true
      return entry.verified
    },

    put(token, verified, signature) {
      const present = index.get(tailOf(token))
      if (present) {
        if (present.token === token) present.verified = verified
        return
      }
      if (token.length > budget || (isFull(token.length) && !seenBefore(signature))) return
      while (isFull(token.length)) evict()
      const entry = { token: detach(token), verified, used: false, place: ring.length }
      ring.push(entry)
      index.set(detach(tailOf(token)), entry)
      weight += token.length
    },

    drop(token) {
      const entry = find(token)
      if (entry) remove(entry)
    },

    get size() { return index.size },
    get hits() { return hits },
    get misses() { return misses },
  }
}
