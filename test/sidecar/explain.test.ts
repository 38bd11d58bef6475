import t from 'tap'
import { mintKey } from '../../src/demo/issuer.ts'
import { explain, type ExplainRequest } from '../../src/sidecar/explain.ts'
import { makeConfig } from '../helpers/config.ts'
import { forge, goodClaims, inlineIssuer, signerOf } from '../helpers/tokens.ts'

const ISS = 'https://auth.internal'
const ISSUER = { name: 'corp', issuer: ISS, audiences: ['internal-services'] }
const RULES = [
  { match: { path: '/healthz' }, allow: 'anonymous' },
  { match: { path: '/trial' }, require: { scopes: ['x'] }, mode: 'audit' },
  { name: 'admin', match: { path: '/admin/**' }, require: { roles: { anyOf: ['admin'] } } },
  { match: { path: '/orders/**' }, require: {} },
]

t.test('explain tells what the pipeline does', async (t) => {
  const key = await mintKey('ES256', 'k1')
  const keys = inlineIssuer([key]).keys.inline
  const config = makeConfig({ issuers: [{ ...ISSUER, keys: { inline: keys } }], rules: RULES, identity: { headers: { 'X-User-Id': { claim: 'sub' }, 'X-User-Roles': { claim: 'roles', encoding: 'csv' } } } })
  const token = (claims: Record<string, unknown> = {}, header: object = {}) => forge({ alg: 'ES256', kid: 'k1', ...header }, goodClaims(ISS, claims), signerOf(key))
  const ask = (target: string, more: Partial<ExplainRequest> = {}) => explain(config, { method: 'GET', target, headers: [], token: undefined, peer: '192.0.2.1', ...more }, 1000)

  await t.test('a request that passes, stage by stage', async (t) => {
    const { lines, passes } = await ask('/orders/caf%C3%A9?x=secret', { token: token({ roles: ['a', 'b'] }), headers: ['X_User_Id', 'admin', 'Connection', 'close, X-A', 'X-A', '1', 'X-Real-IP', '1'] })
    t.ok(passes)
    t.strictSame(lines.map((line) => line.replace(/exp .*/, 'exp ...')), [
      'GET /orders/caf%C3%A9?..., Host app, from 192.0.2.1',
      '1 target     ok  matched as /orders/café; forwarded byte for byte',
      '2 headers    ok  removed X_User_Id (identity), Connection (hop-by-hop), X-A (named by Connection), X-Real-IP (forwarding), Authorization (token)',
      '3 rule       ok  3:/orders/** needs a token',
      `4 token      ok  says of itself: alg ES256, kid k1, iss "${ISS}", aud "internal-services", exp ...`,
      '5 verify     ok  issuer corp, subject "bob", ES256, kid k1',
      '6 authorise  ok  every requirement is met',
      '7 identity   ok  X-User-Id: bob, X-User-Roles: a,b',
      '=> FORWARDED by rule 3:/orders/**: allowed',
      '   to 127.0.0.1:8080 with the headers Host, X-User-Id, X-User-Roles, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host',
    ])
  })

  const STOPS: readonly (readonly [stage: string, reason: string, target: string, more?: Partial<ExplainRequest>])[] = [
    ['1 target', 'ambiguous_path: the escape %2f in the path', '/a%2fb'],
    ['1 target', 'method_refused', '/', { method: 'TRACE' }],
    ['1 target', 'bad_host: 2 Host headers', '/', { headers: ['Host', 'a', 'host', 'b'] }],
    ['2 headers', 'protected_connection: Connection names host', '/', { headers: ['Connection', 'Host'] }],
    ['3 rule', 'no_rule', '/nope'],
    ['4 token', 'token_missing', '/orders'],
    ['4 token', 'scheme_unknown', '/orders', { headers: ['Authorization', 'Basic eDp5'] }],
    ['5 verify', 'token_expired', '/orders', { token: token({ exp: 1000 }) }],
    ['5 verify', 'token_malformed: not three parts', '/orders', { token: 'abc' }],
    ['6 authorise', 'role_missing: roles lacks any of admin', '/admin/x', { token: token({ roles: ['user'] }) }],
    ['7 identity', 'identity_unencodable: claim roles as csv', '/orders', { token: token({ roles: ['a,b'] }) }],
  ]
  for (const [stage, reason, target, more] of STOPS) {
    await t.test(`a request that ends at ${stage}: ${reason}`, async (t) => {
      const { lines, passes } = await ask(target, more)
      t.notOk(passes)
      const last = lines.findLast((line) => /^\d /.test(line))
      t.ok(last?.startsWith(stage), `${last}`)
      t.ok(last?.includes(`no  ${reason}`), `${last}`)
      t.match(lines.find((line) => line.startsWith('=> DENIED')), new RegExp(`: ${reason.split(':')[0]}\\. `))
      t.match(lines.at(-1), /^ {3}The client reads \d{3}/)
    })
  }

  await t.test('audit mode and anonymous rules', async (t) => {
    const audited = await ask('/trial')
    t.ok(audited.passes)
    t.ok(audited.lines.includes('=> FORWARDED by rule 1:/trial in audit mode, although token_missing: No token in any of the configured places.'))
    const open = await ask('/healthz')
    t.ok(open.passes)
    t.ok(open.lines.includes('  token, verify, authorise, identity: not reached'))
  })

  await t.test('a token\'s text cannot drive a terminal, and its signature is not shown', async (t) => {
    const hostile = token({ sub: '\x1b[2J\x9b' }, { typ: '\x1b]0;x\x07', kid: '\x9b31m' })
    const { lines } = await ask('/orders', { token: hostile })
    t.notMatch(lines.join(''), /[^\x20-\x7e\xa0-\uffff]/)
    t.notOk(lines.join('').includes(hostile.split('.')[2]!))
  })

  await t.test('an issuer without keys is named', async (t) => {
    const down = makeConfig({ issuers: [{ ...ISSUER, keys: { jwksUri: 'http://127.0.0.1:1/jwks', allowHttp: true } }] })
    const { lines, passes } = await explain(down, { method: 'GET', target: '/', headers: [], token: token(), peer: '::1' }, 300)
    t.notOk(passes)
    t.match(lines[0], /^note: issuer corp has no keys/)
    t.ok(lines.some((line) => line.startsWith('5 verify     no  keys_unavailable')))
  })

  await t.test('the token is put where the configuration looks first', async (t) => {
    for (const place of [{ cookie: 'session' }, { header: 'X-Token' }, { query: 'access_token' }]) {
      const other = makeConfig({ issuers: [{ ...ISSUER, keys: { inline: keys } }], tokens: [place] })
      t.ok((await explain(other, { method: 'GET', target: '/a?b=c', headers: [], token: token(), peer: '::1' }, 300)).passes, JSON.stringify(place))
    }
  })
})
