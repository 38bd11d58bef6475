import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { IncomingMessage } from 'node:http'
import t from 'tap'
import { keySetIdentity, openKeySet } from '../../src/auth/key-set.ts'
import { createTokenCache } from '../../src/auth/token-cache.ts'
import { createAuthenticator } from '../../src/auth/authenticator.ts'
import { mintKey } from '../../src/demo/issuer.ts'
import { configFor, fakeClock, issuerConfig, startFaultyIssuer, until } from '../helpers/issuer.ts'
import { forge, goodClaims, hmacSigner, openBench, verdict } from '../helpers/tokens.ts'

const ISS = 'https://auth.internal'

t.test('refreshes ahead of time, with jitter; the issuer\'s shorter max-age counts, down to 30 s', async (t) => {
  const cases: [string | undefined, number][] = [
    [undefined, 300], ['max-age=60', 60], ['public, max-age=120, must-revalidate', 120], ['max-age=7200', 300],
    ['max-age=5', 30], ['no-store', 30], ['no-cache', 30], ['max-age=0', 30], ['nonsense', 300],
  ]
  for (const [cacheControl, seconds] of cases) {
    const issuer = await startFaultyIssuer({ algorithms: ['EdDSA'], ...cacheControl !== undefined && { cacheControl } })
    for (const [random, early] of [[0, 1], [0.5, 0.9], [0.999_999, 0.8]] as const) {
      const clock = fakeClock()
      const keySet = openKeySet(configFor(issuer, t.testdirName), { clock, random: () => random })
      await until(() => clock.pending.length === 1, 'planned')
      t.equal(Math.round(clock.pending[0]! / 1000), seconds * early, `${cacheControl}, random ${random}`)
      keySet.close()
      t.same(clock.pending, [], 'closed: nothing is planned any more')
    }
    await issuer.close()
  }
})

t.test('sends the bearer token that is in the file now', async (t) => {
  const seen: (string | undefined)[] = []
  const issuer = await startFaultyIssuer({ tls: true, algorithms: ['EdDSA'], intercept: (request: IncomingMessage) => { seen.push(request.headers.authorization); return false } })
  t.teardown(() => issuer.close())
  const noted = await startFaultyIssuer({ algorithms: ['EdDSA'] })
  t.teardown(() => noted.close())
  noted.fail((request, response) => { seen.push(request.headers.authorization); response.end(JSON.stringify(noted.jwks)) })
  const dir = t.testdir({ token: 'first\n' })
  const clock = fakeClock()
  const keySet = openKeySet(configFor(noted, dir, {}, { jwksUri: noted.jwksUri, bearerTokenFile: join(dir, 'token') }), { clock })
  t.teardown(() => { keySet.close() })
  await until(() => clock.pending.length === 1, 'first fetch')
  writeFileSync(join(dir, 'token'), 'second')
  clock.advance(300_000)
  await until(() => keySet.status().loads === 2, 'second fetch')
  t.same(seen, ['Bearer first', 'Bearer second'])
})

t.test('RFC 8414: metadata at the inserted well-known path, where OpenID\'s is not there', async (t) => {
  const issuer = await startFaultyIssuer({ algorithms: ['EdDSA'], path: '/realms/demo' })
  t.teardown(() => issuer.close())
  issuer.fail((request, response) => {
    if (request.url === '/.well-known/oauth-authorization-server/realms/demo') response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: `${issuer.url}/keys` }))
    else if (request.url === '/realms/demo/keys') response.end(JSON.stringify(issuer.jwks))
    else response.writeHead(404).end()
  })
  const bench = openBench([configFor(issuer, t.testdirName)])
  t.teardown(() => { bench.close() })
  t.equal(await bench.judge(await issuer.sign()), 'passed')
  t.same(Object.keys(issuer.requests), ['/realms/demo/.well-known/openid-configuration', '/.well-known/oauth-authorization-server/realms/demo', '/realms/demo/keys'])
})

