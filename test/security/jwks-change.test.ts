/**
 * Keys that change while tokens are being judged: attacks and accidents beyond the catalogue's section 3e (J10 and on are ours).
 */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createAuthority } from '../../src/demo/authority.ts'
import { mintKey } from '../../src/demo/issuer.ts'
import { isDenial } from '../../src/telemetry/reason.ts'
import { configFor, fakeClock, issuerConfig, startFaultyIssuer, until, type FaultyIssuer } from '../helpers/issuer.ts'
import { forge, goodClaims, openBench, openIssuerBench, signerOf } from '../helpers/tokens.ts'

const ISS = 'https://auth.internal'
const MINUTE = 60_000

t.test('J10 a replica of the issuer lags behind: the key it lost comes back with the next token that names it', async (t) => {
  const { issuer, clock, bench, keySet } = await openIssuerBench(t, { algorithms: ['ES256'] })
  const next = await issuer.rotate()
  const token = await issuer.sign({ exp: Math.floor(clock.now() / 1000) + 3600 })
  t.equal(await bench.judge(token), 'passed')
  issuer.fail((_, response) => { response.end(JSON.stringify({ keys: issuer.jwks.keys.filter((jwk) => jwk.kid !== next.kid) })) }, '/jwks')
  clock.advance(5 * MINUTE)
  await until(() => keySet.status().keys === 1, 'the lagging set')
  issuer.fail(undefined)
  t.equal(await bench.judge(token), 'passed', 'asked again at once: the last time was long ago')
})

t.test('J11 a key that changes under one kid: neither key\'s tokens pass for the other\'s', async (t) => {
  const [old, young] = await Promise.all([mintKey('ES256', 'same'), mintKey('ES256', 'same')])
  const issuer = await startFaultyIssuer({ algorithms: ['EdDSA'] })
  t.teardown(() => issuer.close())
  const clock = fakeClock()
  issuer.fail((_, response) => { response.end(JSON.stringify({ keys: [old.jwk] })) }, '/jwks')
  const bench = openBench([configFor(issuer, t.testdir())], { clock })
  t.teardown(() => { bench.close() })
  const keySet = bench.keySets.get('corp')!
  await until(() => keySet.status().usable, 'keys')
  const claims = { ...goodClaims(issuer.url), exp: Math.floor(clock.now() / 1000) + 3600 }
  const [byOld, byYoung] = [old, young].map((key) => forge({ alg: 'ES256', kid: 'same' }, claims, signerOf(key))) as [string, string]
  t.equal(await bench.judge(byOld), 'passed')
  t.equal(await bench.judge(byYoung), 'signature_invalid')
  issuer.fail((_, response) => { response.end(JSON.stringify({ keys: [young.jwk] })) }, '/jwks')
  clock.advance(5 * MINUTE)
  await until(() => keySet.status().loads === 2, 'refreshed')
  t.equal(await bench.judge(byOld), 'signature_invalid', 'the cached verdict died with the key, although its kid lives')
  t.equal(await bench.judge(byYoung), 'passed')
})

/** Puts one key alone into the issuer's set. */
const publish = (issuer: FaultyIssuer, jwk: object): void => { issuer.fail((_, response) => { response.end(JSON.stringify({ keys: [jwk] })) }, '/jwks') }

for (const [what, kid] of [['under one kid', 'same'], ['of an issuer that names none', undefined]] as const) {
  t.test(`J11 a key that changes ${what}: the first of its tokens is refused at once, the next passes`, async (t) => {
    const [old, young] = await Promise.all([mintKey('ES256', kid), mintKey('ES256', kid)])
    const { issuer, clock, bench, keySet } = await openIssuerBench(t, { algorithms: ['ES256'] })
    publish(issuer, { ...old.jwk, kid })
    clock.advance(5 * MINUTE)
    await until(() => keySet.status().loads === 2, 'the old key')
    const claims = { ...goodClaims(issuer.url), exp: Math.floor(clock.now() / 1000) + 3600 }
    const [byOld, byYoung] = [old, young].map((key) => forge({ alg: 'ES256', kid }, claims, signerOf(key))) as [string, string]
    t.equal(await bench.judge(byOld), 'passed')
    publish(issuer, { ...young.jwk, kid })
    clock.advance(30_000)
    t.match(bench.authenticate(byYoung), { denied: 'signature_invalid' }, 'not a promise')
    await until(() => keySet.status().loads === 3, 'asked again')
    t.equal(await bench.judge(byYoung), 'passed')
    t.equal(await bench.judge(byOld), 'signature_invalid', 'and the old one is refused, though it was cached')
  })
}

