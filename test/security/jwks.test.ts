/**
 * The key family of the attack catalogue (section 3e), and T20, against a real TLS issuer on loopback.
 */
import { createServer } from 'node:http'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generateKeyPairSync, KeyObject } from 'node:crypto'
import t from 'tap'
import type { KeySetStatus } from '../../src/auth/key-set.ts'
import { createAuthority } from '../../src/demo/authority.ts'
import { mintKey } from '../../src/demo/issuer.ts'
import { isDenial } from '../../src/telemetry/reason.ts'
import { importJwk, parseJwks } from '../../src/auth/jwks.ts'
import { configFor, fakeClock, issuerConfig, startFaultyIssuer, until } from '../helpers/issuer.ts'
import type { Fault } from '../helpers/issuer.ts'
import { forge, goodClaims, openBench, openIssuerBench, signerOf } from '../helpers/tokens.ts'

const MINUTE = 60_000

t.test('J1 ten thousand unknown kids cause one fetch per cooldown, and good tokens do not notice', async (t) => {
  const { issuer, clock, bench } = await openIssuerBench(t, { algorithms: ['ES256'] }, ({ jwksUri }) => ({ jwksUri, cooldown: '30s' }))
  const good = await issuer.sign()
  const stranger = await mintKey('ES256')
  const [, claims] = good.split('.') as [string, string]
  const unknown = (kid: number): string => {
    const header = Buffer.from(JSON.stringify({ alg: 'ES256', kid: `random-${kid}` })).toString('base64url')
    return `${header}.${claims}.${'A'.repeat(86)}`
  }

  t.equal(issuer.requests['/jwks'], 1)
  const flood = Array.from({ length: 10_000 }, async (_, kid) => bench.authenticate(unknown(kid)))
  t.not(bench.authenticate(good) instanceof Promise, true, 'a good token is answered at once in the middle of it')
  t.ok((await Promise.all(flood)).every((answer) => isDenial(answer) && answer.denied === 'key_unknown'))
  t.equal(issuer.requests['/jwks'], 2, 'one fetch for all of them')
  t.ok(Array.from({ length: 1000 }, (_, kid) => bench.authenticate(unknown(kid))).every((answer) => !(answer instanceof Promise)), 'nobody waits')
  t.equal(issuer.requests['/jwks'], 2, 'and none within the cooldown')
  clock.advance(30_000)
  await Promise.all(Array.from({ length: 100 }, (_, kid) => bench.judge(unknown(kid))))
  t.equal(issuer.requests['/jwks'], 3, 'one more after it')
  t.equal(await bench.judge(good), 'passed')
  t.equal(await bench.judge(forge({ alg: 'ES256', kid: stranger.kid }, goodClaims(issuer.url), signerOf(stranger))), 'key_unknown')
})

t.test('J1 a new key is found by the first token that names it, which waits for the fetch', async (t) => {
  const issuer = await startFaultyIssuer({ tls: true, algorithms: ['ES256'] })
  t.teardown(() => issuer.close())
  const bench = openBench([configFor(issuer, t.testdir())])
  t.teardown(() => { bench.close() })
  await until(() => bench.keySets.get('corp')!.status().usable, 'keys')
  await issuer.rotate()
  t.equal(await bench.judge(await issuer.sign()), 'passed')
})

const FAULTS: Record<Fault, RegExp> = {
  hang: /no whole answer within keys\.timeout/,
  drip: /no whole answer within keys\.timeout/,
  reset: /socket hang up/,
  halfBody: /broke before the answer was complete/,
  html: /not JSON/,
  emptySet: /the JWKS is empty/,
  noKeys: /not a JWKS/,
  otherIssuer: /not a JWKS/,
  status500: /status 500/,
  status404: /status 404/,
  redirect: /redirects are not followed/,
  huge: /more than 262144 bytes/,
  gzipBomb: /more than 262144 bytes after decompression/,
  brotli: /content-encoding "br" was not asked for/,
  upgrade: /status 101/,
}

