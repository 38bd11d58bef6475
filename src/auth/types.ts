/** The nouns of `auth/`: what a verified token is to the rest of the sidecar. */
import type { Denial } from '../telemetry/reason.ts'

/** Claims of a verified token. A null-prototype object: `__proto__` and `constructor` are ordinary names in it (attack T26). */
export type Claims = Readonly<Record<string, unknown>>

/** Identity headers, or why there are none, as one compiled `identity` has them. */
export interface IdentitySheet {
  readonly by: object
  readonly headers: readonly string[] | Denial
}

/** A token that verified: whose it is and until when. Immutable but for a note, shared by every request that sends the same token. */
export interface Principal {
  /** Name of the configured issuer, never the raw `iss`. */
  readonly issuer: string
  readonly claims: Claims
  readonly subject: string | undefined
  readonly kid: string | undefined
  readonly algorithm: string
  /** What `identity.ts` made of the claims, and by which configuration: its own note, for the next request. */
  sheet?: IdentitySheet | undefined
  /** Unix seconds, as in the token. */
  readonly expiresAt: number
  readonly issuedAt: number | undefined
  readonly notBefore: number | undefined
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
