/**
 * The token family of the attack catalogue (section 3d) against the real verifier. T22, T23 and T24 concern where a token is
 * found: test/security/tokens-extract.test.ts. T7 is in revocation.test.ts, T20 in jwks.test.ts. What a client sees of a denial (T25) is held here
 * by the reason table and end to end in the pipeline's tests.
 */
import { createPublicKey } from 'node:crypto'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { mintKey } from '../../src/demo/issuer.ts'
import { REASONS } from '../../src/telemetry/reason.ts'
import { fakeClock, issuerConfig } from '../helpers/issuer.ts'
import { base64url, forge, goodClaims, hmacSigner, inlineIssuer, now, openBench, signerOf } from '../helpers/tokens.ts'

const ISS = 'https://auth.internal'
const rsa = await mintKey('RS256', 'rsa-1')
const ec = await mintKey('ES256', 'ec-1')
const signRsa = signerOf(rsa)
const signEc = signerOf(ec)
const RS = { alg: 'RS256', kid: 'rsa-1' }
const ES = { alg: 'ES256', kid: 'ec-1' }
const bench = openBench([inlineIssuer([rsa, ec])])
const good = forge(RS, goodClaims(ISS), signRsa)
const withClaims = (claims: Record<string, unknown>): string => forge(RS, goodClaims(ISS, claims), signRsa)

t.test('the control: an honest token passes, by either key', async (t) => {
  t.equal(await bench.judge(good), 'passed')
  t.equal(await bench.judge(forge(ES, goodClaims(ISS), signEc)), 'passed')
})

t.test('T1 alg none, in every case, with and without signature', async (t) => {
  for (const alg of ['none', 'None', 'NONE', 'nOnE', '', ' none']) {
    t.equal(await bench.judge(forge({ alg, kid: 'rsa-1' }, goodClaims(ISS), signRsa)), 'algorithm_refused', JSON.stringify(alg))
    t.not(await bench.judge(forge({ alg }, goodClaims(ISS), () => Buffer.alloc(0))), 'passed')
  }
  for (const alg of [undefined, null, 0, ['RS256'], { alg: 'RS256' }]) {
    t.equal(await bench.judge(forge({ ...RS, alg }, goodClaims(ISS), signRsa)), 'algorithm_refused', JSON.stringify(alg))
  }
  t.equal(await bench.judge(`${good.split('.').slice(0, 2).join('.')}.`), 'signature_invalid', 'an empty signature')
})

t.test('T2 an HMAC made with the public key, in every form it is published in', async (t) => {
  const publicKey = createPublicKey({ key: { kty: 'RSA', n: rsa.jwk.n!, e: rsa.jwk.e! }, format: 'jwk' })
  const pem = publicKey.export({ type: 'spki', format: 'pem' })
  const forms = [
    pem, pem.trim(), ` ${pem}`, publicKey.export({ type: 'pkcs1', format: 'pem' }), publicKey.export({ type: 'spki', format: 'der' }),
    JSON.stringify(rsa.jwk), rsa.jwk.n!, Buffer.from(rsa.jwk.n!, 'base64url'), '', Buffer.alloc(32),
  ]
  for (const alg of ['HS256', 'HS384', 'HS512']) {
    for (const form of forms) t.equal(await bench.judge(forge({ alg, kid: 'rsa-1' }, goodClaims(ISS), hmacSigner(form, `sha${alg.slice(2)}`))), 'algorithm_refused')
  }
  const careless = openBench([inlineIssuer([rsa], { algorithms: ['RS256', 'HS256'] })])
  for (const form of forms) {
    const token = forge({ alg: 'HS256', kid: 'rsa-1' }, goodClaims(ISS), hmacSigner(form))
    t.equal(await careless.judge(token), 'algorithm_refused', 'even where HS256 is configured by mistake')
  }
})

