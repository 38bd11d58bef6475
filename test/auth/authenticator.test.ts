import t from 'tap'
import { createAuthenticator } from '../../src/auth/authenticator.ts'
import { openKeySet } from '../../src/auth/key-set.ts'
import { createTokenCache } from '../../src/auth/token-cache.ts'
import { configFor, startFaultyIssuer, until } from '../helpers/issuer.ts'

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