t.test('J11 a kid whose key is suddenly for another algorithm: asked again, too', async (t) => {
  const [old, young] = await Promise.all([mintKey('RS256', 'same'), mintKey('ES256', 'same')])
  const { issuer, clock, bench, keySet } = await openIssuerBench(t, { algorithms: ['ES256'] })
  publish(issuer, old.jwk)
  clock.advance(5 * MINUTE)
  await until(() => keySet.status().loads === 2, 'the old key')
  publish(issuer, young.jwk)
  clock.advance(30_000)
  const token = forge({ alg: 'ES256', kid: 'same' }, { ...goodClaims(issuer.url), exp: Math.floor(clock.now() / 1000) + 3600 }, signerOf(young))
  t.match(bench.authenticate(token), { denied: 'algorithm_refused' })
  await until(() => keySet.status().loads === 3, 'asked again')
  t.equal(await bench.judge(token), 'passed')
})

t.test('J14 a flood of bad signatures: one fetch in four cooldowns, none while the keys are young, nobody waits', async (t) => {
  const { issuer, clock, bench } = await openIssuerBench(t, { algorithms: ['ES256'] }, ({ jwksUri }) => ({ jwksUri, refresh: '1h' }))
  const { kid } = issuer.keys[0]!
  const eve = await mintKey('ES256', kid)
  const forged = forge({ alg: 'ES256', kid }, goodClaims(issuer.url), signerOf(eve))
  const good = await issuer.sign()
  t.equal(await bench.judge(good), 'passed')
  const flood = async (n = 300) => {
    for (let i = 0; i < n; i++) {
      const answer = bench.authenticate(forged)
      if (answer instanceof Promise || !isDenial(answer)) t.fail(`not refused at once: ${JSON.stringify(answer)}`)
    }
    // While a fetch is under way no other is planned.
    await until(() => clock.pending.length > 0, 'the fetch, if any, is over')
    return issuer.requests['/jwks']
  }
  clock.advance(29_000)
  t.equal(await flood(), 1, 'keys of less than a cooldown are not doubted')
  clock.advance(1_000)
  t.equal(await flood(), 2, 'then once')
  for (let seconds = 7; seconds <= 119; seconds += 7) {
    clock.advance(7_000)
    t.equal(await flood(20), seconds > 21 ? 3 : 2, `${seconds} s later`)
    if (seconds !== 21) continue
    t.equal(await bench.judge(forge({ alg: 'ES256', kid: 'new' }, goodClaims(issuer.url), signerOf(eve))), 'key_unknown')
    t.equal(issuer.requests['/jwks'], 3, 'an unknown kid asks at once, whatever was doubted')
  }
  clock.advance(1_000)
  t.equal(await flood(), 4)
  t.equal(await bench.judge(good), 'passed', 'good tokens never noticed')
})

t.test('J14 an issuer that is down is not asked more often because of bad signatures; a closed key set asks nobody', async (t) => {
  const { issuer, clock, bench, keySet } = await openIssuerBench(t, { algorithms: ['ES256'] }, ({ jwksUri }) => ({ jwksUri, refresh: '1h' }))
  const { kid } = issuer.keys[0]!
  const forged = forge({ alg: 'ES256', kid }, goodClaims(issuer.url), signerOf(await mintKey('ES256', kid)))
  issuer.fail('status500')
  clock.advance(30_000)
  t.equal(await bench.judge(forged), 'signature_invalid')
  await until(() => keySet.status().failures === 1, 'asked')
  for (let i = 0; i < 100; i++) t.equal(await bench.judge(forged), 'signature_invalid')
  t.equal(issuer.requests['/jwks'], 2)
  t.ok(clock.pending[0]! <= 1_000, 'but by the backoff, as ever')
  issuer.fail(undefined)
  keySet.close()
  clock.advance(10 * MINUTE)
  t.equal(await bench.judge(forged), 'signature_invalid')
  t.equal(issuer.requests['/jwks'], 2)
})

t.test('J11 a key that is now for another algorithm, or no longer for signatures, is another key', async (t) => {
  const key = await mintKey('RS256', 'key')
  const spare = await mintKey('ES256', 'spare')
  const dir = t.testdir()
  const file = join(dir, 'jwks.json')
  const put = (jwk: object): void => { writeFileSync(file, JSON.stringify({ keys: [jwk, spare.jwk] })) }
  put(key.jwk)
  const bench = openBench([issuerConfig({ issuer: ISS, keys: { file } })])
  t.teardown(() => { bench.close() })
  const token = forge({ alg: 'RS256', kid: 'key' }, goodClaims(ISS), signerOf(key))
  t.equal(await bench.judge(token), 'passed')
  for (const [jwk, reason] of [[{ ...key.jwk, alg: 'PS256' }, 'algorithm_refused'], [{ ...key.jwk, use: 'enc' }, 'key_unknown'], [{ ...key.jwk, kid: 'other' }, 'key_unknown']] as const) {
    put(jwk)
    const answer = async (): Promise<string> => bench.judge(token)
    let last = ''
    await until(() => { void answer().then((each) => { last = each }); return last === reason }, reason)
    t.equal(await bench.judge(token), reason)
    put(key.jwk)
    await until(() => { void answer().then((each) => { last = each }); return last === 'passed' }, 'back')
  }
})