t.test('T3 the token does not choose the algorithm of a key without alg', async (t) => {
  const { alg, ...bare } = rsa.jwk
  t.equal(alg, 'RS256')
  const issuer = issuerConfig({ issuer: ISS, keys: { inline: { keys: [bare] } }, algorithms: ['RS256'] })
  const open = openBench([issuer])
  t.equal(await open.judge(good), 'passed')
  const rs512 = forge({ alg: 'RS512', kid: 'rsa-1' }, goodClaims(ISS), signerOf(rsa, 'sha512'))
  t.equal(await open.judge(rs512), 'algorithm_refused', 'a good RS512 signature, not configured')
  t.equal(await open.judge(forge({ alg: 'PS256', kid: 'rsa-1' }, goodClaims(ISS), signRsa)), 'algorithm_refused')
  t.equal(await open.judge(forge({ alg: 'HS256', kid: 'rsa-1' }, goodClaims(ISS), hmacSigner(JSON.stringify(bare)))), 'algorithm_refused')
  t.equal(await bench.judge(rs512), 'algorithm_refused', 'nor that of a key with alg')
})

t.test('T4 keys and URLs in the header are never used, and nobody is called', async (t) => {
  let calls = 0
  const canary = createServer((_, response) => { calls++; response.end() }).listen(0, '127.0.0.1')
  await once(canary, 'listening')
  t.teardown(() => canary.close())
  const url = `http://127.0.0.1:${(canary.address() as AddressInfo).port}/jwks`
  const mine = await mintKey('ES256', 'mine')
  for (const kid of ['mine', 'ec-1', undefined]) {
    const header = { alg: 'ES256', kid, jwk: mine.jwk, jku: url, x5u: url, x5c: [base64url('certificate')], x5t: 'x' }
    t.match(await bench.judge(forge(header, goodClaims(ISS), signerOf(mine))), /^(key_unknown|signature_invalid)$/, `kid ${kid}`)
  }
  await new Promise((resolve) => { setTimeout(resolve, 50) })
  t.equal(calls, 0, 'no request went out')
})

t.test('T5 kid as path, SQL, number, object, null, 64 KiB', async (t) => {
  for (const kid of ['../../../../dev/null', "x' UNION SELECT 'key'--", '__proto__', 'constructor', '', 'x'.repeat(256), 'rsa-1\0', 'RSA-1', 'RS256 rsa-1']) {
    t.equal(await bench.judge(forge({ alg: 'RS256', kid }, goodClaims(ISS), signRsa)), 'key_unknown', JSON.stringify(kid.slice(0, 40)))
  }
  for (const kid of [1, null, {}, ['rsa-1'], true, 'x'.repeat(257), 'x'.repeat(65_536)]) {
    t.equal(await bench.judge(forge({ alg: 'RS256', kid }, goodClaims(ISS), signRsa)), 'token_malformed', JSON.stringify(kid).slice(0, 40))
  }
})

t.test('T6 psychic signatures and other encodings of an ECDSA signature', async (t) => {
  const n = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
  const raw = (r: bigint, s: bigint): Buffer => Buffer.from(r.toString(16).padStart(64, '0') + s.toString(16).padStart(64, '0'), 'hex')
  const claims = goodClaims(ISS)
  for (const [r, s] of [[0n, 0n], [0n, 1n], [1n, 0n], [1n, 1n], [n, n], [n, 1n], [n - 1n, n - 1n], [2n ** 256n - 1n, 2n ** 256n - 1n]] as const) {
    t.equal(await bench.judge(forge(ES, claims, () => raw(r, s))), 'signature_invalid', `r=${r} s=${s}`)
  }
  const { sign, KeyObject } = await import('node:crypto')
  const der = (input: Buffer): Buffer => sign('sha256', input, KeyObject.from(ec.privateKey))
  t.equal(await bench.judge(forge(ES, claims, der)), 'signature_invalid', 'DER')
  const nul = Buffer.alloc(1)
  const changes = [(s: Buffer) => Buffer.concat([s, nul]), (s: Buffer) => Buffer.concat([nul, s]), (s: Buffer) => s.subarray(1), () => nul, () => Buffer.alloc(4096)]
  for (const change of changes) {
    t.equal(await bench.judge(forge(ES, claims, (input) => change(signEc(input)))), 'signature_invalid', 'another length')
    t.equal(await bench.judge(forge(RS, claims, (input) => change(signRsa(input)))), 'signature_invalid', 'another length, RSA')
  }
})

