/** Revocation: the deny-list against tokens that verified, cached ones included; T7 and its like. */
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { constants, KeyObject, sign } from 'node:crypto'
import t from 'tap'
import { openDenylist } from '../../src/auth/denylist.ts'
import type { Denylist } from '../../src/auth/denylist.ts'
import { mintKey } from '../../src/demo/issuer.ts'
import { until } from '../helpers/issuer.ts'
import { base64url, forge, goodClaims, inlineIssuer, now, openBench, signerOf } from '../helpers/tokens.ts'
import type { Bench } from '../helpers/tokens.ts'

const ISS = 'https://auth.internal'
const ec = await mintKey('ES256', 'ec-1')
const ps = await mintKey('PS256', 'ps-1')
const issuer = inlineIssuer([ec, ps])
const token = (claims: Record<string, unknown> = {}, kid = 'ec-1'): string => forge({ alg: 'ES256', kid }, goodClaims(ISS, claims), signerOf(ec))
const bench = (denylist: Denylist): Bench => openBench([issuer], { denylist })
const ORDER = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')

/** The other valid signature of the same message: (r, n - s). */
function twist(jwt: string): string {
  const [header, payload, signature] = jwt.split('.') as [string, string, string]
  const bytes = Buffer.from(signature, 'base64url')
  const s = ORDER - BigInt(`0x${bytes.subarray(32).toString('hex')}`)
  return `${header}.${payload}.${base64url(Buffer.concat([bytes.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]))}`
}

t.test('each kind of entry, from the configuration', async (t) => {
  const noon = now() - 100
  const list = bench(await openDenylist({
    jti: ['leaked'],
    sub: ['mallory'],
    kid: ['gone'],
    issuedBefore: [
      { sub: 'alice', time: noon },
      { issuer: 'corp', sub: 'carol', time: new Date(noon * 1000).toISOString() },
      { issuer: 'other', time: noon },
      { issuer: ISS, sub: 'dave', time: noon },
    ],
  }))
  const verdicts: [Record<string, unknown>, string][] = [
    [{}, 'passed'],
    [{ jti: 'leaked' }, 'token_revoked'],
    [{ jti: 'leaked2' }, 'passed'],
    [{ sub: 'leaked' }, 'passed'],
    [{ sub: 'mallory' }, 'token_revoked'],
    [{ sub: 'Mallory' }, 'passed'],
    [{ sub: 'alice', iat: noon - 1 }, 'token_revoked'],
    [{ sub: 'alice', iat: noon }, 'passed'],
    [{ sub: 'alice', iat: undefined }, 'token_revoked'],
    [{ sub: 'bob', iat: noon - 1 }, 'passed'],
    [{ sub: 'carol', iat: noon - 1 }, 'token_revoked'],
    [{ sub: 'dave', iat: noon - 1 }, 'token_revoked'],
    [{ sub: undefined, iat: noon - 1 }, 'passed'],
  ]
  for (const [claims, expected] of verdicts) t.equal(await list.judge(token(claims)), expected, JSON.stringify(claims))
  const byKid = openBench([inlineIssuer([{ ...ec, jwk: { ...ec.jwk, kid: 'gone' } }])], { denylist: await openDenylist({ kid: ['gone'] }) })
  t.equal(await byKid.judge(token({}, 'gone')), 'token_revoked')
  const everyone = bench(await openDenylist({ issuedBefore: [{ time: noon }] }))
  t.equal(await everyone.judge(token({ iat: noon - 1 })), 'token_revoked')
  t.equal(await everyone.judge(token()), 'passed')
  const spaced = bench(await openDenylist({ issuedBefore: [{ time: new Date(noon * 1000).toISOString().replace('T', ' ') }] }))
  t.equal(await spaced.judge(token({ iat: noon - 1 })), 'token_revoked', 'a time that the check of the configuration accepts')
})

