import * as fc from 'fast-check'
import t from 'tap'
import { claimName, compileClaim } from '../../src/policy/claims.ts'
import { makePrincipal } from '../helpers/config.ts'
import { holds } from '../helpers/property.ts'

const read = (path: string | readonly string[], claims: object) => compileClaim(path)(makePrincipal(claims).claims)

t.test('a claim by name, by dotted path, by list', (t) => {
  const claims = { 'sub': 'bob', 'https://corp.example/roles': ['a'], 'realm_access': { 'roles': ['b'], 'x.y': 1 }, 'a.b': 'exact', 'a': { b: 'nested' }, 'zero': 0, 'no': false, 'empty': '', 'nil': null }
  t.equal(read('sub', claims), 'bob')
  t.strictSame(read('https://corp.example/roles', claims), ['a'], 'URLs have dots')
  t.strictSame(read('realm_access.roles', claims), ['b'])
  t.equal(read('a.b', claims), 'exact', 'the exact name first')
  t.equal(read(['a', 'b'], claims), 'nested', 'a list is never one name')
  t.equal(read(['realm_access', 'x.y'], claims), 1)
  t.equal(read(['sub'], claims), 'bob')
  for (const [name, value] of [['zero', 0], ['no', false], ['empty', ''], ['nil', null]] as const) t.equal(read(name, claims), value)
  for (const path of ['missing', 'sub.x', 'realm_access.nope', 'realm_access.roles.x', '', '.', 'a.', ['missing', 'x']]) t.equal(read(path, claims), undefined, String(path))
  t.end()
})

t.test('T26 a path reaches what the token says and nothing else', (t) => {
  const claims = { sub: 'bob', list: ['x'], nested: {}, text: 'abc' }
  for (const path of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'list.length', 'list.0', 'list.constructor', 'text.length', 'text.0', 'nested.constructor', 'nested.__proto__.x', 'constructor.name', ['__proto__', 'admin'], ['nested', 'toString']]) {
    t.equal(read(path, claims), undefined, String(path))
  }
  const polluting = JSON.parse('{"__proto__":{"admin":true},"nested":{"__proto__":{"admin":true}}}') as object
  t.equal(read('admin', polluting), undefined)
  t.equal(read('nested.admin', polluting), undefined)
  t.equal(({} as Record<string, unknown>)['admin'], undefined, 'nothing was polluted')
  t.end()
})

t.test('names for people', (t) => {
  t.equal(claimName('a.b'), 'a.b')
  t.equal(claimName(['a', 'b']), 'a.b')
  t.end()
})

t.test('properties', (t) => {
  const names = fc.array(fc.constantFrom('a', 'b', 'c.d', '__proto__', 'constructor', 'length', '0'), { minLength: 1, maxLength: 3 })
  const json = fc.jsonValue({ maxDepth: 3 })
  holds(t, 'what is found by a list is what is there, whatever the names', fc.tuple(names, json), ([names, value]) => {
    const claims = names.reduceRight<unknown>((inner, name) => Object.fromEntries([[name, inner]]), value) as object
    return JSON.stringify(compileClaim(names)(claims as never)) === JSON.stringify(value)
  })
  const dotted = fc.oneof(fc.string(), fc.array(fc.constantFrom('claim', 'a', '0', 'length', '__proto__', 'toString'), { maxLength: 4 }).map((parts) => parts.join('.')))
  holds(t, 'no path and no claims crash it, and what is found is in the JSON of the claims', fc.tuple(dotted, fc.jsonValue()), ([path, value]) => {
    const found = read(path, { claim: value, a: { a: value } })
    return found === undefined || JSON.stringify({ claim: value, a: { a: value } }).includes(JSON.stringify(found))
  }, 2000)
  t.end()
})