t.test('T8 crit and b64, however written', async (t) => {
  for (const crit of [['exp'], ['http://example.com/UNDEFINED'], [], ['b64'], 'exp', null, 1, {}, ['alg', 'alg']]) {
    t.equal(await bench.judge(forge({ ...RS, crit }, goodClaims(ISS), signRsa)), 'critical_header', JSON.stringify(crit))
  }
  for (const b64 of [false, true, 'false', null]) {
    t.equal(await bench.judge(forge({ ...RS, b64 }, goodClaims(ISS), signRsa)), 'critical_header', `b64 ${b64}`)
    t.equal(await bench.judge(forge({ ...RS, b64, crit: ['b64'] }, goodClaims(ISS), signRsa)), 'critical_header')
  }
})

t.test('T9 encrypted and compressed tokens are never opened', async (t) => {
  const header = base64url(JSON.stringify({ alg: 'PBES2-HS256+A128KW', enc: 'A128GCM', p2c: 1_000_000_000, p2s: 'AAAA', zip: 'DEF' }))
  t.equal(await bench.judge(`${header}.AAAA.AAAA.AAAA.AAAA`), 'token_encrypted')
  t.equal(await bench.judge('....'), 'token_encrypted')
  t.equal(await bench.judge(forge({ ...RS, zip: 'DEF' }, goodClaims(ISS), signRsa)), 'token_encrypted')
  t.equal(await bench.judge(forge({ ...RS, enc: 'A128GCM' }, goodClaims(ISS), signRsa)), 'token_encrypted')
})

t.test('T10 other serialisations and other spellings of the same token', async (t) => {
  const [header, payload, signature] = good.split('.') as [string, string, string]
  const last = 'AQgw'.includes(signature.at(-1)!) ? signature.at(-1)! : ''
  const stray = `${header}.${payload}.${signature.slice(0, -1)}${String.fromCharCode(signature.charCodeAt(signature.length - 1) + 1)}`
  t.ok(last, 'the last character of a 256-byte signature holds four stray bits')
  const others = {
    'flattened JSON': JSON.stringify({ protected: header, payload, signature }),
    'general JSON': JSON.stringify({ payload, signatures: [{ protected: header, signature }] }),
    'stray bits after the end': stray,
    'padding': `${good}==`,
    'padding in the header': `${header}=.${payload}.${signature}`,
    'the other alphabet': good.replaceAll('-', '+').replaceAll('_', '/').replace(/$/, /[-_]/.test(good) ? '' : '+'),
    'space before': ` ${good}`,
    'space after': `${good} `,
    'space inside': `${header}. ${payload}.${signature}`,
    'line feed': `${header}.${payload}\n.${signature}`,
    'tab in the signature': `${header}.${payload}.${signature.slice(0, 5)}\t${signature.slice(5)}`,
    'NUL': `${good}\0`,
    'trailing dot': `${good}.`,
    'leading dot': `.${good}`,
    'two parts': `${header}.${payload}`,
    'one part': header,
    'four parts': `${good}.AAAA`,
    'nothing': '',
    'dots': '..',
    'non-ASCII': `${header}.${payload}.${signature.slice(0, -1)}\u00e9`,
    'full-width dot': good.replace('.', '\uff0e'),
  }
  for (const [name, token] of Object.entries(others)) t.equal(await bench.judge(token), 'token_malformed', name)
  t.equal(await bench.judge(forge({ ...RS, cty: 'JWT' }, good, signRsa)), 'token_malformed', 'a token inside a token')
  for (const payload of ['[]', '"text"', 'null', '1', '', '{}{}', '\ufeff{}', '{"sub":"a",}', "{'sub':'a'}", 'undefined', 'NaN']) {
    t.equal(await bench.judge(forge(RS, payload, signRsa)), 'token_malformed', `payload ${payload}`)
  }
  t.equal(await bench.judge(forge('{"alg":"RS256","kid":"rsa-1"', goodClaims(ISS), signRsa)), 'token_malformed', 'half a header')
  const notUtf8 = Buffer.concat([Buffer.from(JSON.stringify(goodClaims(ISS)).slice(0, -1)), Buffer.from(',"n":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')])
  const input = `${base64url(JSON.stringify(RS))}.${base64url(notUtf8)}`
  t.equal(await bench.judge(`${input}.${base64url(signRsa(Buffer.from(input)))}`), 'token_malformed', 'not UTF-8')
})

