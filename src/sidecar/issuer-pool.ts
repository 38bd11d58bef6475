/**
 * The key sets in use, shared between the configuration in force and the one that follows it: an issuer that a reload does not change
 * keeps its keys, its refresh timer and its cooldown. One of which only the timing or the bounds change keeps its keys.
 */
import { keySetIdentity, keySetOrigin, openKeySet, type KeySet, type KeySetDeps } from '../auth/key-set.ts'
import type { IssuerConfig } from '../config/schema.ts'

export interface Lease {
  readonly keys: KeySet
  /** Gives the key set back; closed when nobody has it any more. Call once. */
  release(): void
}

export interface IssuerPool {
  /**
   * @throws Error with one sentence when the issuer's keys cannot be opened as configured
   */
  lease(issuer: IssuerConfig): Lease
}

/** Makes an empty pool. */
export function createIssuerPool(deps: KeySetDeps): IssuerPool {
  const open = new Map<string, { keys: KeySet, origin: string | undefined, users: number }>()
  return {
    lease(issuer) {
      const identity = keySetIdentity(issuer)
      let entry = open.get(identity)
      if (entry === undefined) {
        const origin = keySetOrigin(issuer)
        const previous = origin === undefined ? undefined : [...open.values()].find((other) => other.origin === origin)?.keys
        open.set(identity, entry = { keys: openKeySet(issuer, deps, previous), origin, users: 0 })
      }
      entry.users++
      const { keys } = entry
      return {
        keys,
        release() {
          if (--entry.users > 0) return
          open.delete(identity)
          keys.close()
        },
      }
    },
  }
}