t.test('J2 J5 J7 whatever a failing issuer does, the old keys stay, for keys.maxAge and no longer', async (t) => {
  const authority = await createAuthority()
  const dir = t.testdir()
  await Promise.all(Object.entries(FAULTS).map(async ([fault, message]) => {
    const issuer = await startFaultyIssuer({ tls: true, authority, algorithms: ['ES256'] })
    t.teardown(() => issuer.close())
    const clock = fakeClock()
    const timeout = fault === 'hang' || fault === 'drip' ? '1500ms' : '20s'
    const keys = { jwksUri: issuer.jwksUri, maxAge: '24h', refresh: '5m', timeout }
    const bench = openBench([configFor(issuer, dir, {}, keys)], { clock })
    t.teardown(() => { bench.close() })
    const keySet = bench.keySets.get('corp')!
    await until(() => { if (clock.pending[0]! < 60_000) clock.advance(1000); return keySet.status().usable }, 'keys')
    const far = Math.floor(clock.now() / 1000) + 100_000
    const token = await issuer.sign({ exp: far })
    issuer.fail(fault as Fault)
    clock.advance(5 * MINUTE)
    await until(() => keySet.status().lastError !== undefined, `${fault} noticed`)
    t.match(keySet.status(), { usable: true, keys: 1, lastError: message }, fault)
    t.equal(await bench.judge(token), 'passed', `${fault}: a token of a known key passes`)
    clock.advance(24 * 60 * MINUTE)
    t.equal(await bench.judge(token), 'keys_unavailable', `${fault}: not with keys older than maxAge, even from the cache`)
    issuer.fail(undefined)
    await until(() => { clock.advance(1000); return keySet.status().usable }, `${fault} over`)
    t.equal(await bench.judge(token), 'passed', `${fault}: over`)
  }))
})

t.test('J2 the issuer is down at the start, comes, goes and comes again', async (t) => {
  const dir = t.testdir()
  const issuer = await startFaultyIssuer({ tls: true, algorithms: ['ES256'] })
  t.teardown(() => issuer.close())
  await issuer.stop()
  const clock = fakeClock()
  const token = await issuer.sign({ exp: Math.floor(clock.now() / 1000) + 3600 })
  const bench = openBench([configFor(issuer, dir)], { clock })
  t.teardown(() => { bench.close() })
  const keySet = bench.keySets.get('corp')!
  t.equal(await bench.judge(token), 'keys_unavailable', 'waits for the fetch under way, then says so')
  t.match(keySet.status(), { usable: false, keys: 0, ageMs: undefined, lastError: /ECONNREFUSED/ })
  const waits: number[] = []
  for (let attempt = 2; attempt <= 8; attempt++) {
    await until(() => clock.pending.length === 1, 'the next attempt is planned')
    waits.push(clock.pending[0]!)
    clock.advance(clock.pending[0]!)
    await until(() => keySet.status().failures >= attempt, `attempt ${attempt}`)
  }
  t.ok(waits.every((wait, index) => wait >= 500 * Math.min(2 ** index, 30) && wait <= 30_000), `backs off: ${waits.map(Math.round).join(', ')} ms`)
  await issuer.start()
  t.equal(await bench.judge(token), 'passed', 'a request asks again at once, as its cooldown allows')
  await issuer.stop()
  clock.advance(10 * MINUTE)
  t.equal(await bench.judge(token), 'passed', 'down again: the keys stay')
})

t.test('J15 one 101 from the issuer ends nothing: tokens that wait are answered, and the next fetch goes out', async (t) => {
  const issuer = await startFaultyIssuer({ algorithms: ['ES256'] })
  t.teardown(() => issuer.close())
  const clock = fakeClock()
  const bench = openBench([configFor(issuer, t.testdir(), {}, { discovery: true, refresh: '5m', cooldown: '30s' })], { clock })
  t.teardown(() => { bench.close() })
  await until(() => bench.keySets.get('corp')!.status().usable, 'keys')
  await issuer.rotate()
  issuer.fail('upgrade')
  const fresh = await issuer.sign({ exp: Math.floor(clock.now() / 1000) + 100_000 })
  t.equal(await bench.judge(fresh), 'key_unknown', 'answered, without the key')
  t.match(bench.keySets.get('corp')!.status().lastError, /status 101/)
  issuer.fail(undefined)
  clock.advance(31_000)
  t.equal(await bench.judge(fresh), 'passed', 'the new key')
})