t.test('T11 a member twice, at any depth, however escaped', async (t) => {
  const claims = JSON.stringify(goodClaims(ISS)).slice(1)
  const twice = {
    'sub first': `{"sub":"admin",${claims}`,
    'escaped name': `{"s\\u0075b":"admin",${claims}`,
    'nested': `{"realm_access":{"roles":["user"],"roles":["admin"]},${claims}`,
    'in a list': `{"list":[{"a":1,"a":2}],${claims}`,
    '__proto__': `{"__proto__":{"x":1},"__proto__":{"x":2},${claims}`,
    'equal values': `{"sub":"bob",${claims}`,
    'with spaces': `{ "sub" : "admin" , ${claims}`,
    'empty name': `{"":1,"":2,${claims}`,
  }
  for (const [name, payload] of Object.entries(twice)) t.equal(await bench.judge(forge(RS, payload, signRsa)), 'token_malformed', name)
  const headers = ['{"alg":"RS256","kid":"rsa-1","kid":"rsa-1"}', '{"alg":"none","alg":"RS256","kid":"rsa-1"}', '{"alg":"RS256","kid":"rsa-1","\\u0061lg":"RS256"}']
  for (const header of headers) {
    t.equal(await bench.judge(forge(header, goodClaims(ISS), signRsa)), 'token_malformed', header)
  }
  const lookalikes = { a: ':', b: '{"sub":"x"}', c: '\\', d: '\\":"', e: [{ a: 1 }, { a: 2 }], f: { sub: 'inner' }, g: '"', 'h:"i': ['},{', ':'] }
  t.equal(await bench.judge(withClaims(lookalikes)), 'passed', 'what only looks like a duplicate passes')
})

t.test('T12 huge and deep tokens', async (t) => {
  const claims = JSON.stringify(goodClaims(ISS)).slice(0, -1)
  const deep = (open: string, close: string, depth: number): string => `${claims},"x":${open.repeat(depth)}1${close.repeat(depth)}}`
  t.equal(await bench.judge(forge(RS, deep('[', ']', 100_000), signRsa)), 'token_malformed', '100,000 lists')
  t.equal(await bench.judge(forge(RS, deep('{"a":', '}', 100_000), signRsa)), 'token_malformed', '100,000 objects')
  t.equal(await bench.judge(forge(RS, deep('[', ']', 20), signRsa)), 'passed', 'twenty are fine')
  t.equal(await bench.judge(forge(RS, `{"a":"${'\\'.repeat(100_000)}`, signRsa)), 'token_malformed', 'a string that never ends')
  t.equal(await bench.judge(forge(RS, '"'.repeat(100_001), signRsa)), 'token_malformed', 'quotes')
  t.equal(await bench.judge('.'.repeat(1_000_000)), 'token_malformed', 'a million dots')
  t.equal(await bench.judge('a'.repeat(1_000_000)), 'token_malformed')
})

