import type { VerificationKey } from './jwks.ts'

/** The keys of one issuer that are in force, found by algorithm and key ID. */
export interface KeyRing {
  /** All keys that fit; usually one. */
  find(kid: string | undefined, algorithm: string): readonly VerificationKey[]
  /** Whether any key has this ID, whatever its algorithm. */
  knows(kid: string): boolean
  has(key: VerificationKey): boolean
  readonly size: number
  readonly keys: readonly VerificationKey[]
  /**
   * Puts another set in force. A key that is in both keeps its object, and with it every cached verdict.
   * @returns whether any key came or went
   */
  replace(keys: readonly VerificationKey[]): boolean
}

const NONE: readonly VerificationKey[] = []

/** Algorithm names hold no space, so no kid can be taken for another pair. */
const slot = (algorithm: string, kid: string): string => `${algorithm} ${kid}`

/** @param ignoresKid for the one secret of an HMAC issuer, whose tokens may name any kid */
export function createKeyRing(ignoresKid = false): KeyRing {
  let current = new Map<string, VerificationKey>()
  let members = new Set<VerificationKey>()
  let index = new Map<string, VerificationKey[]>()
  let kids = new Set<string>()

  const file = (at: string, key: VerificationKey): void => {
    const keys = index.get(at)
    if (keys) keys.push(key)
    else index.set(at, [key])
  }

  return {
    find: (kid, algorithm) => index.get(kid === undefined || ignoresKid ? algorithm : slot(algorithm, kid)) ?? NONE,
    knows: (kid) => kids.has(kid),
    has: (key) => members.has(key),
    get size() { return members.size },
    get keys() { return [...members] },
    replace(keys) {
      const next = new Map(keys.map((key) => [key.fingerprint, current.get(key.fingerprint) ?? key]))
      const changed = next.size !== current.size || [...next.keys()].some((fingerprint) => !current.has(fingerprint))
      current = next
      members = new Set(next.values())
      index = new Map()
      kids = new Set()
      for (const key of members) {
        if (key.kid !== undefined) kids.add(key.kid)
        for (const algorithm of key.verifiers.keys()) {
          file(algorithm, key)
          if (key.kid !== undefined) file(slot(algorithm, key.kid), key)
        }
      }
      return changed
    },
  }
}
