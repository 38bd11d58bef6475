/** The pipeline with plain data: every part real but the authenticator, which knows its tokens by name. */
import { createDecide } from '../../src/sidecar/decide.ts'
import type { Decided, DecidedForward, DecidedReply } from '../../src/sidecar/decision.ts'
import { compileExtractor } from '../../src/auth/extract.ts'
import { compileIdentity } from '../../src/auth/identity.ts'
import type { Authenticator, Principal } from '../../src/auth/types.ts'
import { configSchema } from '../../src/config/schema.ts'
import type { RequestHead } from '../../src/http/contract.ts'
import { compileForwarding } from '../../src/http/forwarded.ts'
import { createReplies } from '../../src/http/reply.ts'
import { compileRules } from '../../src/policy/rules.ts'
import { REASONS, deny, type Denial, type Reason } from '../../src/telemetry/reason.ts'
import * as v from 'valibot'
import t from 'tap'

function principal(claims: Record<string, unknown>): Principal {
  const own: Record<string, unknown> = Object.assign(Object.create(null) as object, claims)
  return { issuer: 'corp', claims: own, subject: String(claims['sub']), kid: 'k1', algorithm: 'RS256', expiresAt: 2e9, issuedAt: undefined, notBefore: undefined }
}

const TOKENS: Record<string, Principal | Denial> = {
  bob: principal({ sub: 'bob', roles: ['user', 'dev'], scope: 'orders.read' }),
  admin: principal({ sub: 'root', roles: ['admin'], scope: 'orders.write orders.read', tenantId: 'acme' }),
  evil: principal({ sub: 'a\r\nX-User-Roles: admin' }),
  expired: deny('token_expired'),
  forged: deny('signature_invalid', 'no key fits'),
  stranger: deny('issuer_unknown'),
}

const authenticator: Authenticator = {
  authenticate: (token) => token.startsWith('later-') ? Promise.resolve(TOKENS[token.slice(6)]!) : TOKENS[token]!,
  recheck: () => undefined,
}

const LISTENER = { bind: { host: '127.0.0.1', port: 15001 }, upstream: { host: '127.0.0.1', port: 8080 } }

function sidecar(overrides: Record<string, unknown> = {}) {
  const config = v.parse(configSchema, {
    listeners: [{ bind: '127.0.0.1:15001', upstream: '127.0.0.1:8080' }],
    issuers: [{ name: 'corp', issuer: 'https://auth.internal', audiences: ['internal'], keys: { discovery: true } }],
    identity: { headers: { 'X-User-Id': { claim: 'sub' }, 'X-User-Roles': { claim: 'roles', encoding: 'csv' } } },
    rules: [
      { match: { path: '/healthz' }, allow: 'anonymous' },
      { match: { path: '/public/**' }, allow: 'anonymous' },
      { match: { path: '/maybe' }, allow: 'optional' },
      { name: 'write', match: { path: '/orders/**', methods: ['POST'] }, require: { scopes: ['orders.write'] } },
      { name: 'trial', match: { path: '/trial/**' }, require: { roles: ['admin'] }, mode: 'audit' },
      { name: 'live', match: { path: '/live' }, require: {}, closeOnExpiry: true },
      { name: 'any', match: { path: '/any/**' }, require: {} },
      { name: 'admin', match: { path: '/admin/**' }, require: { roles: { anyOf: ['admin'] }, claims: { tenantId: 'acme' } } },
    ],
    ...overrides,
  })
  let forged = 0
  const decide = createDecide({
    mode: config.mode,
    targetBytes: config.limits.targetBytes,
    upgrades: new Set(config.upgrades),
    upstreamOf: (listener) => listener.upstream,
    rules: compileRules(config),
    extract: compileExtractor(config.tokens, config.limits.tokenBytes),
    tokenHeaders: ['Authorization', 'X-Auth-Token'],
    forwardToken: config.identity.forwardToken,
    authenticator,
    identity: compileIdentity(config.identity),
    forwarding: compileForwarding(config.forwarded.trustedProxies),
    replies: createReplies('test'),
    forged: () => { forged++ },
  })
  return { decide, forged: () => forged }
}

/** A request from a few words: `GET /path`, a token's name, further headers. */
function head(line: string, token?: string, headers: string[] = [], more: Partial<RequestHead> = {}): RequestHead {
  const [method = '', target = ''] = line.split(' ')
  return {
    method, target, version: '1.1', peer: '10.1.2.3', listener: LISTENER,
    headers: ['Host', 'app.example', ...token === undefined ? [] : ['Authorization', `Bearer ${token}`], ...headers],
    ...more,
  }
}