t.test('T13 exp, nbf and iat that are not times, missing, in the past or in the future', async (t) => {
  for (const exp of [undefined, null, '9999999999', 'never', 0, -1, true, [], {}, '']) {
    t.equal(await bench.judge(withClaims({ exp })), 'expiry_missing', `exp ${JSON.stringify(exp)}`)
  }
  const text = JSON.stringify(goodClaims(ISS, { exp: 1 }))
  for (const exp of ['1e400', '-1e400']) t.equal(await bench.judge(forge(RS, text.replace('"exp":1', `"exp":${exp}`), signRsa)), 'expiry_missing', exp)
  for (const exp of ['NaN', 'Infinity', '01', '+1']) t.equal(await bench.judge(forge(RS, text.replace('"exp":1', `"exp":${exp}`), signRsa)), 'token_malformed', exp)
  t.equal(await bench.judge(withClaims({ exp: now() + 60.5 })), 'passed', 'a fraction of a second is a NumericDate')
  t.equal(await bench.judge(withClaims({ exp: now() - 31 })), 'token_expired')
  t.equal(await bench.judge(withClaims({ exp: now() - 20 })), 'passed', 'within the skew')
  for (const claim of ['nbf', 'iat']) {
    t.equal(await bench.judge(withClaims({ [claim]: now() + 120 })), 'token_not_yet_valid', claim)
    t.equal(await bench.judge(withClaims({ [claim]: now() + 20 })), 'passed', `${claim} within the skew`)
    for (const value of ['1', null, {}, [1], true]) t.equal(await bench.judge(withClaims({ [claim]: value })), 'claim_invalid', `${claim} ${JSON.stringify(value)}`)
  }
  t.equal(await bench.judge(withClaims({ iat: undefined })), 'passed', 'iat is optional')
  const young = openBench([inlineIssuer([rsa], { maxTokenAge: '1m' })])
  t.equal(await young.judge(withClaims({ iat: undefined })), 'token_too_old', 'unless the age is limited')
  t.equal(await young.judge(withClaims({ iat: now() - 95 })), 'token_too_old')
  t.equal(await young.judge(withClaims({ iat: now() - 80 })), 'passed')
})

t.test('T13 the exact second: exp is refused on and after it, nbf is not', async (t) => {
  const clock = fakeClock(1_800_000_000_000)
  const exact = openBench([inlineIssuer([rsa], { clockSkew: '0' })], { clock })
  const at = 1_800_000_000
  const judge = (claims: Record<string, unknown>): Promise<string> => exact.judge(forge(RS, { ...goodClaims(ISS), iat: at, exp: at + 10, ...claims }, signRsa))
  t.equal(await judge({ exp: at }), 'token_expired')
  t.equal(await judge({ exp: at + 0.001 }), 'passed')
  t.equal(await judge({ nbf: at }), 'passed')
  t.equal(await judge({ nbf: at + 0.001 }), 'token_not_yet_valid')
})

t.test('T14 aud missing, empty, of another type, nested, or only like ours', async (t) => {
  const verdicts: [unknown, string][] = [
    [undefined, 'audience_mismatch'], [[], 'audience_mismatch'], ['', 'audience_mismatch'], [[''], 'audience_mismatch'], ['internal-service', 'audience_mismatch'],
    ['internal-services ', 'audience_mismatch'], ['Internal-Services', 'audience_mismatch'], ['x internal-services', 'audience_mismatch'], ['*', 'audience_mismatch'],
    [null, 'claim_invalid'], [1, 'claim_invalid'], [{ 0: 'internal-services' }, 'claim_invalid'], [[['internal-services']], 'claim_invalid'],
    [['internal-services', 1], 'claim_invalid'], [true, 'claim_invalid'],
    [['other', 'internal-services'], 'passed'], [['other'], 'audience_mismatch'],
  ]
  for (const [aud, expected] of verdicts) t.equal(await bench.judge(withClaims({ aud })), expected, JSON.stringify(aud))
})

