import type { IssuerConfig } from '../config/schema.ts'
import { systemClock } from '../lib/clock.ts'
import { memoryLimit } from '../lib/memory-limit.ts'
import type { Clock } from '../lib/clock.ts'
import { deny, isDenial } from '../telemetry/reason.ts'
import type { Denial } from '../telemetry/reason.ts'
import { compileIssuerRules } from './claims.ts'
import type { IssuerRules } from './claims.ts'
import type { Denylist } from './denylist.ts'
import type { VerificationKey } from './jwks.ts'
import { createJwsParser } from './jws.ts'
import type { Jws } from './jws.ts'
import type { KeySet } from './key-set.ts'
import { parseStrictObject } from './strict-json.ts'
import type { TokenCache, Verified } from './token-cache.ts'
import type { Authenticator, Claims, Principal } from './types.ts'

export interface AuthenticatorParts {
  readonly issuers: readonly IssuerConfig[]
  /** By the issuer's name. */
  readonly keySets: ReadonlyMap<string, KeySet>
  /** May be shared with the authenticator of the configuration before this one. */
  readonly cache: TokenCache
  readonly denylist?: Denylist | undefined
  readonly clock?: Clock
}

/** An issuer that is trusted: what its tokens must be like, and its own keys. No key of one issuer is ever tried for another. */
interface Trusted {
  readonly rules: IssuerRules
  readonly keySet: KeySet
}

/** A token taken apart, with the issuer it claims to be from; the signature is not checked yet. */
interface Candidate {
  readonly token: string
  readonly jws: Jws
  readonly claims: Claims
  readonly trusted: Trusted
}

/**
 * Requests whose verdict waits for keys, and how many may: one keeps its head, some 100 KiB at most, and nobody is ended for it, as their clients may long be gone. An eighth
 * of the memory limit.
 */
const waiting = { count: 0, most: Math.max(16, Math.floor(memoryLimit() / 8 / (100 * 1024))) }

function trust(issuers: readonly IssuerConfig[], keySets: ReadonlyMap<string, KeySet>): Map<string, Trusted> {
  const byIssuer = new Map<string, Trusted>()
  for (const config of issuers) {
    const keySet = keySets.get(config.name)
    if (!keySet) throw new Error(`issuer ${config.name} has no key set`)
    if (byIssuer.has(config.issuer)) throw new Error(`two issuers have the same "issuer" ${config.issuer}; merge them into one`)
    byIssuer.set(config.issuer, { rules: compileIssuerRules(config), keySet })
  }
  return byIssuer
}

/** Says on a denial whose token it was. */
function about<T extends Principal | Denial>({ name }: IssuerRules, result: T): T {
  return isDenial(result) ? { ...result, issuer: name } : result
}

/** Checks what does not change with time, for a principal that passed under other rules: those of a configuration before. */
function underRules({ algorithm, claims, proof }: Verified, rules: IssuerRules): Denial | undefined {
  return rules.algorithms.has(algorithm) ? rules.check(claims, proof.typ) : deny('algorithm_refused')
}

/** The first key that the signature verifies with. */
function verifiedBy(keys: readonly VerificationKey[], { header, signingInput, signature }: Jws): VerificationKey | undefined {
  return keys.find((key) => key.verifiers.get(header.alg)?.(signingInput, signature) === true)
}

/**
 * Makes the authenticator: token in, principal or denial out.
 * @throws Error when an issuer has no key set, or two issuers share one `iss`: mistakes in the caller
 */
