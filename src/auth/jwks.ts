import { createHash, createPublicKey, createSecretKey } from 'node:crypto'
import type { KeyObject, webcrypto } from 'node:crypto'
import { verifiersOf } from './algorithms.ts'
import type { VerifySignature } from './algorithms.ts'

/** A key that may check signatures. Its object identity is its identity: a refresh that finds the same key keeps the same object. */
export interface VerificationKey {
  /** Key ID of the JWK; undefined when it has none. */
  readonly kid: string | undefined
  /** Algorithm name to check, for each algorithm this key may be used with; never empty. */
  readonly verifiers: ReadonlyMap<string, VerifySignature>
  /** Hash of everything that makes the key what it is. */
  readonly fingerprint: string
}

/** The usable keys of a JWKS, and why the others are not. */
export interface ParsedJwks {
  readonly keys: readonly VerificationKey[]
  /** One clause for each key that was left out; never key material. */
  readonly skipped: readonly string[]
}

const MIN_RSA_BITS = 2048
/** Verifying costs the square of the size: a key beyond this is a mistake or an attack. */
const MAX_RSA_BITS = 8192
const MAX_KID = 256
const MIN_SECRET_BYTES = 32

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The members that make a public key (RFC 7638 section 3.2); nothing else of a JWK reaches the crypto library. */
function publicMembers(jwk: Record<string, unknown>): webcrypto.JsonWebKey | undefined {
  const { kty, crv, n, e, x, y } = jwk as Record<string, string>
  if (kty === 'RSA') return { kty, n: n!, e: e! }
  if (kty === 'EC') return { kty, crv: crv!, x: x!, y: y! }
  if (kty === 'OKP') return { kty, crv: crv!, x: x! }
  return undefined
}

/** What keeps an RSA key from being trusted, if anything (RFC 7518 section 3.3: 2048 bits or more). */
function weakness(key: KeyObject): string | undefined {
  if (key.asymmetricKeyType !== 'rsa') return undefined
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {}
  if (modulusLength < MIN_RSA_BITS) return `RSA key of ${modulusLength} bits; at least ${MIN_RSA_BITS} are needed`
  if (modulusLength > MAX_RSA_BITS) return `RSA key of ${modulusLength} bits; at most ${MAX_RSA_BITS} are accepted`
  if (publicExponent < 3n || publicExponent % 2n === 0n) return `RSA public exponent ${publicExponent}`
  return undefined
}

/** What the JWK says about itself that forbids checking signatures with it, if anything (RFC 7517 section 4). */
function unfit(jwk: Record<string, unknown>): string | undefined {
  if (jwk.kty === 'oct') return 'a symmetric key in a public set'
  if ('d' in jwk || 'p' in jwk || 'k' in jwk) return 'private key material in a public set'
  if (jwk.use !== undefined && jwk.use !== 'sig') return 'use is not sig'
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) return 'key_ops has no verify'
  const { kid = '' } = jwk
  if (typeof kid !== 'string' || kid.length > MAX_KID) return `kid is not a string of at most ${MAX_KID} characters`
  if (jwk.alg !== undefined && typeof jwk.alg !== 'string') return 'alg is not a string'
  return undefined
}

/**
 * Makes a verification key of a public JWK.
 * @returns the key, or one clause that says why it is not usable
 */
export function importJwk(jwk: unknown): VerificationKey | string {
  if (!isObject(jwk)) return 'not an object'
  const odd = unfit(jwk)
  if (odd !== undefined) return odd
  const members = publicMembers(jwk)
  if (!members) return 'kty is none of RSA, EC, OKP'
  let key: KeyObject
  try {
    key = createPublicKey({ key: members, format: 'jwk' })
  } catch {
    return `not a valid ${members.kty} public key`
  }
  const weak = weakness(key)
  if (weak !== undefined) return weak
  const { kid, alg } = jwk as { kid?: string, alg?: string }
  const verifiers = verifiersOf(key, alg)
  if (verifiers.size === 0) return alg === undefined ? 'no supported algorithm uses such a key' : 'alg is not supported or does not fit the key'
  const fingerprint = createHash('sha256').update(JSON.stringify([members, kid, alg])).digest('base64url')
  return { kid, verifiers, fingerprint }
}

/**
 * Reads a JWKS. Odd keys are left out and told; they never poison the good ones.
 * @param maxKeys most keys taken
 * @throws Error when it is not a JWKS, or has no usable key at all
 */
export function parseJwks(document: unknown, maxKeys: number): ParsedJwks {
  if (!isObject(document) || !Array.isArray(document.keys)) throw new Error('not a JWKS: it has no "keys" array')
  const keys: VerificationKey[] = []
  const skipped: string[] = []
  const entries = document.keys as unknown[]
  for (const [index, jwk] of entries.entries()) {
    if (index >= maxKeys) {
      skipped.push(`${entries.length - maxKeys} keys beyond the ${maxKeys} that keys.maxKeys allows`)
      break
    }
    const key = importJwk(jwk)
    if (typeof key === 'string') skipped.push(`key ${index}: ${key}`)
    else keys.push(key)
  }
  if (keys.length === 0) throw new Error(entries.length === 0 ? 'the JWKS is empty' : `no key of the JWKS is usable (${skipped[0]})`)
  return { keys, skipped }
}

/**
 * Makes the one HMAC key of an issuer configured with `keys.secretFile`. Whitespace around the secret (an editor's newline) is not part of it.
 * @throws Error when the secret is shorter than 32 bytes (RFC 7518 section 3.2)
 */
export function importSecret(text: string): VerificationKey {
  if (text.includes('\ufffd')) throw new Error('the secret is not text; write it as text, for example from `openssl rand -base64 48`')
  const bytes = Buffer.from(text.trim())
  if (bytes.length < MIN_SECRET_BYTES) throw new Error(`the secret has ${bytes.length} bytes; at least ${MIN_SECRET_BYTES} are needed`)
  const fingerprint = createHash('sha256').update(bytes).digest('base64url')
  return { kid: undefined, verifiers: verifiersOf(createSecretKey(bytes)), fingerprint }
}