t.test('T15 iss is compared exactly', async (t) => {
  const others = [
    `${ISS}/`, 'https://AUTH.internal', 'HTTPS://auth.internal', 'https://auth.internal:443', `${ISS}\0`, ` ${ISS}`, 'https://auth.interna\u217c',
    [ISS], { iss: ISS }, null, undefined, 1, '', 'constructor', '__proto__',
  ]
  for (const iss of others) {
    t.equal(await bench.judge(withClaims({ iss })), 'issuer_unknown', JSON.stringify(iss))
  }
})

t.test('T16 a foreign token is refused, never taken for no token', async (t) => {
  const foreign = await mintKey('RS256', 'rsa-1')
  t.equal(await bench.judge(forge(RS, goodClaims('https://foreign.example'), signerOf(foreign))), 'issuer_unknown')
  t.equal(REASONS.issuer_unknown.status, 401)
})

t.test('T17 only an access token is one where tokenType is at+jwt', async (t) => {
  const strict = openBench([inlineIssuer([rsa], { tokenType: 'at+jwt' })])
  const typed = (typ: unknown): string => forge({ ...RS, typ }, goodClaims(ISS), signRsa)
  for (const typ of [undefined, 'JWT', 'id+jwt', 'at', 'at+jwt2', 'jwt+at', '']) t.equal(await strict.judge(typed(typ)), 'token_type_mismatch', `typ ${typ}`)
  for (const typ of ['at+jwt', 'AT+JWT', 'application/at+jwt']) t.equal(await strict.judge(typed(typ)), 'passed', typ)
  for (const typ of ['logout+jwt', 'secevent+jwt', 'dpop+jwt', 'application/entity-statement+jwt', 'JOSE', 'JOSE+JSON']) {
    t.equal(await bench.judge(typed(typ)), 'token_type_mismatch', `${typ}, even where any type goes`)
  }
  for (const typ of [null, 1, ['at+jwt']]) t.equal(await strict.judge(typed(typ)), 'token_malformed')
})

t.test('T18 a token bound to a key is no bearer token', async (t) => {
  for (const cnf of [{ jkt: 'x' }, { 'x5t#S256': 'x' }, {}, null, 'x']) t.equal(await bench.judge(withClaims({ cnf })), 'token_bound', JSON.stringify(cnf))
  const lenient = openBench([inlineIssuer([rsa], { boundTokens: 'accept' })])
  t.equal(await lenient.judge(withClaims({ cnf: { jkt: 'x' } })), 'passed', 'unless the operator says so')
})

t.test('T19 a key of one issuer signs nothing for another', async (t) => {
  const other = await mintKey('RS256', 'rsa-1')
  const both = openBench([inlineIssuer([rsa]), inlineIssuer([other], { name: 'other', issuer: 'https://other.internal' })])
  t.equal(await both.judge(forge(RS, goodClaims('https://other.internal'), signRsa)), 'signature_invalid', 'same kid, the other issuer\'s name')
  t.equal(await both.judge(forge({ ...ES }, goodClaims('https://other.internal'), signEc)), 'key_unknown')
  t.match(await both.principal(forge(RS, goodClaims('https://other.internal'), signerOf(other))), { issuer: 'other' })
  t.match(await both.principal(good), { issuer: 'corp' })
})

t.test('T21 a cached verdict is checked again at every use: time both ways', async (t) => {
  const clock = fakeClock()
  const timed = openBench([inlineIssuer([rsa], { maxTokenAge: '10m' })], { clock })
  const token = withClaims({ exp: now() + 300, nbf: now() - 10 })
  t.equal(await timed.judge(token), 'passed')
  t.equal(timed.cache.size, 1)
  clock.advance(329_000)
  t.equal(await timed.judge(token), 'passed', 'to the end of the skew')
  clock.advance(2000)
  t.equal(await timed.judge(token), 'token_expired')
  clock.jump(-120_000)
  t.equal(await timed.judge(token), 'passed', 'the clock was wrong and is set back')
  clock.jump(-600_000)
  t.equal(await timed.judge(token), 'token_not_yet_valid', 'set back before the token was made')
  clock.jump(600_000)
  t.equal(await timed.judge(token), 'passed')
  t.ok(timed.cache.hits >= 4, 'all of it from the cache')
})