t.test('J2 one issuer hangs; tokens of the other never wait', async (t) => {
  const [sick, well] = await Promise.all([startFaultyIssuer({ algorithms: ['ES256'] }), startFaultyIssuer({ algorithms: ['ES256'] })])
  t.teardown(() => Promise.all([sick.close(), well.close()]))
  sick.fail('hang')
  const dir = t.testdir()
  const bench = openBench([configFor(sick, dir, { name: 'sick' }, { discovery: true, timeout: '300ms' }), configFor(well, dir)])
  t.teardown(() => { bench.close() })
  await until(() => bench.keySets.get('corp')!.status().usable, 'keys of the well one')
  const waiting = bench.authenticate(await sick.sign())
  t.ok(waiting instanceof Promise)
  t.notOk(bench.authenticate(await well.sign()) instanceof Promise)
  t.match(await waiting, { denied: 'keys_unavailable', issuer: 'sick' }, 'bounded by keys.timeout')
})

t.test('J3 discovery leads nowhere but home, and redirects nowhere', async (t) => {
  const dir = t.testdir()
  let calls = 0
  const canary = createServer((_, response) => { calls++; response.end('{"keys":[]}') }).listen(0, '127.0.0.1')
  await once(canary, 'listening')
  t.teardown(() => canary.close())
  const elsewhere = `127.0.0.1:${(canary.address() as { port: number }).port}`
  const issuer = await startFaultyIssuer({ tls: true, algorithms: ['ES256'] })
  t.teardown(() => issuer.close())
  const say = (uri: unknown): void => issuer.fail((_, response) => { response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: uri })) }, 'openid-configuration')
  const refusals: [unknown, RegExp][] = [
    ['http://169.254.169.254/latest', /is not https/],
    ['https://169.254.169.254/latest', /leads to another host/],
    [`http://${elsewhere}/jwks`, /is not https/],
    [`https://${elsewhere}/jwks`, /leads to another host, 127\.0\.0\.1:\d+; if that is right, add it to keys\.allowedHosts/],
    [issuer.jwksUri.replace('127.0.0.1', 'localhost'), /leads to another host/],
    [issuer.jwksUri.replace('127.0.0.1', '127.0.0.1.example'), /leads to another host/],
    [issuer.jwksUri.replace('https://', 'https://user:pass@'), /user name or password/],
    ['file:///etc/passwd', /is not https/],
    ['/jwks', /is not a URL/],
    [undefined, /no jwks_uri/],
    [['https://x'], /no jwks_uri/],
  ]
  for (const [uri, message] of refusals) {
    say(uri)
    const bench = openBench([configFor(issuer, dir)])
    const status = (): KeySetStatus => bench.keySets.get('corp')!.status()
    await until(() => status().failures > 0, `${String(uri)} refused`)
    t.match(status().lastError, message, String(uri))
    bench.close()
  }
  issuer.fail((_, response) => { response.writeHead(302, { location: `http://${elsewhere}/` }).end() })
  const bench = openBench([configFor(issuer, dir)])
  await until(() => bench.keySets.get('corp')!.status().failures > 0, 'redirect refused')
  bench.close()
  t.equal(calls, 0, 'nobody else was ever called')

  say(issuer.jwksUri.replace('127.0.0.1', 'localhost'))
  const named = openBench([configFor(issuer, dir, {}, { discovery: true, allowedHosts: [`localhost:${issuer.port}`] })])
  await until(() => named.keySets.get('corp')!.status().usable, 'a host the operator named')
  named.close()
})