const standard = sidecar()
const now = (verdict: Decided | Promise<Decided>): Decided => {
  if (verdict instanceof Promise) throw new Error('the verdict should have been synchronous')
  return verdict
}
const judge = (request: RequestHead, by = standard) => now(by.decide(request))
const forwarded = (verdict: Decided): DecidedForward => {
  if (verdict.kind !== 'forward') throw new Error(`refused: ${verdict.decision.reason}`)
  return verdict
}
const refused = (verdict: Decided): DecidedReply => {
  if (verdict.kind !== 'reply') throw new Error(`forwarded: ${verdict.decision.reason}`)
  return verdict
}
/** Values of a header the app would see, in any spelling that folds to it. */
const seen = (verdict: Decided, name: string): string[] => {
  const { headers } = forwarded(verdict)
  return headers.filter((_, i) => i % 2 === 1 && headers[i - 1]!.toLowerCase().replaceAll(/[^a-z0-9]/g, '-') === name)
}

t.test('what passes, why, and by which rule', async (t) => {
  const cases: [string, RequestHead, Reason, string][] = [
    ['anonymous path', head('GET /healthz'), 'anonymous', '0:/healthz'],
    ['anonymous path, bad token not looked at', head('GET /public/x', 'expired'), 'anonymous', '1:/public/**'],
    ['optional without a token', head('GET /maybe'), 'optional', '2:/maybe'],
    ['optional with a good one', head('GET /maybe', 'bob'), 'allowed', '2:/maybe'],
    ['any token', head('GET /any/x?q=1', 'bob'), 'allowed', 'any'],
    ['the scope', head('POST /orders/7', 'admin'), 'allowed', 'write'],
    ['role and claim', head('GET /admin', 'admin'), 'allowed', 'admin'],
    ['audit rule, satisfied', head('GET /trial/x', 'admin'), 'allowed', 'trial'],
  ]
  for (const [name, request, reason, rule] of cases) {
    const verdict = judge(request)
    t.match(verdict, { kind: 'forward', target: request.target, upstream: LISTENER.upstream, decision: { ruling: 'allow', reason, rule } }, name)
  }
})

t.test('what is denied, and with which status and challenge', async (t) => {
  const bearer = 'Bearer realm="test"'
  const invalid = `Bearer realm="test", error="invalid_token", error_description="${REASONS.token_expired.message}"`
  const cases: [string, RequestHead, Reason, number, string | undefined][] = [
    ['no token', head('GET /any/x'), 'token_missing', 401, bearer],
    ['expired', head('GET /any/x', 'expired'), 'token_expired', 401, invalid],
    ['forged', head('GET /any/x', 'forged'), 'signature_invalid', 401, invalid],
    ['optional, bad token (T16)', head('GET /maybe', 'stranger'), 'issuer_unknown', 401, invalid],
    ['unknown scheme is not no token', head('GET /maybe', undefined, ['Authorization', 'Basic Ym9iOngK']), 'scheme_unknown', 401, invalid],
    ['two tokens (T22)', head('GET /any/x', 'bob', ['Authorization', 'Bearer admin']), 'token_ambiguous', 400, undefined],
    ['scope', head('POST /orders/7', 'bob'), 'scope_insufficient', 403, undefined],
    ['role', head('GET /admin', 'bob'), 'role_missing', 403, undefined],
    ['no rule', head('GET /elsewhere', 'admin'), 'no_rule', 403, undefined],
    ['no rule, no token', head('GET /elsewhere'), 'no_rule', 403, undefined],
    ['method with no rule', head('GET /orders/7', 'admin'), 'no_rule', 403, undefined],
    ['claim that cannot be a header (H12)', head('GET /any/x', 'evil'), 'identity_unencodable', 403, undefined],
  ]
  for (const [name, request, reason, status, challenge] of cases) {
    const verdict = refused(judge(request))
    t.match(verdict, { status, decision: { ruling: 'deny', reason } }, name)
    if (challenge !== undefined) t.equal(verdict.headers[verdict.headers.indexOf('WWW-Authenticate') + 1], challenge, name)
    t.equal(verdict.headers[verdict.headers.indexOf('Cache-Control') + 1], 'no-store', name)
  }
  const scope = refused(judge(head('POST /orders/7', 'bob')))
  t.match(scope.headers[scope.headers.indexOf('WWW-Authenticate') + 1], 'error="insufficient_scope"')
  t.match(scope.headers[scope.headers.indexOf('WWW-Authenticate') + 1], 'scope="orders.write"')
})

