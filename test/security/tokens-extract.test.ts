/** T22, T23 and T24 of the attack catalogue: where a token is found, and that nothing odd is ever "no token". */
import t from 'tap'
import { compileExtractor } from '../../src/auth/extract.ts'
import type { Extraction } from '../../src/auth/extract.ts'
import { isDenial } from '../../src/telemetry/reason.ts'
import { config } from '../helpers/issuer.ts'

type Source = Parameters<typeof compileExtractor>[0][number]
const BEARER: Source = { header: 'Authorization', scheme: 'Bearer' }
const A = 'eyJh.eyJi.AAAA'
const B = 'eyJh.eyJi.BBBB'

function extract(headers: string[], target = '/', sources: Source[] = [BEARER]): Extraction {
  return compileExtractor(sources, 64)({ target, headers })
}
/** The token, the reason in brackets, or undefined. */
function found(headers: string[], target = '/', sources: Source[] = [BEARER]): string | undefined {
  const { token } = extract(headers, target, sources)
  return isDenial(token) ? `[${token.denied}]` : token
}
/** What the app would get when tokens are not forwarded. */
function stripped(headers: string[], target = '/', sources: Source[] = [BEARER]): string[] {
  const { edits } = extract(headers, target, sources)
  const byIndex = new Map(edits.map((edit) => [edit.index, edit.value]))
  return headers.flatMap((name, index) => {
    if (index % 2 === 1) return []
    if (!byIndex.has(index)) return [name, headers[index + 1]!]
    const value = byIndex.get(index)
    return value === undefined ? [] : [name, value]
  })
}

t.test('the default is one Authorization: Bearer', async (t) => {
  t.same(config({ issuers: [{ name: 'x', issuer: 'https://x', audiences: ['x'], keys: { discovery: true } }] }).tokens, [BEARER])
  t.equal(found(['Authorization', `Bearer ${A}`]), A)
  t.equal(found(['aUTHORIZATION', `bEARER ${A}`]), A, 'names and schemes have no case')
  t.equal(found(['Host', 'x', 'Accept', '*/*']), undefined)
  t.equal(found([]), undefined)
  t.same(stripped(['Host', 'x', 'Authorization', `Bearer ${A}`, 'Accept', '*/*']), ['Host', 'x', 'Accept', '*/*'])
  t.equal(extract(['Host', 'x'], '/a?b=c').target, '/a?b=c')
})

t.test('T22 two tokens, in one place or in two', async (t) => {
  const many: Source[] = [BEARER, { header: 'X-Token' }, { cookie: 'session' }, { query: 'access_token' }]
  const tries: [string[], string, string][] = [
    [['Authorization', `Bearer ${A}`, 'Authorization', `Bearer ${B}`], '/', '[token_ambiguous]'],
    [['Authorization', `Bearer ${A}`, 'authorization', `Bearer ${A}`], '/', '[token_ambiguous]'],
    [['Authorization', `Bearer ${A}`, 'Authorization', 'Basic YTpi'], '/', '[scheme_unknown]'],
    [['Authorization', `Bearer ${A}`, 'Cookie', `session=${B}`], '/', '[token_ambiguous]'],
    [['Authorization', `Bearer ${A}`, 'X-Token', B], '/', '[token_ambiguous]'],
    [['Authorization', `Bearer ${A}`], `/?access_token=${B}`, '[token_ambiguous]'],
    [['Cookie', `session=${A}; a=b; session=${B}`], '/', '[token_ambiguous]'],
    [['Cookie', `session=${A}`, 'Cookie', `session=${B}`], '/', '[token_ambiguous]'],
    [['X-Token', A, 'X-Token', A], '/', '[token_ambiguous]'],
    [['Authorization', `Bearer ${A}`, 'Cookie', `session=${A}; session=${A}`, 'X-Token', A], `/?access_token=${A}`, A],
  ]
  for (const [headers, target, expected] of tries) t.equal(found(headers, target, many), expected, `${headers.join(' | ')} ${target}`)
  for (const [headers, target] of tries) {
    const seen = [...stripped(headers, target, many), extract(headers, target, many).target].join(' ')
    t.notMatch(seen, /AAAA|BBBB/, 'no token is left for the app, whatever the answer')
  }
})