t.test('J3 configured URLs are https, and without passwords', async (t) => {
  for (const jwksUri of ['http://auth.internal/jwks', 'ftp://auth.internal/jwks', 'https://u:p@auth.internal/jwks', 'jwks']) {
    t.throws(() => openBench([issuerConfig({ issuer: 'https://auth.internal', keys: { jwksUri } })]), /keys\.jwksUri/, jwksUri)
  }
  t.throws(() => openBench([issuerConfig({ issuer: 'http://auth.internal', keys: { discovery: true } })]), /the issuer is not https \(keys\.allowHttp would allow http\)/)
  t.throws(() => openBench([issuerConfig({ issuer: 'corp', keys: { discovery: true } })]), /the issuer is not a URL/)
})

t.test('J4 the discovery document of another issuer', async (t) => {
  const dir = t.testdir()
  const issuer = await startFaultyIssuer({ tls: true, algorithms: ['ES256'] })
  t.teardown(() => issuer.close())
  for (const claimed of [`${issuer.url}/`, issuer.url.toUpperCase(), 'https://other.example', undefined, [issuer.url]]) {
    issuer.fail((_, response) => { response.end(JSON.stringify({ issuer: claimed, jwks_uri: issuer.jwksUri })) }, 'openid-configuration')
    const bench = openBench([configFor(issuer, dir)])
    const status = (): KeySetStatus => bench.keySets.get('corp')!.status()
    await until(() => status().failures > 0, 'refused')
    t.match(status(), { lastError: /the discovery document is for another issuer/, keys: 0 }, String(claimed))
    bench.close()
  }
  for (const body of ['null', '[]', '"x"']) {
    issuer.fail((_, response) => { response.end(body) }, 'openid-configuration')
    const bench = openBench([configFor(issuer, dir)])
    await until(() => bench.keySets.get('corp')!.status().failures > 0, body)
    bench.close()
  }
})

t.test('J5 ten thousand keys: as many as keys.maxKeys are taken', async (t) => {
  const { jwk } = await mintKey('ES256')
  const many = Array.from({ length: 10_000 }, (_, index) => ({ ...jwk, kid: String(index) }))
  const { keys, skipped } = parseJwks({ keys: many }, 100)
  t.equal(keys.length, 100)
  t.same(skipped, ['9900 keys beyond the 100 that keys.maxKeys allows'])
})

t.test('J6 weak and odd keys are skipped, each with its reason; the good ones work', async (t) => {
  const [rsa, ec] = await Promise.all([mintKey('RS256', 'rsa'), mintKey('ES256', 'ec')])
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })
  const privateJwk = KeyObject.from(rsa.privateKey).export({ format: 'jwk' })
  const bare = { kty: 'RSA', n: rsa.jwk.n!, e: rsa.jwk.e! }
  const odd: [unknown, RegExp][] = [
    [null, /not an object/],
    [[], /not an object/],
    ['key', /not an object/],
    [{}, /kty/],
    [{ kty: 'RSA' }, /not a valid RSA public key/],
    [{ kty: 'AKP', alg: 'ML-DSA-44', pub: 'AA' }, /kty/],
    [{ kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' }, /symmetric/],
    [{ ...privateJwk, kid: 'private' }, /private key material/],
    [{ kty: weak.kty, n: weak.n, e: weak.e }, /1024 bits/],
    [{ ...bare, e: 'AQ' }, /exponent 1/],
    [{ ...bare, e: 'Ag' }, /exponent 2/],
    [{ ...bare, n: `${'A'.repeat(40)}${bare.n}${'B'.repeat(2000)}` }, /bits; at most 8192/],
    [{ ...rsa.jwk, use: 'enc' }, /use is not sig/],
    [{ ...rsa.jwk, use: ['sig'] }, /use is not sig/],
    [{ ...rsa.jwk, key_ops: ['sign'] }, /key_ops/],
    [{ ...rsa.jwk, key_ops: 'verify' }, /key_ops/],
    [{ ...rsa.jwk, kid: 7 }, /kid/],
    [{ ...rsa.jwk, alg: 'ES256' }, /alg/],
    [{ ...rsa.jwk, alg: 'RSA-OAEP' }, /alg/],
    [{ ...rsa.jwk, alg: 'none' }, /alg/],
    [{ ...rsa.jwk, alg: 5 }, /alg/],
    [{ ...ec.jwk, alg: 'ES384' }, /alg/],
    [{ ...ec.jwk, alg: 'HS256' }, /alg/],
    [{ ...ec.jwk, crv: 'secp256k1', alg: undefined }, /EC public key|algorithm/],
    [{ ...ec.jwk, y: ec.jwk.x }, /not a valid EC public key/],
    [{ kty: 'EC', crv: 'P-256', x: 'AAAA', y: 'AAAA' }, /not a valid EC public key/],
    [{ kty: 'OKP', crv: 'X25519', x: Buffer.alloc(32, 9).toString('base64url') }, /algorithm/],
    [{ kty: 'OKP', crv: 'Ed25519', x: 'AAAA' }, /not a valid OKP public key/],
  ]
  for (const [jwk, reason] of odd) {
    const key = importJwk(jwk)
    t.type(key, 'string', `${JSON.stringify(jwk).slice(0, 60)} is skipped`)
    t.match(key, reason)
  }
  const { keys, skipped } = parseJwks({ keys: [...odd.map(([jwk]) => jwk), rsa.jwk, ec.jwk] }, 100)
  t.same(keys.map((key) => key.kid), ['rsa', 'ec'])
  t.equal(skipped.length, odd.length)
  t.throws(() => parseJwks({ keys: odd.map(([jwk]) => jwk) }, 100), /no key of the JWKS is usable/)
})