t.test('refused before anything is matched, in audit mode too', async (t) => {
  const cases: [string, RequestHead, Reason, number][] = [
    ['P1', head('GET /public/../admin'), 'ambiguous_path', 400],
    ['P3', head('GET //admin'), 'ambiguous_path', 400],
    ['P14', head('GET http://169.254.169.254/'), 'ambiguous_path', 400],
    ['target length', head(`GET /${'a'.repeat(9000)}`), 'target_too_long', 414],
    ['P16 CONNECT', head('CONNECT app:443'), 'method_refused', 405],
    ['P16 TRACE', head('TRACE /public/x'), 'method_refused', 405],
    ['two hosts', head('GET /public/x', undefined, ['host', 'b.example']), 'bad_host', 400],
    ['H8', head('GET /public/x', undefined, ['Connection', 'close, Transfer-Encoding']), 'protected_connection', 400],
    ['S8: upgrade with a body', head('GET /public/x', undefined, ['Connection', 'Upgrade', 'Upgrade', 'websocket', 'Content-Length', '5']), 'upgrade_refused', 400],
    ['S8: chunked upgrade', head('GET /public/x', undefined, ['Connection', 'Upgrade', 'Upgrade', 'websocket', 'Transfer-Encoding', 'chunked']), 'upgrade_refused', 400],
    ['websocket by POST', head('POST /public/x', undefined, ['Connection', 'Upgrade', 'Upgrade', 'websocket']), 'upgrade_refused', 400],
  ]
  const auditing = sidecar({ mode: 'audit' })
  for (const [name, request, reason, status] of cases) {
    for (const by of [standard, auditing]) t.match(judge(request, by), { kind: 'reply', status, decision: { ruling: 'deny', reason, rule: '-' } }, name)
  }
  const verdict = refused(judge(head('TRACE /public/x')))
  t.match(verdict.headers[verdict.headers.indexOf('Allow') + 1], 'GET')
})