t.test('T25 whatever is wrong with a token, the client reads the same', async (t) => {
  const seen = new Set<string>()
  const unknownKid = forge({ ...RS, kid: 'x' }, goodClaims(ISS), signRsa)
  for (const token of [withClaims({ aud: 'x' }), withClaims({ exp: 1 }), `${good.slice(0, -8)}AAAAAAAA`, withClaims({ iss: 'x' }), 'x', unknownKid]) {
    const reason = await bench.judge(token)
    if (reason === 'passed') throw new Error('a bad token passed')
    const { status, challenge, message } = REASONS[reason]
    seen.add(JSON.stringify({ status, challenge, message }))
  }
  t.equal(seen.size, 1)
})

t.test('T26 claims named like the prototype are ordinary claims', async (t) => {
  const claims = JSON.stringify(goodClaims(ISS)).slice(1)
  const principal = await bench.principal(forge(RS, `{"__proto__":{"admin":true},"constructor":{"x":1},"nested":{"__proto__":{"admin":true}},${claims}`, signRsa))
  t.equal(Object.getPrototypeOf(principal.claims), null)
  t.equal(principal.claims.admin, undefined)
  t.notOk('toString' in principal.claims)
  t.same(Object.keys(principal.claims).slice(0, 2), ['__proto__', 'constructor'])
  t.equal((principal.claims.nested as Record<string, unknown>).admin, undefined)
  t.equal(({} as Record<string, unknown>).admin, undefined, 'Object.prototype is as it was')
})

t.test('T27 a stranger\'s token has no say in how the next one is read', async (t) => {
  const members = (first: string, second: string): string => `{"iss":"${ISS}","aud":"internal-services","exp":${now() + 300},"iat":${now()},"${first}":"admin","${second}":"bob"}`
  for (let i = 0; i < 3; i++) t.equal(await bench.judge(forge(RS, members('\\\\u0', 'zz'), () => Buffer.alloc(256))), 'signature_invalid')
  t.equal(await bench.judge(forge(RS, members('\\u0073ub', 'sub'), signRsa)), 'token_malformed', 'two subjects are two, however they are spelt')
  for (let i = 0; i < 3; i++) await bench.judge(forge(RS, members('https:\\\\/\\\\/corp.example\\\\/ro', 'sub'), () => Buffer.alloc(256)))
  const { claims } = await bench.principal(forge(RS, members('https:\\/\\/corp.example\\/roles', 'sub'), signRsa))
  t.equal(claims['https://corp.example/roles'], 'admin')
})

t.test('required claims and the types of registered ones', async (t) => {
  const strict = openBench([inlineIssuer([rsa], { requiredClaims: ['tenantId', 'constructor'] })])
  t.equal(await strict.judge(withClaims({ tenantId: 'acme' })), 'claim_invalid', 'constructor is not inherited')
  t.equal(await strict.judge(withClaims({ constructor: 1, tenantId: null })), 'claim_invalid')
  t.equal(await strict.judge(withClaims({ constructor: 1, tenantId: 'acme' })), 'passed')
  for (const claims of [{ sub: 1 }, { sub: null }, { sub: ['bob'] }, { jti: 1 }, { jti: {} }]) {
    t.equal(await bench.judge(withClaims(claims)), 'claim_invalid', JSON.stringify(claims))
  }
  t.equal(await bench.judge(withClaims({ sub: undefined })), 'passed', 'a subject is optional')
})
