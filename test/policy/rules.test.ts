import * as fc from 'fast-check'
import t from 'tap'
import { authorise } from '../../src/policy/require.ts'
import { Bucket } from '../../src/policy/bucket.ts'
import { compileRules } from '../../src/policy/rules.ts'
import type { PolicyRequest } from '../../src/policy/types.ts'
import { isDenial } from '../../src/telemetry/reason.ts'
import { makeConfig, makePrincipal } from '../helpers/config.ts'
import { holds } from '../helpers/property.ts'
import { rulesFor, type ReferenceRule } from '../helpers/reference-matcher.ts'

const request = (path: string, more: Partial<PolicyRequest> = {}): PolicyRequest => ({ method: 'GET', path, host: 'app', headers: [], ...more })

/** A function of a request: the matching rule's name and access, or the reason why there is none. */
function matcher(rules: readonly unknown[] | undefined, more: object = {}) {
  const compiled = compileRules(makeConfig({ ...rules === undefined ? {} : { rules }, ...more }))
  return (path: string, options: Partial<PolicyRequest> = {}) => {
    const rule = compiled.match(request(path, options))
    return isDenial(rule) ? rule.denied : `${rule.name} ${rule.access}`
  }
}

t.test('first match wins, no match is a denial', (t) => {
  const match = matcher([
    { name: 'health', match: { path: '/healthz' }, allow: 'anonymous' },
    { name: 'public', match: { path: ['/public/**', '/static/*'] }, allow: 'optional' },
    { name: 'admin', match: { path: '/admin/**' }, require: { roles: ['admin'] } },
    { name: 'users', match: { path: '/users/*/orders' }, require: {} },
  ])
  t.equal(match('/healthz'), 'health anonymous')
  for (const path of ['/public', '/public/', '/public/a/b', '/static/a', '/static/b']) t.equal(match(path), 'public optional', path)
  for (const path of ['/admin', '/admin/', '/admin/x', '/admin/x/']) t.equal(match(path), 'admin token', path)
  t.equal(match('/users/1/orders'), 'users token')
  for (const path of ['/', '/healthz/', '/healthzz', '/Healthz', '/publicX', '/administrator', '/static', '/static/', '/static/a/b', '/users//orders', '/users/1/orders/2', '/users/orders']) t.equal(match(path), 'no_rule', path)
  t.end()
})

t.test('no rules at all, or an empty list: every path needs a token', (t) => {
  for (const rules of [undefined, []]) for (const path of ['/', '/a', '/a/b/']) t.equal(matcher(rules)(path), 'default token', path)
  t.end()
})

t.test('a rule without allow and require needs a token, and a rule without path is for all', (t) => {
  t.equal(matcher([{ name: 'bare', match: {} }])('/x'), 'bare token')
  t.equal(matcher([{ match: { path: ['/a', '/b'] } }])('/b'), '0:/a,/b token', 'its name by default')
  t.end()
})

t.test('methods: in upper case, and GET stands for HEAD', (t) => {
  const match = matcher([{ name: 'write', match: { path: '/**', methods: ['POST', 'PUT'] } }, { name: 'read', match: { path: '/**', methods: ['GET'] }, allow: 'anonymous' }])
  for (const method of ['POST', 'PUT', 'post', 'Put']) t.equal(match('/', { method }), 'write token', method)
  for (const method of ['GET', 'HEAD', 'head']) t.equal(match('/', { method }), 'read anonymous', method)
  for (const method of ['DELETE', 'OPTIONS', 'POSTS', 'constructor']) t.equal(match('/', { method }), 'no_rule', method)
  t.end()
})

t.test('hosts', (t) => {
  const match = matcher([{ name: 'api', match: { hosts: ['api.example', '*.tenants.example'] } }])
  for (const host of ['api.example', 'a.tenants.example']) t.equal(match('/', { host }), 'api token', host)
  for (const host of ['', 'example', 'x.api.example', 'tenants.example', 'a.b.tenants.example']) t.equal(match('/', { host }), 'no_rule', host)
  t.end()
})

