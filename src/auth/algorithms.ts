import { constants, createHmac, timingSafeEqual, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** Checks one signature over the signing input. Never throws: what cannot be checked is false. */
export type VerifySignature = (input: Buffer, signature: Buffer) => boolean

type Family = 'rsa' | 'ec' | 'ed25519' | 'secret'

/** A signature algorithm: which keys it takes and how it is checked. */
interface Algorithm {
  readonly family: Family
  /** For `ec`: the one curve, by OpenSSL's name (RFC 7518 section 3.4 ties each ES algorithm to one curve). */
  readonly curve?: string
  /** For `secret`: fewest bytes, those of the hash (RFC 7518 section 3.2). */
  readonly secretBytes?: number
  readonly compile: (key: KeyObject) => VerifySignature
}

/** Refuses a signature of another length before it costs anything: no DER, no padding, no truncation. */
function exactly(bytes: number, check: VerifySignature): VerifySignature {
  return (input, signature) => {
    if (signature.length !== bytes) return false
    try {
      return check(input, signature)
    } catch {
      return false
    }
  }
}

const modulusBytes = (key: KeyObject): number => Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8)

/** RSASSA-PKCS1-v1_5 (RFC 7518 section 3.3). */
const rs = (hash: string): Algorithm => ({
  family: 'rsa',
  compile: (key) => exactly(modulusBytes(key), (input, signature) => verify(hash, input, key, signature)),
})

/** RSASSA-PSS; the salt is exactly as long as the hash (RFC 7518 section 3.5). */
const ps = (hash: string): Algorithm => ({
  family: 'rsa',
  compile(key) {
    const pss = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    return exactly(modulusBytes(key), (input, signature) => verify(hash, input, pss, signature))
  },
})

/** ECDSA; the signature is the two numbers side by side, each as long as the curve's order (RFC 7518 section 3.4). */
const es = (hash: string, curve: string, bytes: number): Algorithm => ({
  family: 'ec',
  curve,
  compile(key) {
    const raw = { key, dsaEncoding: 'ieee-p1363' } as const
    return exactly(bytes, (input, signature) => verify(hash, input, raw, signature))
  },
})

/** Ed25519 (RFC 8037 section 3.1). */
const ed: Algorithm = {
  family: 'ed25519',
  compile: (key) => exactly(64, (input, signature) => verify(null, input, key, signature)),
}

/** HMAC, compared in constant time (RFC 7518 section 3.2). */
const hs = (hash: string, bytes: number): Algorithm => ({
  family: 'secret',
  secretBytes: bytes,
  compile: (key) => exactly(bytes, (input, signature) => timingSafeEqual(createHmac(hash, key).update(input).digest(), signature)),
})

/** Every algorithm there is. `none` is not one. */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map([
  ['RS256', rs('sha256')],
  ['RS384', rs('sha384')],
  ['RS512', rs('sha512')],
  ['PS256', ps('sha256')],
  ['PS384', ps('sha384')],
  ['PS512', ps('sha512')],
  ['ES256', es('sha256', 'prime256v1', 64)],
  ['ES384', es('sha384', 'secp384r1', 96)],
  ['ES512', es('sha512', 'secp521r1', 132)],
  ['EdDSA', ed],
  ['HS256', hs('sha256', 32)],
  ['HS384', hs('sha384', 48)],
  ['HS512', hs('sha512', 64)],
])

const familyOf = (key: KeyObject): string | undefined => key.type === 'secret' ? 'secret' : key.asymmetricKeyType

/**
 * Everything a key may verify: algorithm name to check. A public key can never check an HMAC, nor an EC key another curve's ES
 * algorithm: the pair does not exist.
 * @param only the one algorithm the key says it is for (`alg` of the JWK), if it says so
 */
export function verifiersOf(key: KeyObject, only?: string): ReadonlyMap<string, VerifySignature> {
  const verifiers = new Map<string, VerifySignature>()
  for (const [name, algorithm] of ALGORITHMS) {
    if (only !== undefined && name !== only) continue
    if (algorithm.family !== familyOf(key)) continue
    if (algorithm.curve !== undefined && algorithm.curve !== key.asymmetricKeyDetails?.namedCurve) continue
    if (algorithm.secretBytes !== undefined && algorithm.secretBytes > (key.symmetricKeySize ?? 0)) continue
    verifiers.set(name, algorithm.compile(key))
  }
  return verifiers
}
