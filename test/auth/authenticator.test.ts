import t from 'tap'
import { createAuthenticator } from '../../src/auth/authenticator.ts'
import { openKeySet, type KeySet } from '../../src/auth/key-set.ts'
import { createTokenCache } from '../../src/auth/token-cache.ts'
import { mintKey } from '../../src/demo/issuer.ts'
import { memoryLimit } from '../../src/lib/memory-limit.ts'
import { isDenial } from '../../src/telemetry/reason.ts'
import { configFor, startFaultyIssuer, until } from '../helpers/issuer.ts'
import { forge, goodClaims, inlineIssuer, openBench, signerOf } from '../helpers/tokens.ts'

t.test('a token of the issuer is its principal, with every algorithm', async (t) => {
  const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']
  const issuer = await startFaultyIssuer({ tls: true, algorithms })
  t.teardown(() => issuer.close())
  const config = configFor(issuer, t.testdir())
  const keySet = openKeySet(config)
  t.teardown(() => { keySet.close() })
  await until(() => keySet.status().usable, 'keys')
  t.equal(keySet.status().keys, algorithms.length)
  const authenticator = createAuthenticator({ issuers: [config], keySets: new Map([['corp', keySet]]), cache: createTokenCache(16) })
  for (const alg of algorithms) {
    const token = await issuer.sign({ sub: `user of ${alg}` }, { alg })
    const principal = authenticator.authenticate(token)
    t.match(principal, { issuer: 'corp', subject: `user of ${alg}`, algorithm: alg }, `${alg}, at once and without a promise`)
    t.equal(authenticator.authenticate(token), principal, 'the same object from the cache')
    const [head, body, signature] = token.split('.') as [string, string, string]
    const flipped = `${signature.slice(0, 9)}${signature[9] === 'A' ? 'B' : 'A'}${signature.slice(10)}`
    t.match(authenticator.authenticate(`${head}.${body}.${flipped}`), { denied: 'signature_invalid' }, 'one bit of the signature')
  }
})

t.test('a principal that outlives its configuration is held against the one in force', async (t) => {
  const key = await mintKey('ES256', 'key')
  const config = inlineIssuer([key])
  const old = openBench([config])
  const claims = goodClaims('https://auth.internal')
  const principal = await old.principal(forge({ alg: 'ES256', kid: 'key' }, claims, signerOf(key)))
  const at = Date.now()
  t.equal(old.recheck(principal, at), undefined)
  t.match(old.recheck(principal, at + 400_000), { denied: 'token_expired' })

  /** As a reload does it: the issuer's keys live on where they are the same. */
  const under = (fields: Record<string, unknown>): string | undefined =>
    createAuthenticator({ issuers: [{ ...config, ...fields }], keySets: old.keySets, cache: old.cache }).recheck(principal, at)?.denied
  t.equal(under({}), undefined)
  t.equal(under({ audiences: ['internal-services', 'more'] }), undefined, 'other rules that it passes, too')
  t.equal(under({ audiences: ['others'] }), 'audience_mismatch')
  t.equal(under({ algorithms: ['RS256'] }), 'algorithm_refused')
  t.equal(under({ tokenType: 'at+jwt' }), 'token_type_mismatch')
  t.equal(under({ requiredClaims: ['tenantId'] }), 'claim_invalid')
  t.equal(under({ issuer: 'https://another.internal' }), 'issuer_unknown')
  const other = openBench([inlineIssuer([await mintKey('ES256', 'key')])])
  t.match(other.recheck(principal, at), { denied: 'key_unknown' }, 'the key is no longer the issuer\'s')
})

t.test('A15 so many tokens wait for keys and no more; those that wait are judged by their text, taken apart again', async (t) => {
  const key = await mintKey('ES256', 'key')
  const config = inlineIssuer([key])
  const real = openKeySet(config)
  const arrived = Promise.withResolvers<void>()
  // The kid is unknown until the fetch is over.
  const slow: KeySet = { ...real, find: (kid, algorithm, mayWait) => mayWait ? arrived.promise.then(() => real.find(kid, algorithm)) : { denied: 'key_unknown' } }
  const authenticator = createAuthenticator({ issuers: [config], keySets: new Map([['corp', slow]]), cache: createTokenCache(0) })
  const token = forge({ alg: 'ES256', kid: 'key' }, goodClaims('https://auth.internal'), signerOf(key))
  const most = Math.max(16, Math.floor(memoryLimit() / 8 / (100 * 1024)))
  const answers = Array.from({ length: most + 5 }, () => authenticator.authenticate(token))
  t.equal(answers.filter((answer) => answer instanceof Promise).length, most)
  t.ok(answers.slice(most).every((answer) => !(answer instanceof Promise) && isDenial(answer) && answer.denied === 'key_unknown'), 'the others are answered at once')
  arrived.resolve()
  const verdicts = await Promise.all(answers.slice(0, most).map(async (answer) => await answer))
  t.ok(verdicts.every((verdict) => !isDenial(verdict) && verdict.issuer === 'corp'))
  t.ok(authenticator.authenticate(token) instanceof Promise, 'there is room again')
})

t.test('an issuer without key set, or two of one name, are mistakes of the caller', async (t) => {
  const config = inlineIssuer([await mintKey('ES256')])
  t.throws(() => createAuthenticator({ issuers: [config], keySets: new Map(), cache: createTokenCache(1) }), /issuer corp has no key set/)
  t.throws(() => openBench([config, { ...config, name: 'again' }]), /two issuers have the same "issuer" https:\/\/auth\.internal/)
})
