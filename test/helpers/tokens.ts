/** Tokens as attackers make them: any bytes in any part, signed or not. */
import { createHmac, KeyObject, sign } from 'node:crypto'
import type { SigningKey } from '../../src/demo/issuer.ts'
import { createAuthenticator } from '../../src/auth/authenticator.ts'
import type { Denylist } from '../../src/auth/denylist.ts'
import { openKeySet } from '../../src/auth/key-set.ts'
import type { KeySet } from '../../src/auth/key-set.ts'
import { createTokenCache } from '../../src/auth/token-cache.ts'
import type { TokenCache } from '../../src/auth/token-cache.ts'
import type { Authenticator, Principal } from '../../src/auth/types.ts'
import type { IssuerConfig } from '../../src/config/schema.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { isDenial } from '../../src/telemetry/reason.ts'
import type { Reason } from '../../src/telemetry/reason.ts'
import { configFor, fakeClock, issuerConfig, startFaultyIssuer, until, type FakeClock, type FaultyIssuer } from './issuer.ts'
import type { Test } from 'tap'
import type { IssuerOptions } from '../../src/demo/issuer.ts'

export const base64url = (data: string | Buffer): string => Buffer.from(data).toString('base64url')

const written = (part: unknown): string => typeof part === 'string' ? part : JSON.stringify(part)

/** What signs: the signing input's bytes to a signature. */
export type Signer = (input: Buffer) => Buffer

/** Puts a token together: header and payload as objects, or as the very text. */
export function forge(header: unknown, payload: unknown, signer: Signer): string {
  const input = `${base64url(written(header))}.${base64url(written(payload))}`
  return `${input}.${base64url(signer(Buffer.from(input)))}`
}

/** Signs with an issuer's private key, by RS256 or ES256 or EdDSA as the key is. */
export function signerOf(key: SigningKey, hash = 'sha256'): Signer {
  const privateKey = KeyObject.from(key.privateKey)
  const digest = privateKey.asymmetricKeyType === 'ed25519' ? null : hash
  return (input) => sign(digest, input, { key: privateKey, dsaEncoding: 'ieee-p1363' })
}

export const hmacSigner = (secret: string | Buffer, hash = 'sha256'): Signer => (input) => createHmac(hash, secret).update(input).digest()

export const now = (): number => Math.floor(Date.now() / 1000)

/** Claims that pass, of the issuer at `iss`. */
export const goodClaims = (iss: string, claims: Record<string, unknown> = {}): Record<string, unknown> =>
  ({ iss, aud: 'internal-services', sub: 'bob', iat: now(), exp: now() + 300, ...claims })

/** The reason for which a token was refused, or `passed`. */
export async function verdict(authenticator: Authenticator, token: string): Promise<Reason | 'passed'> {
  const answer = await authenticator.authenticate(token)
  return isDenial(answer) ? answer.denied : 'passed'
}

export interface Bench extends Authenticator {
  readonly keySets: ReadonlyMap<string, KeySet>
  readonly cache: TokenCache
  judge(token: string): Promise<Reason | 'passed'>
  principal(token: string): Promise<Principal>
  close(): void
}

/** An authenticator over real key sets of these issuers. */
export function openBench(issuers: readonly IssuerConfig[], parts: { clock?: Clock, denylist?: Denylist, cache?: TokenCache } = {}): Bench {
  const keySets = new Map(issuers.map((each) => [each.name, openKeySet(each, parts)]))
  const cache = parts.cache ?? createTokenCache(1024)
  const authenticator = createAuthenticator({ issuers, keySets, ...parts, cache })
  return {
    ...authenticator,
    keySets,
    cache,
    judge: (token) => verdict(authenticator, token),
    async principal(token) {
      const answer = await authenticator.authenticate(token)
      if (isDenial(answer)) throw new Error(`denied: ${answer.denied} (${answer.detail ?? ''})`)
      return answer
    },
    close() { for (const keySet of keySets.values()) keySet.close() },
  }
}

/** The configuration of an issuer whose public keys are given inline: no network. */
export const inlineIssuer = (keys: readonly SigningKey[], fields: Record<string, unknown> = {}): IssuerConfig =>
  issuerConfig({ issuer: 'https://auth.internal', keys: { inline: { keys: keys.map((key) => key.jwk) } }, ...fields })

export interface IssuerBench {
  readonly issuer: FaultyIssuer
  readonly clock: FakeClock
  readonly bench: Bench
  readonly keySet: KeySet
}

/**
 * An issuer over TLS that can be told to misbehave, and a bench that has its keys, on a clock of its own; both end with the test.
 * @param keys how the keys are found; default: discovery
 */
export async function openIssuerBench(t: Test, options: IssuerOptions, keys?: (issuer: FaultyIssuer) => Record<string, unknown>): Promise<IssuerBench> {
  const issuer = await startFaultyIssuer({ tls: true, ...options })
  t.teardown(() => issuer.close())
  const clock = fakeClock()
  const bench = openBench([configFor(issuer, t.testdir(), {}, keys?.(issuer))], { clock })
  t.teardown(() => { bench.close() })
  const keySet = bench.keySets.get('corp')!
  await until(() => keySet.status().usable, 'keys')
  return { issuer, clock, bench, keySet }
}
