/** What a rule says that applies beside the one that matches; headers that may be there once; tenants that are none. */
import t from 'tap'
import type { RequirementConfig } from '../../src/config/schema.ts'
import { authorise, compileRequirements } from '../../src/policy/require.ts'
import { compileRules } from '../../src/policy/rules.ts'
import type { CompiledRule } from '../../src/policy/types.ts'
import { makeConfig, makePrincipal } from '../helpers/config.ts'

t.test('a rule that applies beside the one that matches brings its closeOnExpiry and its scopes', (t) => {
  const rules = compileRules(makeConfig({ rules: [{ match: { path: '/feed' }, require: { scopes: ['feed'] }, closeOnExpiry: true }, { match: { path: '/**' }, require: { scopes: ['read'] } }] }))
  t.match(rules.match({ method: 'GET', path: '/feed/', host: 'app', headers: [] }), { closeOnExpiry: true, scope: 'read feed' })
  t.end()
})

t.test('a preflight names one method', (t) => {
  const rules = compileRules(makeConfig({ rules: [{ name: 'cors', match: { preflight: true }, allow: 'anonymous' }, { name: 'rest', match: {} }] }))
  const headers = ['Origin', 'https://a', 'Access-Control-Request-Method', 'GET', 'Access-Control-Request-Method', 'PUT']
  t.match(rules.match({ method: 'OPTIONS', path: '/', host: 'app', headers }), { name: 'rest' })
  t.end()
})

t.test('tenant: an empty one is none, and a rule that says nowhere where it is lets nobody pass', (t) => {
  const verdict = (tenant: NonNullable<RequirementConfig['tenant']>, headers: string[]) => authorise({ requirements: compileRequirements({ tenant }) } as CompiledRule, makePrincipal({ t: '' }), { method: 'GET', path: '/', host: 'app', headers })?.denied
  t.equal(verdict({ claim: 't', header: 'X-Tenant' }, ['X-Tenant', '']), 'tenant_mismatch')
  t.equal(verdict({ claim: 't' }, []), 'tenant_mismatch')
  t.end()
})
