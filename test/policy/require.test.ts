import * as fc from 'fast-check'
import t from 'tap'
import { authorise, compileRequirements, hasWord } from '../../src/policy/require.ts'
import type { CompiledRule, PolicyRequest } from '../../src/policy/types.ts'
import type { RequirementConfig } from '../../src/config/schema.ts'
import { makeConfig, makePrincipal } from '../helpers/config.ts'
import { holds } from '../helpers/property.ts'

const REQUEST: PolicyRequest = { method: 'GET', path: '/', host: 'app', headers: [] }

/** The reason for which claims do not satisfy a `require`; undefined when they do. */
function verdict(require: RequirementConfig, claims: object, request: Partial<PolicyRequest> = {}, issuer = 'corp') {
  const rule = { requirements: compileRequirements(require) } as CompiledRule
  return authorise(rule, makePrincipal(claims, issuer), { ...REQUEST, ...request })?.denied
}

t.test('{} is satisfied by any valid token', (t) => {
  t.equal(verdict({}, {}), undefined)
  t.end()
})

t.test('scopes: from scope or scp, text or list; a list means all of them', (t) => {
  const need = { scopes: ['orders.read', 'orders.write'] }
  for (const claims of [{ scope: 'orders.write orders.read' }, { scope: 'x  orders.read\torders orders.read orders.write ' }, { scp: ['orders.read', 'orders.write'] }, { scp: 'orders.read orders.write' }, { scope: 'orders.read', scp: ['orders.write'] }, { scope: ['orders.read', 'orders.write'] }]) {
    t.equal(verdict(need, claims), undefined, JSON.stringify(claims))
  }
  for (const claims of [{}, { scope: 'orders.read' }, { scope: 'orders.readorders.write' }, { scope: 'ORDERS.READ ORDERS.WRITE' }, { scope: 'orders.read,orders.write' }, { scp: ['orders.read orders.write'] }, { scope: { 'orders.read': true } }, { scope: 1 }, { scope: null }, { scp: [['orders.read', 'orders.write']] }, { scopes: ['orders.read', 'orders.write'] }]) {
    t.equal(verdict(need, claims), 'scope_insufficient', JSON.stringify(claims))
  }
  t.equal(verdict({ scopes: { anyOf: ['a', 'b'] } }, { scope: 'b' }), undefined)
  t.equal(verdict({ scopes: { anyOf: ['a', 'b'] } }, { scope: 'c' }), 'scope_insufficient')
  t.equal(verdict({ scopes: { anyOf: ['a', 'b'], allOf: ['c'] } }, { scope: 'a' }), 'scope_insufficient')
  t.equal(verdict({ scopes: { anyOf: ['a', 'b'], allOf: ['c'] } }, { scope: 'a c' }), undefined)
  t.end()
})

t.test('a scope is a whole word: as splitting would have it', (t) => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', ' '), maxLength: 12 })
  const word = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 4 })
  holds(t, 'like split', fc.tuple(letters, word), ([text, one]) => hasWord(text, one) === text.split(' ').includes(one))
  t.end()
})

t.test('roles: elements of a list, or one text; never split', (t) => {
  t.equal(verdict({ roles: ['admin'] }, { roles: ['user', 'admin'] }), undefined)
  t.equal(verdict({ roles: ['admin'] }, { roles: 'admin' }), undefined)
  for (const roles of ['user admin', 'user,admin', ['user,admin'], ['Admin'], ['admin '], [['admin']], { admin: true }, true, null, []]) t.equal(verdict({ roles: ['admin'] }, { roles }), 'role_missing', JSON.stringify(roles))
  t.equal(verdict({ roles: { anyOf: ['a', 'b'] } }, { roles: ['b'] }), undefined)
  t.equal(verdict({ roles: { allOf: ['a', 'b'] } }, { roles: ['b'] }), 'role_missing')
  t.equal(verdict({ roles: { anyOf: ['a'], claim: 'realm_access.roles' } }, { realm_access: { roles: ['a'] } }), undefined)
  t.equal(verdict({ roles: { anyOf: ['a'], claim: ['realm_access', 'roles'] } }, { roles: ['a'] }), 'role_missing')
  t.end()
})