t.test('T25: every invalid token is answered with the same bytes', async (t) => {
  const bytes = ['expired', 'forged', 'stranger'].map((token) => {
    const { status, headers, body } = refused(judge(head('GET /any/x', token)))
    return JSON.stringify({ status, headers, body })
  })
  t.equal(new Set(bytes).size, 1)
  t.notMatch(bytes[0], /expired"|signature|issuer/)
})

const SPELLINGS = ['X-User-Id', 'x-user-id', 'X_User_Id', 'X.User.Id', 'X-User_Id', 'x-USER-iD']

t.test('H1 to H6: forged identity never arrives, ours does, on every route', async (t) => {
  for (const spelling of SPELLINGS) {
    const forged = [spelling, 'admin', spelling, 'root', 'X-User-Roles', 'admin', 'X_USER_ROLES', 'admin']
    for (const request of [head('GET /public/x', undefined, forged), head('GET /maybe', undefined, forged), head('GET /trial/x', 'expired', forged)]) {
      t.same(seen(judge(request), 'x-user-id'), [], `${spelling} on ${request.target}`)
      t.same(seen(judge(request), 'x-user-roles'), [])
    }
    t.same(seen(judge(head('GET /any/x', 'bob', forged)), 'x-user-id'), ['bob'])
    t.same(seen(judge(head('GET /any/x', 'bob', forged)), 'x-user-roles'), ['user,dev'])
  }
  const counting = sidecar()
  judge(head('GET /public/x', undefined, ['X_User_Id', 'admin']), counting)
  judge(head('GET /public/x'), counting)
  t.equal(counting.forged(), 1, 'and is counted')
})

t.test('H7: Connection cannot remove what is ours', async (t) => {
  const verdict = judge(head('GET /any/x', 'bob', ['Connection', 'close, X-User-Id, X-Other', 'X-Other', '1']))
  t.same(seen(verdict, 'x-user-id'), ['bob'])
  t.same(seen(verdict, 'x-other'), [])
  t.same(seen(verdict, 'connection'), [])
})

t.test('H14, H9: identity is removed from responses and trailers, in any spelling', async (t) => {
  const { dropsResponseHeader, dropsTrailer } = forwarded(judge(head('GET /any/x', 'bob')))
  for (const spelling of SPELLINGS) {
    t.ok(dropsResponseHeader(spelling), spelling)
    t.ok(dropsTrailer(spelling), spelling)
  }
  for (const name of ['Authorization', 'Content-Length', 'Transfer-Encoding', 'Host', 'X-Forwarded-For', 'Connection', 'X-Auth-Token', 'x_auth_token']) t.ok(dropsTrailer(name), name)
  t.notOk(dropsResponseHeader('Content-Type'))
  t.notOk(dropsTrailer('X-Checksum'))
})

t.test('the token is removed before the app, everywhere, unless it is to be forwarded', async (t) => {
  for (const request of [head('GET /any/x', 'bob'), head('GET /public/x', 'expired'), head('GET /trial/x', 'bob')]) t.same(seen(judge(request), 'authorization'), [], request.target)
  const keeping = sidecar({ identity: { forwardToken: true } })
  t.same(seen(judge(head('GET /any/x', 'bob'), keeping), 'authorization'), ['Bearer bob'])
})

t.test('H15: the app learns the real peer', async (t) => {
  const verdict = judge(head('GET /any/x', 'bob', ['X-Forwarded-For', '127.0.0.1', 'X-Original-URL', '/admin', 'X-Real-IP', '::1']))
  t.same(seen(verdict, 'x-forwarded-for'), ['10.1.2.3'])
  t.same(seen(verdict, 'x-original-url'), [])
  t.same(seen(verdict, 'x-real-ip'), [])
})

t.test('upgrades: allowed ones pass on after authorisation, others are dropped', async (t) => {
  const websocket = ['Connection', 'keep-alive, Upgrade', 'Upgrade', 'WebSocket']
  t.equal(forwarded(judge(head('GET /any/x', 'bob', websocket))).upgrade, 'websocket')
  t.equal(refused(judge(head('GET /any/x', undefined, websocket))).status, 401, 'A6')
  t.equal(forwarded(judge(head('GET /any/x', 'bob', ['Connection', 'Upgrade, HTTP2-Settings', 'Upgrade', 'h2c', 'HTTP2-Settings', 'AAMAAABkAAQAAP__']))).upgrade, undefined, 'S7')
  t.equal(forwarded(judge(head('GET /any/x', 'bob', websocket, { version: '1.0' }))).upgrade, undefined, 'HTTP/1.0 has no upgrades')
  t.equal(forwarded(judge(head('GET /any/x', 'bob', [...websocket, 'Content-Length', '0']))).upgrade, 'websocket')
})

t.test('audit mode forwards what it would deny, says so, and sends no identity of a bad token', async (t) => {
  const auditing = sidecar({ mode: 'audit' })
  const cases: [RequestHead, Reason, string[]][] = [
    [head('GET /any/x'), 'token_missing', []],
    [head('GET /any/x', 'forged'), 'signature_invalid', []],
    [head('GET /any/x', 'evil'), 'identity_unencodable', []],
    [head('GET /elsewhere', 'admin'), 'no_rule', []],
    [head('GET /admin', 'bob'), 'role_missing', ['bob']],
  ]
  for (const [request, reason, identity] of cases) {
    const verdict = judge(request, auditing)
    t.match(verdict, { kind: 'forward', decision: { ruling: 'audit', reason } }, reason)
    t.same(seen(verdict, 'x-user-id'), identity, `${reason}: only a verified token names anyone`)
    t.same(seen(verdict, 'x-forwarded-for'), ['10.1.2.3'])
  }
  t.match(judge(head('GET /any/x', 'bob'), auditing), { decision: { ruling: 'allow', reason: 'allowed' } })
})

t.test('audit mode of one rule leaves the others enforcing, and the reverse', async (t) => {
  t.match(judge(head('GET /trial/x', 'bob')), { kind: 'forward', decision: { ruling: 'audit', reason: 'role_missing', rule: 'trial' } })
  t.match(judge(head('GET /admin', 'bob')), { kind: 'reply', decision: { ruling: 'deny' } })
  const strictRule = sidecar({ mode: 'audit', rules: [{ match: { path: '/s' }, require: {}, mode: 'enforce' }, { match: { path: '/**' }, require: {} }] })
  t.match(judge(head('GET /s'), strictRule), { kind: 'reply', status: 401 })
  t.match(judge(head('GET /t'), strictRule), { kind: 'forward', decision: { ruling: 'audit' } })
})

t.test('a token whose answer takes time is awaited, and judged the same', async (t) => {
  for (const token of ['bob', 'expired', 'evil']) {
    const verdict = standard.decide(head('GET /any/x', `later-${token}`))
    t.type(verdict, Promise)
    t.same(strip(await verdict), strip(judge(head('GET /any/x', token))), token)
  }
  function strip(verdict: Decided) {
    return { ...verdict, dropsTrailer: 0, dropsResponseHeader: 0 }
  }
})

t.test('streams are watched where the rule says so and a token is there', async (t) => {
  t.equal(forwarded(judge(head('GET /live', 'bob'))).watched, true)
  t.equal(forwarded(judge(head('GET /any/x', 'bob'))).watched, false)
  t.equal(forwarded(judge(head('GET /live', 'bob'), sidecar({ mode: 'audit' }))).watched, false, 'on trial nothing is cut off')
})

t.test('without rules every path needs a token', async (t) => {
  const bare = sidecar({ rules: undefined })
  t.match(judge(head('GET /x'), bare), { status: 401 })
  t.match(judge(head('GET /x', 'bob'), bare), { kind: 'forward' })
})