t.test('T23 quirks of the scheme have one defined answer, never "missing"', async (t) => {
  const values: Record<string, string> = {
    [`Bearer  ${A}`]: A,
    [`Bearer     ${A}`]: A,
    [`Bearer\t${A}`]: '[scheme_unknown]',
    [`Bearer ${A}, Basic YTpi`]: `${A}, Basic YTpi`,
    [`Bearer ${A},Bearer ${B}`]: `${A},Bearer ${B}`,
    [`xBearer ${A}`]: '[scheme_unknown]',
    [`Bearerx ${A}`]: '[scheme_unknown]',
    [`Bearer:${A}`]: '[scheme_unknown]',
    [`Bearer=${A}`]: '[scheme_unknown]',
    [`Bearer`]: '[token_malformed]',
    [`Bearer `]: '[token_malformed]',
    [`Bearer   `]: '[token_malformed]',
    [A]: '[scheme_unknown]',
    ['']: '[scheme_unknown]',
    [' ']: '[scheme_unknown]',
    ['Basic YTpi']: '[scheme_unknown]',
    [`Basic YTpi, Bearer ${A}`]: '[scheme_unknown]',
    [`Token ${A}`]: '[scheme_unknown]',
    [`DPoP ${A}`]: '[scheme_unknown]',
    [`"Bearer ${A}"`]: '[scheme_unknown]',
    [`\u00a0Bearer ${A}`]: '[scheme_unknown]',
  }
  for (const [value, expected] of Object.entries(values)) t.equal(found(['Authorization', value]), expected, JSON.stringify(value))
  for (const value of Object.keys(values).filter((value) => /bearer/i.test(value))) {
    t.same(stripped(['Authorization', value]).length, /xBearer|Bearerx/.test(value) ? 2 : 0, `${JSON.stringify(value)}: stripped where a lenient app could read it`)
  }
  t.same(stripped(['Authorization', 'Basic YTpi']), ['Authorization', 'Basic YTpi'], 'another scheme is the app\'s own affair on a public path')
  t.equal(found(['Authorization', `Token ${A}`], '/', [BEARER, { header: 'authorization', scheme: 'Token' }]), A, 'several schemes of one header')
})

t.test('T24 a token in the query: not looked at unless configured, then always taken out', async (t) => {
  t.equal(found([], `/?access_token=${A}`), undefined, 'not configured: no token')
  t.equal(extract([], `/?access_token=${A}`).target, `/?access_token=${A}`, 'and the app\'s own parameter is left alone')
  const query: Source[] = [BEARER, { query: 'access_token' }]
  const tries: [string, string | undefined, string][] = [
    [`/a?access_token=${A}`, A, '/a'],
    [`/a?b=c&access_token=${A}&d=e`, A, '/a?b=c&d=e'],
    [`/a?access%5Ftoken=${A}`, A, '/a'],
    [`/a?%61ccess_token=${A}&x`, A, '/a?x'],
    [`/a?access_token=${A.replaceAll('.', '%2E')}`, A, '/a'],
    [`/a?access_token=${A}&access_token=${B}`, '[token_ambiguous]', '/a'],
    [`/a?access_token=${A}&access_token=${A}`, '[token_ambiguous]', '/a'],
    ['/a?access_token=', '', '/a'],
    ['/a?access_token', '', '/a'],
    ['/a?access_token=%zz', '%zz', '/a'],
    [`/a?Access_Token=${A}`, undefined, `/a?Access_Token=${A}`],
    [`/a?xaccess_token=${A}`, undefined, `/a?xaccess_token=${A}`],
    ['/a?', undefined, '/a?'],
    ['/a?b&&c', undefined, '/a?b&&c'],
    ['/a', undefined, '/a'],
  ]
  for (const [target, token, rest] of tries) {
    t.equal(found([], target, query), token, target)
    t.equal(extract([], target, query).target, rest)
  }
})

t.test('a cookie: only that cookie is taken out', async (t) => {
  const cookie: Source[] = [{ cookie: 'session' }]
  const tries: [string, string | undefined, string[]][] = [
    [`session=${A}`, A, []],
    [`a=b; session=${A}; c=d`, A, ['Cookie', 'a=b; c=d']],
    [`session=${A}; c=d`, A, ['Cookie', 'c=d']],
    [`a=b;session="${A}"`, A, ['Cookie', 'a=b']],
    [` session = ${A} ;a=b`, A, ['Cookie', 'a=b']],
    ['session=', '', []],
    [`Session=${A}`, undefined, ['Cookie', `Session=${A}`]],
    [`xsession=${A}; session2=x`, undefined, ['Cookie', `xsession=${A}; session2=x`]],
    ['session', undefined, ['Cookie', 'session']],
    ['a=session=b', undefined, ['Cookie', 'a=session=b']],
  ]
  for (const [value, token, rest] of tries) {
    t.equal(found(['Cookie', value], '/', cookie), token, value)
    t.same(stripped(['Cookie', value], '/', cookie), rest)
  }
  t.equal(found(['Authorization', `Bearer ${B}`, 'cookie', `session=${A}`], '/', cookie), A, 'an unconfigured place is not looked at')
  t.same(stripped(['Authorization', `Bearer ${B}`, 'cookie', `session=${A}`], '/', cookie), ['Authorization', `Bearer ${B}`])
})

t.test('another spelling of the token\'s header goes even when the token is forwarded (H4)', async (t) => {
  const sources: Source[] = [{ header: 'X-Auth-Token' }]
  const { token, edits } = extract(['X-Auth-Token', A, 'X_Auth_Token', B, 'x.auth-token', B, 'X-AUTH-TOKENS', 'c'], '/', sources)
  t.equal(token, A, 'they are no tokens either')
  t.same(edits, [{ index: 0, value: undefined, always: false }, { index: 2, value: undefined, always: true }, { index: 4, value: undefined, always: true }])
  t.equal(found(['X_Auth_Token', B], '/', sources), undefined)
})

t.test('a token larger than limits.tokenBytes', async (t) => {
  t.equal(found(['Authorization', `Bearer ${'x'.repeat(64)}`]), 'x'.repeat(64))
  t.equal(found(['Authorization', `Bearer ${'x'.repeat(65)}`]), '[token_malformed]')
})
