/**
 * Wycheproof's JWS vectors through the real parser, key import and signature check, and through jose. The vectors' payloads are not JWT
 * claims, so what is held here is everything up to the claims.
 */
import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { compactVerify, importJWK } from 'jose'
import { createSecretKey } from 'node:crypto'
import { importJwk } from '../../src/auth/jwks.ts'
import type { VerificationKey } from '../../src/auth/jwks.ts'
import { createJwsParser } from '../../src/auth/jws.ts'
import { verifiersOf } from '../../src/auth/algorithms.ts'

const FILE = new URL('../../../shared/corpora/wycheproof/json_web_signature_test.json', import.meta.url)

type Jwk = Record<string, unknown> & { kty: string, alg?: string, kid?: string }
interface Group { public?: Jwk, private: Jwk, comment: string, tests: { tcId: number, comment: string, jws: string, result: 'valid' | 'invalid' }[] }

/** Vectors where our verdict is not the vector's, each with its reason: 393 of 401 go as the vector says. */
const DEVIATIONS: Record<number, string> = {
  346: 'refused: the JWK says PS256, the token is PS384; a key is used for its own alg only',
  347: 'refused: the JWK says alg "ES521", which does not exist; such a key is skipped',
  350: 'refused: as 346',
  351: 'refused: as 347',
  367: 'accepted: byte for byte the valid vector 357; the padding it is named for was lost from the corpus',
  370: 'accepted: as 367',
  372: 'refused: a "?" inside the header; RFC 7515 section 2 has no characters to ignore',
  373: 'refused: a "?" inside the payload',
}
/** The vectors that are equal to a valid one. */
const SAME_AS: Record<number, number> = { 367: 357, 370: 357 }

/** The key as the verifier gets it. Symmetric vectors go where `keys.secretFile` goes, with the JWK's own restrictions. */
function keyOf(group: Group): VerificationKey | string {
  const jwk = group.public ?? group.private
  if (jwk.kty !== 'oct') return importJwk(jwk)
  const verifiers = verifiersOf(createSecretKey(Buffer.from(jwk.k as string, 'base64url')), jwk.alg)
  return { kid: undefined, verifiers, fingerprint: '' }
}

const parser = createJwsParser()

function ours(group: Group, token: string): 'valid' | 'invalid' {
  const key = keyOf(group)
  if (typeof key === 'string') return 'invalid'
  const jws = parser.parse(token)
  if ('denied' in jws) return 'invalid'
  return key.verifiers.get(jws.header.alg)?.(jws.signingInput, jws.signature) === true ? 'valid' : 'invalid'
}

async function theirs(group: Group, token: string): Promise<'valid' | 'invalid'> {
  try {
    const jwk = group.public ?? group.private
    await compactVerify(token, await importJWK(jwk, jwk.alg), jwk.alg === undefined ? {} : { algorithms: [jwk.alg] })
    return 'valid'
  } catch {
    return 'invalid'
  }
}

const skip = existsSync(FILE) ? false : '../shared/corpora/wycheproof is not on this machine'
t.test('every vector, as Wycheproof says and as jose does', { skip }, async (t) => {
  const { testGroups, numberOfTests } = JSON.parse(readFileSync(FILE, 'utf8')) as { testGroups: Group[], numberOfTests: number }
  const tokens = new Map<number, string>()
  for (const group of testGroups) {
    for (const { tcId, comment, jws, result } of group.tests) {
      const verdict = ours(group, jws)
      const deviation = DEVIATIONS[tcId]
      if (deviation === undefined) t.equal(verdict, result, `${tcId} ${comment}`)
      else t.not(verdict, result, `${tcId} ${comment}: ${deviation}`)
      if (tcId in SAME_AS) t.equal(jws, tokens.get(SAME_AS[tcId]!), `${tcId} is the text of ${SAME_AS[tcId]}`)
      tokens.set(tcId, jws)
      if (verdict === 'valid') t.equal(await theirs(group, jws), 'valid', `${tcId} is good for jose as well`)
    }
  }
  t.equal(tokens.size, numberOfTests)
})
