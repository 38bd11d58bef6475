/**
 * Our verifier against jose as the oracle, on mutated tokens. Ours may be stricter, for the reasons listed; it never accepts what jose
 * refuses, and where both accept they read the same claims.
 */
import * as fc from 'fast-check'
import t from 'tap'
import { createLocalJWKSet, jwtVerify } from 'jose'
import type { JWTPayload } from 'jose'
import { mintKey } from '../../src/demo/issuer.ts'
import type { SigningKey } from '../../src/demo/issuer.ts'
import { createTokenCache } from '../../src/auth/token-cache.ts'
import { isDenial } from '../../src/telemetry/reason.ts'
import type { Reason } from '../../src/telemetry/reason.ts'
import { holdsAsync } from '../helpers/property.ts'
import { base64url, forge, goodClaims, hmacSigner, inlineIssuer, now, openBench, signerOf } from '../helpers/tokens.ts'
import type { Signer } from '../helpers/tokens.ts'

const ISS = 'https://auth.internal'
const RUNS = 400
const ALGORITHMS = ['RS256', 'ES256', 'EdDSA', 'RS512', 'PS256']

const keys = await Promise.all([mintKey('RS256', 'rsa'), mintKey('ES256', 'ec'), mintKey('EdDSA', 'ed')])
const stranger = await mintKey('ES256', 'ec')
const config = inlineIssuer(keys, { algorithms: ALGORITHMS })
/** Nothing is cached: each run is a fresh verification. */
const bench = openBench([config], { cache: createTokenCache(0) })
const jwks = createLocalJWKSet({ keys: keys.map((key) => key.jwk) })

/** Where jose accepts, ours may refuse only for these: strictness that RFC 7519, 8725 or the catalogue asks for and jose leaves open. */
const STRICTER: readonly Reason[] = [
  'token_malformed', // duplicate members, bytes that are not UTF-8, base64url with stray bits or white space, odd kid or typ
  'critical_header', // b64 without crit
  'token_encrypted', // zip or enc in a signed token
  'expiry_missing', // exp <= 0
  'claim_invalid', // sub, jti, aud of another type
  'token_bound', // cnf
  'token_type_mismatch', // typ of another kind
]

async function oracle(token: string): Promise<JWTPayload | undefined> {
  try {
    return (await jwtVerify(token, jwks, { issuer: ISS, audience: 'internal-services', algorithms: ALGORITHMS, clockTolerance: 30, requiredClaims: ['exp'] })).payload
  } catch {
    return undefined
  }
}

async function agree(token: string): Promise<'both' | 'neither' | Reason> {
  const ours = await bench.authenticate(token)
  const theirs = await oracle(token)
  if (isDenial(ours)) {
    if (!theirs) return 'neither'
    // jose looks at iat only where a maximum age is asked for.
    const iatAhead = ours.denied === 'token_not_yet_valid' && ours.detail === 'iat'
    if (!STRICTER.includes(ours.denied) && !iatAhead) throw new Error(`jose accepts what we refuse: ${ours.denied} ${ours.detail ?? ''} ${token}`)
    return ours.denied
  }
  if (!theirs) throw new Error(`we accept what jose refuses: ${token}`)
  if (JSON.stringify(ours.claims) !== JSON.stringify(theirs)) throw new Error(`two readings of one token: ${token}`)
  return 'both'
}

const signers: Record<string, Signer> = {
  rsa: signerOf(keys[0]),
  ec: signerOf(keys[1]),
  ed: signerOf(keys[2]),
  stranger: signerOf(stranger),
  hmac: hmacSigner(JSON.stringify(keys[0].jwk)),
  zero: () => Buffer.alloc(64),
  none: () => Buffer.alloc(0),
}
const honest = (key: SigningKey): string => forge({ alg: key.algorithm, kid: key.kid, typ: 'JWT' }, goodClaims(ISS), signerOf(key))
const tokens = keys.map(honest)
const count = (tally: Map<string, number>, what: string): void => { tally.set(what, (tally.get(what) ?? 0) + 1) }

t.test('honest tokens: both accept', async (t) => {
  for (const token of tokens) t.equal(await agree(token), 'both')
})

