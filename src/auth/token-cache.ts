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
  token: string
  verified: Verified
  /** Used since the hand last passed. */
  used: boolean
  /** Its place in the ring. */
  place: number
}

/**
 * Makes a bounded cache of verified tokens.
 *
 * The key is the token itself: a Map hashes it once (with the process's secret seed) and compares all of it on a hit, which is both cheaper and
 * more exact than a digest. Only tokens that verified come in, so strangers cannot fill it. While there is room every one is kept; once it is
 * full a token is kept when it is seen for the second time, so that tokens used once (a new one per request) neither push
 * out the ones in use nor turn into old garbage. Eviction is CLOCK: a hit sets one bit, nothing is moved or allocated.
 * @param capacity most tokens kept; 0 keeps none
 */
export function createTokenCache(capacity: number): TokenCache {
  const index = new Map<string, Entry>()
  const ring: Entry[] = []
  /** For each bucket the signature prefix seen last: who comes again is let in. */
  const seen = new Uint32Array(capacity)
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

  /** The first entry not used since the hand passed it. */
  const victim = (): Entry => {
    for (;;) {
      const entry = ring[hand]!
      hand = (hand + 1) % capacity
      if (!entry.used) return entry
      entry.used = false
    }
  }

  return {
    get(token) {
      const entry = index.get(token)
      if (!entry) {
        misses++
        return undefined
      }
      hits++
      entry.used = true
      return entry.verified
    },

    put(token, verified, signature) {
      if (capacity === 0) return
      const present = index.get(token)
      if (present) {
        present.verified = verified
        return
      }
      const key = detach(token)
      if (ring.length < capacity) {
        const entry = { token: key, verified, used: false, place: ring.length }
        ring.push(entry)
        index.set(key, entry)
        return
      }
      if (!seenBefore(signature)) return
      const entry = victim()
      index.delete(entry.token)
      entry.token = key
      entry.verified = verified
      index.set(key, entry)
    },

    drop(token) {
      const entry = index.get(token)
      if (!entry) return
      index.delete(token)
      const last = ring.pop()!
      if (last === entry) return
      last.place = entry.place
      ring[last.place] = last
    },

    get size() { return index.size },
    get hits() { return hits },
    get misses() { return misses },
  }
}