t.test('J12 the issuer moves to a new authority: the CA file is read again at each fetch', async (t) => {
  const [old, young] = await Promise.all([createAuthority('old'), createAuthority('young')])
  const issuer = await startFaultyIssuer({ tls: true, authority: old, algorithms: ['ES256'] })
  t.teardown(() => issuer.close())
  const dir = t.testdir()
  const clock = fakeClock()
  const bench = openBench([configFor(issuer, dir)], { clock })
  t.teardown(() => { bench.close() })
  const keySet = bench.keySets.get('corp')!
  await until(() => keySet.status().usable, 'keys')
  issuer.useCertificate(await young.issue(['127.0.0.1']))
  clock.advance(5 * MINUTE)
  await until(() => keySet.status().failures > 0, 'the new authority is not trusted yet')
  t.match(keySet.status().lastError, /certificate|signature/)
  t.ok(keySet.status().usable, 'the keys stay')
  writeFileSync(join(dir, 'ca.pem'), `${old.ca}\n${young.ca}`)
  await until(() => { clock.advance(1000); return keySet.status().loads > 1 }, 'trusted')
  t.equal(keySet.status().lastError, undefined)
  writeFileSync(join(dir, 'ca.pem'), 'not a certificate')
  clock.advance(5 * MINUTE)
  await until(() => keySet.status().lastError !== undefined, 'a CA file without certificates is not "trust anybody"')
})

t.test('J13 a key file swapped a hundred times, bad ones among them, while tokens are judged: not one wrong verdict', async (t) => {
  const [stays, comes, never] = await Promise.all([mintKey('ES256', 'stays'), mintKey('ES256', 'comes'), mintKey('ES256', 'comes')])
  const dir = t.testdir({})
  const put = (version: number, text: string): void => {
    mkdirSync(join(dir, `..${version}`))
    writeFileSync(join(dir, `..${version}`, 'jwks.json'), text)
    symlinkSync(`..${version}`, join(dir, '..data_tmp'))
    renameSync(join(dir, '..data_tmp'), join(dir, '..data'))
    if (version > 0) rmSync(join(dir, `..${version - 1}`), { recursive: true })
  }
  const sets = [
    JSON.stringify({ keys: [stays.jwk] }), JSON.stringify({ keys: [comes.jwk, stays.jwk] }), '{"keys":[', '{"keys":[]}', '', '<html>',
    JSON.stringify({ keys: [{ kty: 'RSA' }, stays.jwk] }),
  ]
  put(0, sets[0]!)
  symlinkSync('..data/jwks.json', join(dir, 'jwks.json'))
  const bench = openBench([issuerConfig({ issuer: ISS, keys: { file: join(dir, 'jwks.json') } })])
  t.teardown(() => { bench.close() })
  const keySet = bench.keySets.get('corp')!
  const sign = (key: typeof stays): string => forge({ alg: 'ES256', kid: key.kid }, goodClaims(ISS), signerOf(key))
  const [steady, visitor, forged] = [sign(stays), sign(comes), sign(never)]
  const wrong: string[] = []
  const seen = new Set<string>()
  let judged = 0
  const judge = (token: string, ...fine: string[]): void => {
    const answer = bench.authenticate(token)
    const verdict = answer instanceof Promise ? 'a promise' : isDenial(answer) ? answer.denied : 'passed'
    judged++
    seen.add(verdict)
    if (!fine.includes(verdict)) wrong.push(verdict)
  }
  for (let version = 1; version <= 100; version++) {
    put(version, sets[version % sets.length]!)
    // A change is read when it stays: some do.
    for (let round = 0; round < ([29, 30, 57, 58].includes(version) ? 150 : 5); round++) {
      judge(steady, 'passed')
      judge(visitor, 'passed', 'key_unknown')
      judge(forged, 'signature_invalid', 'key_unknown')
      await new Promise((resolve) => { setTimeout(resolve, 5) })
    }
  }
  t.same(wrong, [], `${judged} verdicts`)
  t.ok(seen.has('key_unknown') && seen.has('passed') && keySet.status().failures > 0, 'the set really came and went')
})