t.test('a preflight is OPTIONS with one Origin and one Access-Control-Request-Method', (t) => {
  const match = matcher([{ name: 'cors', match: { preflight: true }, allow: 'anonymous' }, { name: 'rest', match: {} }])
  const headers = ['Origin', 'https://a', 'Access-Control-Request-Method', 'PUT']
  t.equal(match('/', { method: 'OPTIONS', headers }), 'cors anonymous')
  t.equal(match('/', { method: 'options', headers }), 'rest token')
  t.equal(match('/', { method: 'GET', headers }), 'rest token')
  t.equal(match('/', { method: 'OPTIONS', headers: headers.slice(2) }), 'rest token')
  t.equal(match('/', { method: 'OPTIONS', headers: headers.slice(0, 2) }), 'rest token')
  t.equal(match('/', { method: 'OPTIONS', headers: [...headers, 'Origin', 'https://b'] }), 'rest token')
  t.end()
})

t.test('case is folded only where asked for', (t) => {
  const rules = [{ name: 'admin', match: { path: '/Admin/É/**' }, require: { roles: ['a'] } }]
  t.equal(matcher(rules)('/admin/é'), 'no_rule')
  const match = matcher(rules, { paths: { caseSensitive: false } })
  for (const path of ['/admin/é', '/ADMIN/É/x', '/Admin/é/']) t.equal(match(path), 'admin token', path)
  t.equal(match('/\u017fecret'), 'ambiguous_path', 'a long s is an s to an app that folds')
  t.end()
})

t.test('a trailing slash cannot avoid a rule, nor open a path', (t) => {
  const match = matcher([
    { name: 'health', match: { path: '/healthz' }, allow: 'anonymous' },
    { name: 'admin', match: { path: '/admin' }, require: { roles: ['admin'] } },
    { name: 'django', match: { path: '/django/' }, require: { roles: ['admin'] } },
    { name: 'rest', match: { path: '/**' }, allow: 'optional' },
    { name: 'late', match: { path: '/late' }, require: { roles: ['admin'] } },
  ])
  t.equal(match('/healthz/'), 'rest optional', 'the stricter of both')
  t.equal(match('/admin/'), 'rest token', 'admin applies as well')
  t.equal(match('/django'), 'rest token')
  t.equal(match('/late/'), 'rest optional', 'a rule after the one that matches never applies')
  const rules = compileRules(makeConfig({ rules: [{ match: { path: '/admin' }, require: { roles: ['admin'] } }, { match: { path: '/**' }, require: { scopes: ['read'] } }] }))
  const rule = rules.match(request('/admin/'))
  if (isDenial(rule)) throw new Error('no rule')
  t.strictSame(authorise(rule, makePrincipal({ scope: 'read' }), request('/admin/')), { denied: 'role_missing', detail: 'roles lacks admin' })
  t.strictSame(authorise(rule, makePrincipal({ roles: ['admin'] }), request('/admin/')), { denied: 'scope_insufficient', detail: 'lacks read' })
  t.equal(authorise(rule, makePrincipal({ roles: ['admin'], scope: 'read' }), request('/admin/')), undefined)
  t.end()
})

t.test('an extension cannot avoid a rule, where the app takes it for a format', (t) => {
  const rules = [
    { name: 'admin', match: { path: '/admin/**' }, require: { roles: ['admin'] } },
    { name: 'report', match: { path: '/report' }, require: { roles: ['auditor'] } },
    { name: 'root', match: { path: '/' }, require: { roles: ['admin'] } },
    { name: 'rest', match: { path: '/**' }, allow: 'anonymous' },
  ]
  const [plain, folded] = [matcher(rules), matcher(rules, { paths: { ignoreExtension: true } })]
  for (const path of ['/admin.json', '/admin.json/', '/admin.x', '/admin.', '/report.xml', '/report.xml/']) {
    t.equal(plain(path), 'rest anonymous', `${path} is another path`)
    t.equal(folded(path), 'rest token', `${path} is the same resource`)
  }
  for (const path of ['/administration.json', '/a/admin.json', '/report.tar.gz', '/.json', '/x.json', '/.well-known/admin']) t.equal(folded(path), 'rest anonymous', path)
  t.equal(folded('/admin/x.json'), 'admin token')
  t.end()
})

t.test('the mode is the rule\'s, else the sidecar\'s; of two rules the stricter', (t) => {
  const mode = (rules: readonly object[], sidecar: string, path: string) => {
    const rule = compileRules(makeConfig({ mode: sidecar, rules })).match(request(path))
    return isDenial(rule) ? rule.denied : rule.mode
  }
  t.equal(mode([{ match: {} }], 'audit', '/'), 'audit')
  t.equal(mode([{ match: {}, mode: 'enforce' }], 'audit', '/'), 'enforce')
  t.equal(mode([{ match: {}, mode: 'audit' }], 'enforce', '/'), 'audit')
  const two = [{ match: { path: '/a' } }, { match: {}, mode: 'audit' }]
  t.equal(mode(two, 'enforce', '/a/'), 'enforce')
  t.equal(mode(two, 'audit', '/a/'), 'audit')
  t.end()
})