t.test('a file that says nothing, or two things, is no deny-list: the old one stays', async (t) => {
  const path = join(t.testdir({ 'deny.json': JSON.stringify({ sub: ['mallory'] }) }), 'deny.json')
  const list = await openDenylist({ file: path }, { interval: 10 })
  t.teardown(() => { list.close() })
  const revoking = bench(list)
  for (const text of ['', ' \n', '# nothing yet\n', 'null', '[]', '{"sub":["mallory"],"sub":["trent"]}', '{"sub":["mallory"],"s\\u0075b":["trent"]}', 'sub: [mallory]\nsub: [trent]\n']) {
    writeFileSync(path, text)
    await until(() => list.status().lastError !== undefined, JSON.stringify(text))
    t.equal(await revoking.judge(token({ sub: 'mallory' })), 'token_revoked', JSON.stringify(text))
    await t.rejects(openDenylist({ file: path }), /deny-list .*(?:is empty or no object; for a list without entries write \{\}|there twice|unique|is wrong)/, JSON.stringify(text))
    writeFileSync(path, JSON.stringify({ sub: ['mallory', text] }).replace(',""', ''))
    await until(() => list.status().lastError === undefined, 'good again')
  }
  writeFileSync(path, '{}')
  await until(() => list.status().entries === 0, 'empty on purpose')
})

t.test('T7 a malleable or fresh signature, another header, another spelling: still revoked, and the cache is not fooled', async (t) => {
  const claims = { jti: 'leaked', sub: 'bob' }
  const leaked = token(claims)
  const twisted = twist(leaked)
  const open = openBench([issuer])
  t.equal(await open.judge(leaked), 'passed')
  t.equal(await open.judge(twisted), 'passed', 'the twin is a valid signature: nothing short of looking at the claims helps')
  t.equal(open.cache.size, 2, 'two texts are two entries')

  const list = bench(await openDenylist({ jti: ['leaked'] }))
  const copies = {
    'as it is': leaked,
    'twisted': twisted,
    'signed again': token(claims),
    'another header': forge({ kid: 'ec-1', typ: 'JWT', alg: 'ES256', x: 1 }, goodClaims(ISS, claims), signerOf(ec)),
    'claims in another order': forge({ alg: 'ES256', kid: 'ec-1' }, { jti: 'leaked', ...goodClaims(ISS) }, signerOf(ec)),
    'claims with white space': forge({ alg: 'ES256', kid: 'ec-1' }, JSON.stringify(goodClaims(ISS, claims), undefined, 2), signerOf(ec)),
    'escaped': forge({ alg: 'ES256', kid: 'ec-1' }, JSON.stringify(goodClaims(ISS, claims)).replace('leaked', String.raw`\u006ceaked`).replace('"jti"', String.raw`"\u006ati"`), signerOf(ec)),
    'PSS, a new salt': forge({ alg: 'PS256', kid: 'ps-1' }, goodClaims(ISS, claims), (input) => sign('sha256', input, { key: KeyObject.from(ps.privateKey), padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 })),
  }
  for (const [name, copy] of Object.entries(copies)) {
    t.equal(await open.judge(copy), 'passed', `${name}: valid in itself`)
    t.equal(await list.judge(copy), 'token_revoked', name)
  }
})

t.test('a cached verdict and a long stream end when the file names the token, within a second; and live again when it no longer does', async (t) => {
  const dir = t.testdir({ 'deny.json': '{}' })
  const file = join(dir, 'deny.json')
  const denylist = await openDenylist({ file, sub: ['mallory'] })
  t.teardown(() => { denylist.close() })
  const list = bench(denylist)
  const good = token({ jti: 'one', sub: 'bob' })
  const principal = await list.principal(good)
  t.equal(await list.judge(good), 'passed')
  writeFileSync(file, '{"jti":["one"]}')
  await until(() => list.recheck(principal, Date.now()) !== undefined, 'in force', 1000)
  t.equal(await list.judge(good), 'token_revoked')
  t.match(list.recheck(principal, Date.now()), { denied: 'token_revoked' })
  t.equal(await list.judge(token({ sub: 'mallory' })), 'token_revoked', 'the configuration\'s own entries hold beside the file\'s')
  writeFileSync(file, '{}')
  await until(() => list.recheck(principal, Date.now()) === undefined, 'lifted', 1000)
  t.equal(await list.judge(good), 'passed')
})