t.test('J6 keys that share a kid, or have none, are each tried', async (t) => {
  const [first, second, third] = await Promise.all([mintKey('RS256', 'same'), mintKey('RS256', 'same'), mintKey('ES256', 'same')])
  const claims = goodClaims('https://auth.internal')
  const token = (key: typeof first, kid?: string): string => forge({ alg: key.algorithm, kid }, claims, signerOf(key))
  const shared = openBench([issuerConfig({ issuer: 'https://auth.internal', keys: { inline: { keys: [first.jwk, second.jwk, third.jwk] } } })])
  for (const key of [first, second, third]) {
    t.equal(await shared.judge(token(key, 'same')), 'passed')
    t.equal(await shared.judge(token(key)), 'passed', 'without kid, too')
  }
  const nameless = await Promise.all(Array.from({ length: 5 }, () => mintKey('ES256')))
  const jwks = nameless.map(({ jwk }) => ({ ...jwk, kid: undefined }))
  const few = openBench([issuerConfig({ issuer: 'https://auth.internal', keys: { inline: { keys: jwks.slice(0, 4) } } })])
  t.equal(await few.judge(token(nameless[3]!)), 'passed')
  t.equal(await few.judge(token(nameless[3]!, 'x')), 'key_unknown', 'a kid that no key has')
  const many = openBench([issuerConfig({ issuer: 'https://auth.internal', keys: { inline: { keys: jwks } } })])
  t.equal(await many.judge(token(nameless[0]!)), 'key_unknown', 'a token cannot make us try more than four keys')
})

t.test('J8 a removed key is refused after one refresh, cached tokens included; the other keys\' tokens stay cached', async (t) => {
  const { issuer, clock, bench, keySet } = await openIssuerBench(t, { algorithms: ['ES256', 'ES256'] })
  const [leaked, safe] = await Promise.all(issuer.keys.map((key) => issuer.sign({}, { kid: key.kid })))
  t.equal(await bench.judge(leaked!), 'passed')
  t.equal(await bench.judge(safe!), 'passed')
  const cached = bench.authenticate(safe!)
  issuer.removeKey(issuer.keys[0]!.kid)
  clock.advance(5 * MINUTE)
  await until(() => keySet.status().keys === 1, 'refreshed')
  t.equal(await bench.judge(leaked!), 'key_unknown')
  t.equal(bench.authenticate(safe!), cached, 'the very same verdict')
  t.equal(bench.cache.size, 1, 'the removed key\'s entry is gone')
})