t.test('RFC 8414 is asked only where OpenID\'s metadata is not there: trouble is no absence', async (t) => {
  const issuer = await startFaultyIssuer({ algorithms: ['EdDSA'] })
  t.teardown(() => issuer.close())
  for (const fault of ['status500', 'html', 'redirect', 'reset'] as const) {
    issuer.fail(fault)
    const keySet = openKeySet(configFor(issuer, t.testdirName))
    await until(() => keySet.status().failures > 0, fault)
    keySet.close()
  }
  t.same(Object.keys(issuer.requests), ['/.well-known/openid-configuration'])
})

t.test('after a success the backoff begins anew', async (t) => {
  const issuer = await startFaultyIssuer({ algorithms: ['EdDSA'] })
  t.teardown(() => issuer.close())
  issuer.fail('status500')
  const clock = fakeClock()
  const keySet = openKeySet(configFor(issuer, t.testdirName), { clock, random: () => 0 })
  t.teardown(() => { keySet.close() })
  const planned = async (): Promise<number> => {
    await until(() => clock.pending.length === 1, 'planned')
    return Math.round(clock.pending[0]!)
  }
  for (const wait of [1000, 2000, 4000]) {
    t.equal(await planned(), wait)
    if (wait === 4000) issuer.fail(undefined)
    clock.advance(wait + 1)
  }
  t.equal(await planned(), 300_000, 'well again')
  issuer.fail('status500')
  clock.advance(300_001)
  t.equal(await planned(), 1000)
})

t.test('an issuer with a trailing slash', async (t) => {
  const issuer = await startFaultyIssuer({ algorithms: ['EdDSA'] })
  t.teardown(() => issuer.close())
  const url = `${issuer.url}/`
  issuer.fail((_, response) => { response.end(JSON.stringify({ issuer: url, jwks_uri: issuer.jwksUri })) }, 'openid-configuration')
  const bench = openBench([configFor(issuer, t.testdirName, { issuer: url })])
  t.teardown(() => { bench.close() })
  t.equal(await bench.judge(await issuer.sign({ iss: url })), 'passed')
  t.equal(await bench.judge(await issuer.sign()), 'issuer_unknown', 'and not without it')
})

t.test('closing ends a fetch under way, and nothing is told any more', async (t) => {
  const issuer = await startFaultyIssuer({ algorithms: ['EdDSA'] })
  t.teardown(() => issuer.close())
  issuer.fail('hang')
  const keySet = openKeySet(configFor(issuer, t.testdirName))
  await until(() => issuer.requests['/.well-known/openid-configuration'] === 1, 'a fetch under way')
  const waiting = keySet.find('x', 'EdDSA')
  keySet.close()
  t.match(await waiting, { denied: 'keys_unavailable' })
  t.equal(keySet.status().failures, 0)
  t.match(keySet.find('x', 'EdDSA'), { denied: 'keys_unavailable' }, 'at once')
})

t.test('an issuer whose configuration is the same keeps its key set, its cache entries and its deny state on a reload', async (t) => {
  const issuer = await startFaultyIssuer({ algorithms: ['ES256'] })
  t.teardown(() => issuer.close())
  const config = configFor(issuer, t.testdirName)
  const again = configFor(issuer, t.testdirName, { audiences: ['internal-services', 'more'] })
  t.equal(keySetIdentity(config), keySetIdentity(again), 'audiences are no part of where the keys come from')
  t.not(keySetIdentity(config), keySetIdentity(configFor(issuer, t.testdirName, {}, { jwksUri: issuer.jwksUri })))
  const keySets = new Map([['corp', openKeySet(config)]])
  t.teardown(() => { keySets.get('corp')!.close() })
  await until(() => keySets.get('corp')!.status().usable, 'keys')
  const cache = createTokenCache(8)
  const first = createAuthenticator({ issuers: [config], keySets, cache })
  const token = await issuer.sign({ aud: 'more' })
  t.equal(await verdict(first, token), 'audience_mismatch')
  const second = createAuthenticator({ issuers: [again], keySets, cache })
  t.equal(await verdict(second, token), 'passed', 'no fetch, no waiting')
  t.equal(await verdict(createAuthenticator({ issuers: [structuredClone(again)], keySets, cache }), token), 'passed')
  t.equal(cache.hits, 1, 'found in the cache by the same rules')
  t.equal(await verdict(createAuthenticator({ issuers: [config], keySets, cache }), token), 'audience_mismatch', 'not by others')
  t.same(issuer.requests, { '/.well-known/openid-configuration': 1, '/jwks': 1 })
})