t.test('a bad file is refused with all its problems and the old one stays in force', async (t) => {
  const dir = t.testdir({ 'deny.json': '{"jti":["one"]}' })
  const file = join(dir, 'deny.json')
  const lines: string[] = []
  const say = (msg: string, fields?: Readonly<Record<string, unknown>>): void => { lines.push(`${msg}: ${String(fields?.error)}`) }
  const denylist = await openDenylist({ file }, { log: { info: say, warn: say, error: say }, interval: 20 })
  t.teardown(() => { denylist.close() })
  const list = bench(denylist)
  const bad: [string, RegExp][] = [
    ['{"jti":["two"]', /neither JSON nor YAML/],
    ['{"jti":"one"}', /jti/],
    ['{"jtis":["one"],"sub":[1]}', /jtis.*sub|sub.*jtis/],
    ['{"issuedBefore":[{"time":"yesterday"}]}', /issuedBefore time "yesterday" is neither Unix seconds nor RFC 3339/],
    ['{"file":"/other"}', /cannot name another file/],
    ['[]', /is empty or no object/],
    ['just text', /is empty or no object/],
  ]
  for (const [text, message] of bad) {
    writeFileSync(file, text)
    await until(() => message.test(denylist.status().lastError ?? ''), text)
    t.equal(await list.judge(token({ jti: 'one' })), 'token_revoked', `${text}: the old one is in force`)
    t.match(lines.at(-1), message, 'and the log says so')
  }
  writeFileSync(file, '{"jti":["two"]}')
  await until(() => denylist.status().lastError === undefined, 'a good one again')
  t.equal(await list.judge(token({ jti: 'one' })), 'passed')
  t.equal(await list.judge(token({ jti: 'two' })), 'token_revoked')
})

t.test('a file that is not there, or wrong, at the start is an error and not an empty list', async (t) => {
  const dir = t.testdir({ 'bad.json': '{"jti":1}' })
  await t.rejects(openDenylist({ file: join(dir, 'missing.json') }), /cannot be read: ENOENT/)
  await t.rejects(openDenylist({ file: join(dir, 'bad.json') }), /is wrong: jti/)
  await t.rejects(openDenylist({ issuedBefore: [{ time: 'soon' }] }), /"soon" is neither/)
  await t.rejects(openDenylist({ issuedBefore: [{ time: '2026-02-30T12:00:00Z' }] }), /"2026-02-30T12:00:00Z" is neither/)
  t.same((await openDenylist(undefined)).status(), { entries: 0, lastError: undefined })
})

t.test('YAML, and the swap of ..data that Kubernetes makes', async (t) => {
  const dir = t.testdir({})
  const put = (version: string, text: string): void => {
    mkdirSync(join(dir, version))
    writeFileSync(join(dir, version, 'deny.yaml'), text)
    symlinkSync(version, join(dir, '..data_tmp'))
    renameSync(join(dir, '..data_tmp'), join(dir, '..data'))
  }
  put('..1', 'jti:\n  - one\n')
  symlinkSync('..data/deny.yaml', join(dir, 'deny.yaml'))
  const denylist = await openDenylist({ file: join(dir, 'deny.yaml') })
  t.teardown(() => { denylist.close() })
  const list = bench(denylist)
  t.equal(await list.judge(token({ jti: 'one' })), 'token_revoked')
  put('..2', 'jti: [two]\nissuedBefore:\n  - { sub: eve, time: 2026-01-31T12:00:00Z }\n')
  await until(() => denylist.status().entries === 2, 'the swap is seen', 1000)
  t.equal(await list.judge(token({ jti: 'one' })), 'passed')
  t.equal(await list.judge(token({ jti: 'two' })), 'token_revoked')
  t.equal(await list.judge(token({ sub: 'eve', iat: 1_700_000_000 })), 'token_revoked')
})

t.test('100,000 entries of each kind', async (t) => {
  const many = (name: string): string[] => Array.from({ length: 100_000 }, (_, index) => `${name}-${index}`)
  const dir = t.testdir({ 'deny.json': JSON.stringify({ jti: many('jti'), sub: many('sub'), issuedBefore: many('old').map((sub) => ({ sub, time: now() - 50 })) }) })
  const denylist = await openDenylist({ file: join(dir, 'deny.json') })
  t.teardown(() => { denylist.close() })
  t.equal(denylist.status().entries, 300_000)
  const list = bench(denylist)
  t.equal(await list.judge(token({ jti: 'jti-99999' })), 'token_revoked')
  t.equal(await list.judge(token({ sub: 'sub-50000' })), 'token_revoked')
  t.equal(await list.judge(token({ sub: 'old-7', iat: now() - 60 })), 'token_revoked')
  t.equal(await list.judge(token({ sub: 'old-7' })), 'passed')
  t.equal(await list.judge(token()), 'passed')
})
