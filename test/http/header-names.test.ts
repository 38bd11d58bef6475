import * as fc from 'fast-check'
import t from 'tap'
import { compileNames, fold, valuesOf } from '../../src/http/header-names.ts'
import { FOLDINGS, SEPARATORS } from '../helpers/folding.ts'
import { holds } from '../helpers/property.ts'

const PROTECTED = ['X-User-Id', 'X-User-Roles', 'X-Tenant-Id', 'X_Under', 'Plain', 'X9-A1']
const isProtected = compileNames(PROTECTED)

/** Any header name, and names that are near the protected ones. */
const token = fc.string({ unit: fc.constantFrom(...'abXYZ019'.split(''), ...SEPARATORS), minLength: 1, maxLength: 14 })
const respelt = fc.tuple(fc.constantFrom(...PROTECTED), fc.array(fc.constantFrom(...SEPARATORS), { minLength: 4, maxLength: 4 }), fc.array(fc.boolean(), { minLength: 20, maxLength: 20 }))
  .map(([name, separators, upper]) => name.replaceAll(/[^A-Za-z0-9]/g, () => separators.pop() ?? '-').replaceAll(/[A-Za-z]/g, (letter, at: number) => upper[at] ? letter.toUpperCase() : letter.toLowerCase()))
const anyName = fc.oneof(token, respelt)

t.test('names are folded by case and separator, length kept', (t) => {
  t.equal(fold('X_User.ID'), 'x-user-id')
  t.equal(fold('a~b`c'), 'a-b-c')
  t.ok(isProtected('x`USER~id'))
  for (const other of ['X-User-Ids', 'XUserId', 'X--User-Id', 'X-User-Id-', '-X-User-Id', 'X-User-Ie', '', 'P', 'Plai-']) t.notOk(isProtected(other), other)
  t.end()
})

t.test('an empty set holds nothing, not even what every object has', (t) => {
  const none = compileNames([])
  for (const name of ['', '__proto__', 'constructor', 'length']) t.notOk(none(name))
  t.end()
})

t.test('a name beyond Latin-1 does not crash and folds to separators', (t) => {
  t.ok(isProtected('X\u2010User\u2010Id'))
  t.notOk(isProtected('X-U\u017fer-Id'), 'a letter that lower-cases to ASCII is not that letter on the wire')
  t.end()
})

t.test('properties', (t) => {
  for (const [framework, key] of Object.entries(FOLDINGS)) {
    holds(t, `what ${framework} reads as a protected header is protected`, anyName, (name) => isProtected(name) || !PROTECTED.some((known) => key(known) === key(name)), 500)
  }
  holds(t, 'the compiled set is equality of folded names', anyName, (name) => isProtected(name) === PROTECTED.some((known) => fold(known) === fold(name)), 1000)
  holds(t, 'a spelling of a protected name is always protected', respelt, isProtected)
  t.end()
})

t.test('values come in wire order, whatever the case of the name', (t) => {
  t.strictSame(valuesOf(['A', '1', 'b', '2', 'a', '3', 'AA', '4'], 'a'), ['1', '3'])
  t.strictSame(valuesOf(['X', 'a'], 'a'), [], 'a value is no name')
  t.end()
})