t.test('HMAC: one secret in a file, and no other way', async (t) => {
  const dir = t.testdir({ secret: `${'s'.repeat(48)}\n`, short: 'x'.repeat(31), binary: Buffer.from([0xff, ...Buffer.alloc(40, 1)]), jwks: '{"keys":[{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}' })
  const hmac = (alg: string, secret: string): string => forge({ alg, kid: 'any' }, goodClaims(ISS), hmacSigner(secret, `sha${alg.slice(2)}`))
  const secret = 's'.repeat(48)
  const only256 = openBench([issuerConfig({ issuer: ISS, keys: { secretFile: join(dir, 'secret') } })])
  t.equal(await only256.judge(hmac('HS256', secret)), 'passed', 'whatever the kid')
  t.equal(await only256.judge(hmac('HS384', secret)), 'algorithm_refused')
  t.equal(await only256.judge(hmac('HS256', `${secret}\n`)), 'signature_invalid', 'the line feed is no part of it')
  const all = openBench([issuerConfig({ issuer: ISS, keys: { secretFile: join(dir, 'secret') }, algorithms: ['HS256', 'HS384', 'HS512', 'RS256'] })])
  t.equal(await all.judge(hmac('HS384', secret)), 'passed')
  t.equal(await all.judge(hmac('HS512', secret)), 'key_unknown', 'HS512 needs 64 bytes (RFC 7518 section 3.2)')
  for (const [file, message] of [['short', /31 bytes; at least 32/], ['binary', /not text/], ['missing', /ENOENT/]] as const) {
    const bad = openBench([issuerConfig({ issuer: ISS, keys: { secretFile: join(dir, file) } })])
    t.match(bad.keySets.get('corp')!.status(), { usable: false, lastError: message })
    t.equal(await bad.judge(hmac('HS256', '')), 'keys_unavailable')
    bad.close()
  }
  const jwks = openBench([issuerConfig({ issuer: ISS, keys: { file: join(dir, 'jwks') }, algorithms: ['HS256'] })])
  t.match(jwks.keySets.get('corp')!.status().lastError, /symmetric key in a public set/)
  for (const bench of [only256, all, jwks]) bench.close()
})

t.test('the machine suspended, the clock set: the age of keys is real time, not the clock\'s', async (t) => {
  const issuer = await startFaultyIssuer({ algorithms: ['ES256'] })
  t.teardown(() => issuer.close())
  const clock = fakeClock()
  const bench = openBench([configFor(issuer, t.testdirName, { clockSkew: '400d' }, { discovery: true, maxAge: '24h' })], { clock })
  t.teardown(() => { bench.close() })
  const keySet = bench.keySets.get('corp')!
  await until(() => keySet.status().usable, 'keys')
  const token = await issuer.sign()
  for (const days of [300, -600, 300]) {
    clock.jump(days * 86_400_000)
    t.equal(await bench.judge(token), 'passed', `${days} days`)
    t.equal(keySet.status().ageMs, 0)
  }
})

t.test('inline keys of which none is usable are a mistake at once; skipped ones are told', async (t) => {
  const key = await mintKey('ES256')
  t.throws(() => openBench([issuerConfig({ issuer: ISS, keys: { inline: { keys: [] } } })]), /the JWKS is empty/)
  t.throws(() => openBench([issuerConfig({ issuer: ISS, keys: { inline: { keys: [{ kty: 'RSA' }] } } })]), /no key of the JWKS is usable \(key 0: not a valid RSA public key\)/)
  const lines: unknown[] = []
  const log = { info: () => {}, warn: (msg: string, fields?: object) => { lines.push({ msg, ...fields }) } }
  const keySet = openKeySet(issuerConfig({ issuer: ISS, keys: { inline: { keys: [null, key.jwk] } } }), { log })
  t.same(keySet.status().skipped, ['key 0: not an object'])
  t.match(lines, [{ msg: 'some keys of the issuer were skipped', issuer: 'corp', skipped: ['key 0: not an object'] }])
})
