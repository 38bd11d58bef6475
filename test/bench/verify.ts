/**
 * What one token costs, in CPU microseconds of the whole process: our verifier (synchronous node:crypto) beside jose (WebCrypto), fresh and
 * from the cache. Decisions 0003 and 0004 quote it. Run: `node test/bench/verify.ts`; pin it to one core (`taskset -c 1`) to
 * see what a sidecar pays.
 */
import { createHash } from 'node:crypto'
import { importJWK, jwtVerify } from 'jose'
import { openDenylist } from '../../src/auth/denylist.ts'
import { createTokenCache } from '../../src/auth/token-cache.ts'
import { mintKey } from '../../src/demo/issuer.ts'
import type { SigningKey } from '../../src/demo/issuer.ts'
import { forge, goodClaims, inlineIssuer, now, openBench, signerOf } from '../helpers/tokens.ts'

const ISS = 'https://auth.internal'
const ROUNDS = 9

interface Row { readonly name: string, readonly calls: number, readonly run: (index: number) => unknown, best: number }
const rows: Row[] = []
const row = (name: string, calls: number, run: Row['run']): void => { rows.push({ name, calls, run, best: Infinity }) }

/** CPU microseconds a call. */
async function measure({ calls, run }: Row): Promise<number> {
  const begun = process.cpuUsage()
  for (let index = 0; index < calls; index++) {
    const answer = run(index)
    if (answer instanceof Promise) await answer
  }
  const { user, system } = process.cpuUsage(begun)
  return (user + system) / calls
}

const claims = (index: number): Record<string, unknown> => goodClaims(ISS, { sub: `user-${index}`, jti: `token-${index}`, roles: ['user', 'admin'], scope: 'orders.read orders.write', tenantId: 'acme', email: 'someone@example.com' })
const tokensOf = (key: SigningKey, count: number): string[] =>
  Array.from({ length: count }, (_, index) => forge({ alg: key.algorithm, kid: key.kid, typ: 'JWT' }, claims(index), signerOf(key)))

for (const algorithm of ['RS256', 'ES256', 'EdDSA']) {
  const key = await mintKey(algorithm, `${algorithm}-key`)
  const issuer = inlineIssuer([key])
  const tokens = tokensOf(key, 1000)
  const publicKey = await importJWK(key.jwk)
  const fresh = openBench([issuer], { cache: createTokenCache(0) })
  row(`${algorithm} fresh, jose (WebCrypto)`, 1000, (index) => jwtVerify(tokens[index]!, publicKey, { issuer: ISS, audience: 'internal-services', clockTolerance: 30 }))
  row(`${algorithm} fresh, ours (node:crypto)`, 1000, (index) => fresh.authenticate(tokens[index]!))
  const bad = tokens.map((token) => `${token.slice(0, -20)}AAAA${token.slice(-16)}`)
  row(`${algorithm} bad signature, ours`, 1000, (index) => fresh.authenticate(bad[index]!))
}

const key = await mintKey('RS256', 'key')
const issuer = inlineIssuer([key])
const tokens = tokensOf(key, 1000)
/** As a request brings it: cut from a header value, never hashed before. */
const header = (index: number): string => Buffer.from(`Bearer ${tokens[index % 1000]!}`, 'latin1').toString('latin1').slice(7)
row('(making the string as a request does; part of the rows below)', 20_000, header)
row('SHA-256 of a token, base64url', 20_000, (index) => createHash('sha256').update(header(index)).digest('base64url'))
const many = Array.from({ length: 100_000 }, (_, index) => `entry-${index}`)
const denylists = {
  'no deny-list': undefined,
  'deny-list of 10 jti': await openDenylist({ jti: many.slice(0, 10) }),
  'deny-list of 400,000: jti, sub, kid, issuedBefore': await openDenylist({ jti: many, sub: many, kid: many, issuedBefore: many.map((sub) => ({ sub, time: now() - 3600 })) }),
}
for (const [name, denylist] of Object.entries(denylists)) {
  const cached = openBench([issuer], { cache: createTokenCache(4096), ...denylist && { denylist } })
  for (const token of tokens) await cached.authenticate(token)
  row(`cached, one token, ${name}`, 20_000, () => cached.authenticate(header(0)))
  row(`cached, 1,000 tokens, ${name}`, 20_000, (index) => cached.authenticate(header(index)))
}

// Interleaved, so that what else the machine does falls on all rows alike.
for (let round = 0; round < ROUNDS; round++) for (const each of rows) each.best = Math.min(each.best, await measure(each))

const width = Math.max(...rows.map(({ name }) => name.length))
console.log(`node ${process.version}, token of ${tokens[0]!.length} bytes, best of ${ROUNDS}, CPU microseconds a call`)
for (const { name, best } of rows) console.log(`${name.padEnd(width)}  ${best.toFixed(2).padStart(8)}`)