t.test('claims: equality without conversion; a list in the rule means any, a list in the token holds', (t) => {
  t.equal(verdict({ claims: { tenantId: 'acme', level: 3, vip: true } }, { tenantId: 'acme', level: 3, vip: true }), undefined)
  t.equal(verdict({ claims: { tenantId: ['acme', 'globex'] } }, { tenantId: 'globex' }), undefined)
  t.equal(verdict({ claims: { groups: 'a' } }, { groups: ['b', 'a'] }), undefined)
  t.equal(verdict({ claims: { 'org.id': 7 } }, { org: { id: 7 } }), undefined)
  for (const [claims, token] of [[{ a: 1 }, { a: '1' }], [{ a: '1' }, { a: 1 }], [{ a: true }, { a: 1 }], [{ a: 'x' }, {}], [{ a: 'x' }, { a: null }], [{ a: 'x' }, { a: { x: 1 } }], [{ a: 'x' }, { a: [['x']] }], [{ a: 'x' }, { a: 'X' }], [{ a: 'x', b: 'y' }, { a: 'x' }]] as const) {
    t.equal(verdict({ claims }, token), 'claim_mismatch', JSON.stringify([claims, token]))
  }
  t.end()
})

t.test('issuers, by name', (t) => {
  t.equal(verdict({ issuers: ['corp', 'partner'] }, {}, {}, 'partner'), undefined)
  t.equal(verdict({ issuers: ['corp'] }, { iss: 'corp' }, {}, 'partner'), 'issuer_refused')
  t.end()
})

t.test('tenant in a path segment', (t) => {
  const need = { tenant: { claim: 'tenantId', segment: 2 } }
  t.equal(verdict(need, { tenantId: 'acme' }, { path: '/t/acme/x' }), undefined)
  t.equal(verdict(need, { tenantId: 'acme' }, { path: '/t/acme' }), undefined)
  t.equal(verdict(need, { tenantId: ['x', 'acme'] }, { path: '/t/acme' }), undefined, 'one of several')
  t.equal(verdict(need, { tenantId: 'a b@c' }, { path: '/t/a b@c' }), undefined, 'compared decoded')
  for (const path of ['/t/globex', '/t/', '/t', '/acme', '/t/ACME', '/t/acme2', '/t/x/acme', '/']) t.equal(verdict(need, { tenantId: 'acme' }, { path }), 'tenant_mismatch', path)
  for (const tenantId of [undefined, null, '', 5, {}, []]) t.equal(verdict(need, { tenantId }, { path: '/t/' }), 'tenant_mismatch', 'an empty claim is no tenant')
  t.end()
})

t.test('tenant in the host', (t) => {
  const need = { tenant: { claim: 'tenantId', host: '*.example.com' } }
  t.equal(verdict(need, { tenantId: 'Acme' }, { host: 'acme.example.com' }), undefined, 'hosts have no case')
  for (const host of ['globex.example.com', 'example.com', 'x.acme.example.com', 'acme.example.org', '']) t.equal(verdict(need, { tenantId: 'acme' }, { host }), 'tenant_mismatch', host)
  t.end()
})

t.test('tenant in a header, which must come exactly once in whatever spelling', (t) => {
  const need = { tenant: { claim: 'tenantId', header: 'X-Tenant' } }
  t.equal(verdict(need, { tenantId: 'acme' }, { headers: ['x-tenant', 'acme'] }), undefined)
  for (const headers of [[], ['X-Tenant', 'globex'], ['X-Tenant', 'acme', 'X-Tenant', 'globex'], ['X-Tenant', 'acme', 'X_Tenant', 'globex'], ['X-Tenant', 'acme', 'x.tenant', 'acme'], ['X-Tenant', 'acme,globex'], ['X-Tenant', 'ACME'], ['X_Tenant', 'acme'], ['Accept', 'X-Tenant'], ['acme', 'X-Tenant']]) {
    t.equal(verdict(need, { tenantId: 'acme' }, { headers }), 'tenant_mismatch', headers.join(' '))
  }
  t.end()
})

t.test('everything must be satisfied; the first denial is told', (t) => {
  const need = { issuers: ['corp'], scopes: ['s'], roles: ['r'], claims: { c: 1 }, tenant: { claim: 't', segment: 1 } }
  const good = { scope: 's', roles: ['r'], c: 1, t: 'x' }
  t.equal(verdict(need, good, { path: '/x' }), undefined)
  t.equal(verdict(need, { ...good, scope: '' }, { path: '/x' }), 'scope_insufficient')
  t.equal(verdict(need, { ...good, roles: [] }, { path: '/x' }), 'role_missing')
  t.equal(verdict(need, { ...good, c: 2 }, { path: '/x' }), 'claim_mismatch')
  t.equal(verdict(need, good, { path: '/y' }), 'tenant_mismatch')
  t.equal(verdict(need, {}, {}, 'other'), 'issuer_refused')
  t.ok(makeConfig({ rules: [{ match: {}, require: need }] }), 'and it is a configuration')
  t.end()
})
