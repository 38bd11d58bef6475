/** The nouns of `auth/`: what a verified token is to the rest of the sidecar. */
import type { Denial } from '../telemetry/reason.ts'

/** Claims of a verified token. A null-prototype object: `__proto__` and `constructor` are ordinary names in it (attack T26). */
export type Claims = Readonly<Record<string, unknown>>

/** A token that verified: whose it is and until when. Immutable, shared by every request that sends the same token. */
export interface Principal {
  /** Name of the configured issuer, never the raw `iss`. */
  readonly issuer: string
  readonly claims: Claims
  readonly subject: string | undefined
  readonly kid: string | undefined
  readonly algorithm: string
  /** Unix seconds, as in the token. */
  readonly expiresAt: number
  readonly issuedAt: number | undefined
}

/** Token in, principal or denial out; synchronous when the answer is known (cache hit, keys at hand). */
export interface Authenticator {
  /**
   * @param token the compact JWS, as extracted
   * @returns never rejects or throws for anything in the token: every failure is a {@link Denial}
   */
  authenticate(token: string): Principal | Denial | Promise<Principal | Denial>
  /** Whether a principal that passed before would still pass now: expiry, deny-list, key still in the set. For long streams. */
  recheck(principal: Principal, nowMs: number): Denial | undefined
}