export function createAuthenticator({ issuers, keySets, cache, denylist, clock = systemClock }: AuthenticatorParts): Authenticator {
  const byIssuer = trust(issuers, keySets)
  const parser = createJwsParser()

  /** Everything that may have changed since a token verified. Run at every use, for fresh and cached tokens alike. */
  const standing = (verified: Verified, { rules, keySet }: Trusted, nowMs: number): Denial | undefined => {
    const { key } = verified.proof
    if (!keySet.holds(key)) return deny(keySet.status().usable ? 'key_unknown' : 'keys_unavailable', 'the key that signed it is gone')
    return rules.checkTime(verified, nowMs) ?? revoked(verified)
  }

  /** Looks a token up in the deny-list, once for each edition of it: what a list says of a token does not change with time. */
  const revoked = (verified: Verified): Denial | undefined => {
    const { proof } = verified
    if (!denylist || proof.cleared === denylist.edition) return undefined
    const denial = denylist.check(verified)
    if (!denial) proof.cleared = denylist.edition
    return denial
  }

  /** Takes a token apart as far as its issuer's name. */
  const open = (token: string): Candidate | Denial => {
    const jws = parser.parse(token)
    if (isDenial(jws)) return jws
    const claims = parseStrictObject(jws.payload)
    if (!claims) return deny('token_malformed', 'the payload is not one JSON object without duplicate members')
    const trusted = typeof claims.iss === 'string' ? byIssuer.get(claims.iss) : undefined
    if (!trusted) return deny('issuer_unknown')
    return { token, jws, claims, trusted }
  }

  /** Signature first: nobody without a key learns what else is wrong. */
  const verify = ({ token, jws, claims, trusted }: Candidate, keys: readonly VerificationKey[]): Principal | Denial => {
    const key = verifiedBy(keys, jws)
    const { rules, keySet } = trusted
    if (!key) {
      keySet.doubt()
      return deny('signature_invalid')
    }
    const { kid, alg, typ } = jws.header
    const denial = rules.check(claims, typ)
    if (denial) return denial
    const verified: Verified = {
      issuer: rules.name,
      claims,
      subject: claims.sub as string | undefined,
      kid,
      algorithm: alg,
      expiresAt: claims.exp as number,
      sheet: undefined,
      issuedAt: claims.iat as number | undefined,
      notBefore: claims.nbf as number | undefined,
      proof: { key, rules: rules.identity, iss: claims.iss as string, typ, cleared: undefined },
    }
    const fallen = standing(verified, trusted, clock.now())
    if (fallen) return fallen
    parser.remember(token, jws.header)
    cache.put(token, verified, jws.signature)
    return verified
  }

  /** Finds the keys, and verifies. */
  const judge = (candidate: Candidate): Principal | Denial | Promise<Principal | Denial> => {
    const { token, jws: { header: { alg, kid } }, trusted: { rules, keySet } } = candidate
    if (!rules.algorithms.has(alg)) return about(rules, deny('algorithm_refused', 'alg is not in the issuer\'s list'))
    const keys = keySet.find(kid, alg, waiting.count < waiting.most)
    if (!(keys instanceof Promise)) return about(rules, isDenial(keys) ? keys : verify(candidate, keys))
    // Strangers can make us wait: meanwhile no more is kept of their token than its text (attack A15).
    waiting.count++
    return keys.then((found) => {
      waiting.count--
      if (isDenial(found)) return about(rules, found)
      const again = open(token)
      return about(rules, isDenial(again) ? again : verify(again, found))
    })
  }

  /** What the cache knows, if it still holds; undefined when the token must be verified afresh. */
  const recall = (token: string): Principal | Denial | undefined => {
    const verified = cache.get(token)
    if (!verified) return undefined
    const trusted = byIssuer.get(verified.proof.iss)
    if (!trusted || trusted.rules.identity !== verified.proof.rules || !trusted.keySet.holds(verified.proof.key)) {
      cache.drop(token)
      return undefined
    }
    return about(trusted.rules, standing(verified, trusted, clock.now()) ?? verified)
  }

  return {
    authenticate(token) {
      const known = recall(token)
      if (known) return known
      const candidate = open(token)
      return isDenial(candidate) ? candidate : judge(candidate)
    },

    recheck(principal, nowMs) {
      const verified = principal as Verified
      const trusted = byIssuer.get(verified.proof.iss)
      if (!trusted) return deny('issuer_unknown')
      return (verified.proof.rules === trusted.rules.identity ? undefined : underRules(verified, trusted.rules))
        ?? standing(verified, trusted, nowMs)
    },
  }
}
