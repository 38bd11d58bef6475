/** Audit mode end to end: nothing is denied, nothing is hidden, and no bad token gives anyone a name. */
import { stage } from '../helpers/stage.ts'
import { until } from '../helpers/sidecar.ts'
import t from 'tap'

t.setTimeout(120_000)

const RULES = [
  { name: 'open', match: { path: '/open' }, allow: 'anonymous' },
  { name: 'trial', match: { path: '/trial/**' }, require: { roles: ['admin'] }, mode: 'audit' },
  { name: 'rest', match: { path: '/rest/**' }, require: {} },
]

t.test('audit: what would have been denied reaches the app without identity, counted and logged with its reason', async (t) => {
  const { ask, app, issuer, lines, metric } = await stage(t, { mode: 'audit', rules: RULES })
  const forged = ['X-User-Id: admin', 'X_User_Id: admin', 'X.User.Id: admin']
  const expired = await issuer.sign({ sub: 'bob', exp: Math.floor(Date.now() / 1000) - 3600 })
  const wrong = await issuer.sign({ sub: 'bob', aud: 'elsewhere' })
  const cases: [string, string | undefined, string, string][] = [
    ['GET /rest/1', undefined, 'token_missing', 'rest'],
    ['GET /rest/2', expired, 'token_expired', 'rest'],
    ['GET /rest/3', wrong, 'audience_mismatch', 'rest'],
    ['GET /rest/4', `${(await issuer.sign({ sub: 'bob' })).slice(0, -8)}AAAAAAAA`, 'signature_invalid', 'rest'],
    ['GET /nowhere', undefined, 'no_rule', '-'],
  ]
  for (const [line, token, reason, rule] of cases) {
    app.clear()
    t.equal((await ask(line, token, forged)).status, 200, line)
    t.equal(app.requests.length, 1)
    t.notMatch(app.requests[0]!.raw, /admin|user.id|authorization/i, `${line}: no identity, no token`)
    t.equal(metric(`sidegate_decisions_total{verdict="audit",reason="${reason}",rule="${rule}"}`), 1)
    await until(() => lines.some((entry) => entry.msg === 'request' && entry.verdict === 'audit' && entry.reason === reason && entry.rule === rule))
  }
  app.clear()
  await ask('GET /rest/good', await issuer.sign({ sub: 'bob' }), forged)
  t.same(app.requests[0]!.values('X-User-Id'), ['bob'], 'a good token names its subject as always')
  t.equal(metric('sidegate_decisions_total{verdict="allow",reason="allowed",rule="rest"}'), 1)
})

t.test('audit: a request with two readings is refused all the same', async (t) => {
  const { ask, app } = await stage(t, { mode: 'audit', rules: RULES })
  for (const line of ['GET /open/../rest/1', 'GET //rest/1', 'GET /rest/%2e%2e/1', 'TRACE /open']) t.ok((await ask(line)).status >= 400, line)
  t.match(await ask('GET /open', undefined, ['Connection: Content-Length']), { status: 400 })
  t.match(await ask('GET /open', undefined, ['Host: a', 'Host: b']), { status: 400 })
  t.match(await ask('POST /open', undefined, ['Content-Length: 3', 'Transfer-Encoding: chunked'], '0\r\n\r\n'), { status: 400 })
  t.equal(app.requests.length, 0)
})

t.test('audit: one rule on trial leaves the others enforcing', async (t) => {
  const { ask, app, issuer } = await stage(t, { rules: RULES })
  const bob = await issuer.sign({ sub: 'bob', roles: ['user'] })
  t.equal((await ask('GET /trial/x', bob)).status, 200)
  t.same(app.requests[0]!.values('X-User-Id'), ['bob'], 'the token is good, only the role is missing')
  t.equal((await ask('GET /trial/x')).status, 200)
  t.same(app.requests[1]!.values('X-User-Id'), [])
  t.equal((await ask('GET /rest/x')).status, 401)
  t.equal((await ask('GET /nowhere', bob)).status, 403)
})

t.test('audit to enforce is one reload, and back', async (t) => {
  const { ask, apply, issuers } = await stage(t, { mode: 'audit', rules: RULES })
  t.equal((await ask('GET /rest/x')).status, 200)
  t.same(await apply({ issuers, rules: RULES }), [])
  t.equal((await ask('GET /rest/x')).status, 401)
  t.same(await apply({ issuers, rules: RULES, mode: 'audit' }), [])
  t.equal((await ask('GET /rest/x')).status, 200)
})