t.test('J9 TLS: unknown authority, wrong name, expired, proxy variables', async (t) => {
  const authority = await createAuthority()
  const issuer = await startFaultyIssuer({ tls: true, authority, algorithms: ['ES256'] })
  t.teardown(() => issuer.close())
  const lastError = async (fields: Record<string, unknown>): Promise<string | undefined> => {
    const bench = openBench([issuerConfig({ issuer: issuer.url, keys: { jwksUri: issuer.jwksUri, ...fields } })])
    const status = (): KeySetStatus => bench.keySets.get('corp')!.status()
    await until(() => status().failures + status().loads > 0, 'an attempt')
    bench.close()
    return status().lastError
  }
  const dir = t.testdir({ 'ca.pem': authority.ca, 'other.pem': (await createAuthority('another')).ca })
  const caFile = join(dir, 'ca.pem')
  t.match(await lastError({}), /certificate/, 'the system\'s authorities do not know it')
  t.match(await lastError({ caFile: join(dir, 'other.pem') }), /certificate|signature/, 'another authority')
  t.match(await lastError({ caFile: join(dir, 'missing.pem') }), /ENOENT/, 'a CA file that is not there is not "no CA"')
  t.equal(await lastError({ caFile }), undefined, 'the right one')

  issuer.useCertificate(await authority.issue(['other.example']))
  t.match(await lastError({ caFile }), /does not match certificate|altnames/, 'a certificate for another name')
  issuer.useCertificate(await authority.issue(['127.0.0.1'], -60_000))
  t.match(await lastError({ caFile }), /expired/)
  issuer.useCertificate(await authority.issue(['127.0.0.1']))
  t.equal(await lastError({ caFile }), undefined)

  const saved = { ...process.env }
  t.teardown(() => { process.env = saved })
  const proxy = 'http://127.0.0.1:9'
  Object.assign(process.env, { HTTPS_PROXY: proxy, https_proxy: proxy, ALL_PROXY: proxy, NODE_USE_ENV_PROXY: '1', NODE_TLS_REJECT_UNAUTHORIZED: '0' })
  t.equal(await lastError({ caFile }), undefined, 'no proxy is asked')
  t.match(await lastError({}), /certificate/, 'and no variable switches verification off')
})

t.test('T20 without keys nothing is accepted: there is no fallback key', async (t) => {
  const issuer = await startFaultyIssuer({ tls: true, algorithms: ['ES256'] })
  t.teardown(() => issuer.close())
  issuer.fail('status500')
  const bench = openBench([configFor(issuer, t.testdir())])
  t.teardown(() => { bench.close() })
  t.equal(await bench.judge(await issuer.sign()), 'keys_unavailable')
  const any = await mintKey('ES256')
  t.equal(await bench.judge(forge({ alg: 'ES256' }, goodClaims(issuer.url), signerOf(any))), 'keys_unavailable')
})

t.test('a file is where the truth is: swapped, broken, gone, back', async (t) => {
  const [old, next] = await Promise.all([mintKey('ES256', 'old'), mintKey('ES256', 'next')])
  const dir = t.testdir()
  const file = join(dir, 'jwks.json')
  const claims = goodClaims('https://auth.internal')
  const issuer = issuerConfig({ issuer: 'https://auth.internal', keys: { file } })
  const bench = openBench([issuer])
  t.teardown(() => { bench.close() })
  const keySet = bench.keySets.get('corp')!
  const [tokenOld, tokenNext] = [old, next].map((key) => forge({ alg: 'ES256', kid: key.kid }, claims, signerOf(key))) as [string, string]
  t.equal(await bench.judge(tokenOld), 'keys_unavailable', 'not there yet')
  writeFileSync(file, JSON.stringify({ keys: [old.jwk] }))
  await until(() => keySet.status().usable, 'there')
  t.equal(await bench.judge(tokenOld), 'passed')
  writeFileSync(file, '{"keys":')
  await until(() => keySet.status().lastError !== undefined, 'broken')
  t.match(keySet.status().lastError, /not JSON/)
  t.equal(await bench.judge(tokenOld), 'passed', 'the old one stays')
  writeFileSync(file, JSON.stringify({ keys: [next.jwk] }))
  await until(() => keySet.status().lastError === undefined, 'whole again')
  t.equal(await bench.judge(tokenOld), 'key_unknown')
  t.equal(await bench.judge(tokenNext), 'passed')
})