t.test('one character changed, put in, taken out or doubled, anywhere', async (t) => {
  const tally = new Map<string, number>()
  const character = fc.constantFrom(...'AQgwZaz09-_.+/= \n\0{"é'.split(''))
  const change = fc.tuple(fc.constantFrom(...tokens), fc.nat(), character, fc.constantFrom('replace', 'insert', 'delete', 'double'))
  await holdsAsync(t, 'jose agrees', change, async ([token, position, char, how]) => {
    const at = position % token.length
    const put = { replace: char, insert: char + token[at]!, delete: '', double: token[at]! + token[at]! }[how]
    const mutated = token.slice(0, at) + put + token.slice(at + 1)
    const outcome = await agree(mutated)
    count(tally, outcome)
    if (outcome === 'both' && mutated !== token) throw new Error(`both accept a changed token: ${mutated}`)
  }, RUNS)
  t.pass(JSON.stringify([...tally]))
})

t.test('headers and claims of every kind, signed by the right key or another', async (t) => {
  const tally = new Map<string, number>()
  const odd = fc.oneof(fc.constant(undefined), fc.string(), fc.integer(), fc.double(), fc.boolean(), fc.constant(null), fc.array(fc.string(), { maxLength: 2 }), fc.dictionary(fc.string(), fc.string(), { maxKeys: 2 }))
  const mostly = <T>(usual: T, ...others: fc.Arbitrary<unknown>[]): fc.Arbitrary<unknown> => fc.oneof({ weight: 12, arbitrary: fc.constant(usual) }, ...others)
  const header = fc.record({
    alg: fc.constantFrom('RS256', 'ES256', 'EdDSA', 'RS256', 'ES256', 'EdDSA', 'PS256', 'RS512', 'HS256', 'none', 'ES384'),
    kid: fc.constantFrom('rsa', 'ec', 'ed', undefined, 'x', 7),
    typ: mostly('JWT', odd, fc.constantFrom('at+jwt', 'logout+jwt')),
    crit: mostly(undefined, odd, fc.constant(['b64'])),
    b64: mostly(undefined, odd),
    zip: mostly(undefined, fc.constant('DEF')),
    cty: mostly(undefined, odd),
    jwk: mostly(undefined, fc.constant(stranger.jwk)),
  })
  const claims = fc.record({
    iss: mostly(ISS, odd),
    aud: mostly('internal-services', odd, fc.constant(['x', 'internal-services'])),
    exp: mostly(now() + 300, odd, fc.constantFrom(0, -5, now() - 3, now() - 1000, 1e300)),
    nbf: mostly(undefined, odd, fc.constantFrom(now() - 5, now() + 500)),
    iat: mostly(now(), odd, fc.constantFrom(now() - 5)),
    sub: mostly('bob', odd),
    jti: mostly(undefined, odd),
    cnf: mostly(undefined, odd),
    extra: odd,
  })
  // The signer that belongs to the header's alg, most of the time: otherwise nearly every token would fail for its signature alone.
  const fitting: Record<string, string> = { RS256: 'rsa', ES256: 'ec', EdDSA: 'ed' }
  const token = fc.tuple(header, claims, fc.constantFrom(...Object.keys(signers)), fc.integer({ min: 0, max: 9 }))
  await holdsAsync(t, 'jose agrees', token, async ([head, payload, other, dice]) => {
    const fit = fitting[head.alg]
    const kid = dice < 8 && fit !== undefined ? fit : head.kid
    count(tally, await agree(forge({ ...head, kid }, payload, signers[dice < 9 && fit !== undefined ? fit : other]!)))
  }, RUNS)
  t.ok((tally.get('both') ?? 0) > 10, `some pass: ${JSON.stringify([...tally])}`)
  t.ok((tally.get('neither') ?? 0) > 10, 'some fail')
})

t.test('any bytes as a payload that is properly signed', async (t) => {
  const tally = new Map<string, number>()
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
    fc.json().map((text) => Buffer.from(text)),
    fc.json().map((text) => Buffer.from(JSON.stringify(goodClaims(ISS)).replace('}', `,"x":${text}}`))),
    fc.tuple(fc.json(), fc.json()).map(([a, b]) => Buffer.from(JSON.stringify(goodClaims(ISS)).replace('}', `,"x":${a},"x":${b}}`))),
  )
  await holdsAsync(t, 'jose agrees', body, async (bytes) => {
    const input = `${base64url('{"alg":"ES256","kid":"ec"}')}.${base64url(bytes)}`
    count(tally, await agree(`${input}.${base64url(signers.ec!(Buffer.from(input)))}`))
  }, RUNS)
  t.pass(JSON.stringify([...tally]))
})