t.test('properties: the tree against a slow matcher', (t) => {
  const segments = fc.array(fc.constantFrom('a', 'b', 'c', '*'), { maxLength: 3 })
  const pattern = fc.tuple(segments, fc.constantFrom('', '/', '/**')).map(([parts, end]) => parts.length === 0 ? `/${end.slice(1)}` : `/${parts.join('/')}${end}`)
  const option = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 3 })
  const rule: fc.Arbitrary<ReferenceRule> = fc.record({
    paths: fc.array(pattern, { minLength: 1, maxLength: 2 }),
    methods: option(fc.subarray(['GET', 'POST', 'OPTIONS'], { minLength: 1 })),
    hosts: option(fc.subarray(['x.y', '*.y', 'z'], { minLength: 1 })),
    preflight: fc.constantFrom<true | undefined>(undefined, undefined, undefined, true),
  })
  const path = fc.tuple(fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 4 }), fc.constantFrom('', '/')).map(([parts, end]) => parts.length === 0 ? '/' : `/${parts.join('/')}${end}`)
  const query = fc.record({
    path, method: fc.constantFrom('GET', 'HEAD', 'POST', 'OPTIONS', 'DELETE', 'get'), host: fc.constantFrom('x.y', 'w.y', 'z', 'a.x.y'),
    headers: fc.constantFrom([], ['Origin', 'o'], ['Origin', 'o', 'Access-Control-Request-Method', 'GET']),
  })
  const everything = fc.tuple(fc.array(rule, { maxLength: 8 }), fc.array(query, { minLength: 1, maxLength: 10 }))
  holds(t, 'the same rules apply', everything, ([rules, queries]) => {
    const config = rules.map(({ paths, ...conditions }, i) => ({ name: String(i), match: { path: [...paths], ...conditions }, ...conditions.preflight ? {} : { require: { scopes: [`r${i}`] } } }))
    // Empty conditions are left out, as in a file. Methods that no preflight has are no configuration.
    const clean = JSON.parse(JSON.stringify(config.map((one) => one.match.preflight ? { ...one, match: { ...one.match, methods: undefined } } : one))) as unknown[]
    if (clean.length === 0) return true
    const reference = rules.map((one) => one.preflight ? { ...one, methods: undefined } : one)
    const compiled = compileRules(makeConfig({ rules: clean }))
    return queries.every((query) => {
      const expected = rulesFor(reference, query)
      const found = compiled.match(query)
      if (isDenial(found)) return expected.length === 0
      const needed = expected.filter((i) => !rules[i]!.preflight)
      const lacksEach = needed.every((i) => authorise(found, makePrincipal({ scp: needed.filter((j) => j !== i).map((j) => `r${j}`) }), query) !== undefined)
      const hasAll = authorise(found, makePrincipal({ scp: needed.map((i) => `r${i}`) }), query) === undefined
      return found.name === String(expected[0]) && lacksEach && hasAll
    })
  }, 700)
  t.end()
})

t.test('a thousand rules are one lookup: only candidates are asked', (t) => {
  const rules = Array.from({ length: 1000 }, (_, i) => ({ name: `r${i}`, match: { path: `/service-${i}/**` } }))
  const match = matcher(rules)
  t.equal(match('/service-999/x'), 'r999 token')
  t.equal(match('/service-0'), 'r0 token')
  t.equal(match('/service-1000'), 'no_rule')
  t.end()
})

t.test('a thousand hosts for one path are one lookup: only the host\'s own candidates are asked', (t) => {
  const asked: number[] = []
  const bucket = new Bucket<number>()
  for (let order = 0; order < 1000; order++) bucket.add({ order, value: order }, [`service-${order}.example.com`])
  bucket.add({ order: 1000, value: 1000 }, ['*.example.com'])
  bucket.add({ order: 1001, value: 1001 }, undefined)
  const find = (host: string, fits = true): number | undefined => bucket.earliest(host, (value) => { asked.push(value); return fits }, undefined)?.value
  t.equal(find('service-999.example.com'), 999)
  t.equal(find('other.example.com'), 1000)
  t.equal(find('example.com'), 1001)
  t.equal(find('service-7.example.com', false), undefined)
  t.ok(asked.length <= 10, `${asked.length} were asked`)
  t.end()
})
