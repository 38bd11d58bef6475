import * as fc from 'fast-check'
import t from 'tap'
import { compileIdentity, MAX_VALUE_BYTES, type Identity } from '../../src/auth/identity.ts'
import { makeConfig, makePrincipal } from '../helpers/config.ts'
import { FOLDINGS, SEPARATORS } from '../helpers/folding.ts'
import { codeUnit, holds } from '../helpers/property.ts'

const compiled = new Map<string, Identity>()

/** The identity part of a configuration, compiled once for all that ask for the same. */
function identity(headers: object, more: object = {}): Identity {
  const key = JSON.stringify([headers, more])
  const known = compiled.get(key) ?? compileIdentity(makeConfig({ identity: { headers, ...more } }).identity)
  compiled.set(key, known)
  return known
}

/** The value that a claim becomes; undefined when no header is sent; the reason when it is refused. */
function encoded(encoding: string, value: unknown, more: object = {}) {
  const out: string[] = []
  const denial = identity({ 'X-Claim': { claim: 'claim', encoding, ...more } }).write(makePrincipal({ claim: value }), out)
  if (denial) return { refused: denial.denied, out }
  return out.length === 0 ? undefined : out.length === 2 && out[0] === 'X-Claim' ? out[1] : out
}

const REFUSED = { refused: 'identity_unencodable', out: [] }

t.test('plain: one text, number or boolean', (t) => {
  for (const [value, header] of [['bob', 'bob'], ['a b', 'a b'], ['~!@#$%^&*(),;"\\', '~!@#$%^&*(),;"\\'], [5, '5'], [-1.5, '-1.5'], [true, 'true'], [false, 'false'], [0, '0']]) t.equal(encoded('plain', value), header)
  for (const value of ['', null, undefined]) t.equal(encoded('plain', value), undefined, 'nothing to say')
  for (const value of ['a\rb', 'a\nb', 'a\r\nX-User-Roles: admin', 'a\x00', 'a\tb', 'a\x7f', 'é', 'ⅰ\u010d', '\u{1f600}', ' a', 'a ', ' ', ['a'], [], {}, { a: 1 }]) t.strictSame(encoded('plain', value), REFUSED, JSON.stringify(value))
  t.end()
})

t.test('csv: a list, or text as a space-separated list', (t) => {
  for (const [value, header] of [[['a', 'b c', 5, true], 'a,b c,5,true'], ['a  b c', 'a,b,c'], ['one', 'one'], [7, '7'], [['CORP\\admins'], 'CORP\\admins']]) t.equal(encoded('csv', value), header)
  for (const value of [[], '', ' ', null]) t.equal(encoded('csv', value), undefined, 'nothing to say')
  for (const value of [['user,admin'], 'user,admin', ['a', ''], ['a', null], ['a', ['b']], [{}], ['"a', 'b"'], ['a '], ['a\nb'], ['é'], {}]) t.strictSame(encoded('csv', value), REFUSED, JSON.stringify(value))
  t.end()
})

t.test('json: ASCII, whatever is in it', (t) => {
  t.equal(encoded('json', { a: ['é', '\u{1f600}', '\x7f', '\r\n"'] }), String.raw`{"a":["\u00e9","\ud83d\ude00","\u007f","\r\n\""]}`)
  t.equal(encoded('json', ''), '""')
  t.equal(encoded('json', []), '[]')
  t.equal(encoded('json', false), 'false')
  t.equal(encoded('json', null), undefined)
  t.end()
})

t.test('an integer beyond 2^53 is refused, wherever it stands: JSON.parse made another of it', (t) => {
  const far = Number('1234567890123456789')
  for (const encoding of ['plain', 'csv', 'json', 'base64url'] as const) t.strictSame(encoded(encoding, far), REFUSED, encoding)
  t.strictSame(encoded('csv', ['a', far]), REFUSED)
  t.strictSame(encoded('json', { a: [{ b: far }] }), REFUSED)
  t.strictSame(encoded('plain', Infinity), REFUSED)
  t.equal(encoded('plain', 2 ** 53 - 1), '9007199254740991')
  t.equal(encoded('plain', 0.5), '0.5')
  t.end()
})

t.test('base64url of the JSON in UTF-8, unpadded', (t) => {
  t.equal(encoded('base64url', { n: 'Zoë' }), Buffer.from('{"n":"Zoë"}').toString('base64url'))
  t.equal(encoded('base64url', undefined), undefined)
  t.end()
})

t.test('a required claim must be there and not be empty', (t) => {
  for (const value of [undefined, null, '']) t.strictSame(encoded('plain', value, { required: true }), { refused: 'claim_invalid', out: [] })
  t.strictSame(encoded('csv', [], { required: true }), { refused: 'claim_invalid', out: [] })
  t.equal(encoded('plain', 0, { required: true }), '0')
  for (const encoding of ['json', 'base64url']) for (const value of [undefined, null]) t.strictSame(encoded(encoding, value, { required: true }), { refused: 'claim_invalid', out: [] })
  for (const [encoding, text, list] of [['json', '""', '[]'], ['base64url', 'IiI', 'W10']] as const) {
    t.strictSame([encoded(encoding, '', { required: true }), encoded(encoding, [], { required: true })], [text, list], `${encoding} says also what is empty, as docs/configuration.md has it`)
  }
  t.end()
})

t.test('a value too long for a header is refused', (t) => {
  t.equal(encoded('plain', 'x'.repeat(MAX_VALUE_BYTES)), 'x'.repeat(MAX_VALUE_BYTES))
  t.strictSame(encoded('plain', 'x'.repeat(MAX_VALUE_BYTES + 1)), REFUSED)
  t.end()
})

t.test('nothing is written when anything is refused, and the answer is the same the second time', (t) => {
  const both = identity({ 'X-User-Id': { claim: 'sub' }, 'X-User-Name': { claim: 'name' } })
  const principal = makePrincipal({ sub: 'bob', name: 'Zoë' })
  const out = ['Host', 'a']
  for (let i = 0; i < 2; i++) t.strictSame(both.write(principal, out), { denied: 'identity_unencodable', detail: 'claim name as plain' })
  t.strictSame(out, ['Host', 'a'])
  const good = makePrincipal({ sub: 'bob', name: 'Zoe' })
  for (let i = 0; i < 2; i++) t.equal(both.write(good, out), undefined)
  t.strictSame(out, ['Host', 'a', 'X-User-Id', 'bob', 'X-User-Name', 'Zoe', 'X-User-Id', 'bob', 'X-User-Name', 'Zoe'])
  t.end()
})

t.test('nested, URL-named and listed claims', (t) => {
  const out: string[] = []
  identity({ 'X-A': { claim: 'realm_access.roles', encoding: 'csv' }, 'X-B': { claim: 'https://corp.example/t' }, 'X-C': { claim: ['a', 'b.c'] } })
    .write(makePrincipal({ 'realm_access': { roles: ['x', 'y'] }, 'https://corp.example/t': 't', 'a': { 'b.c': 1 } }), out)
  t.strictSame(out, ['X-A', 'x,y', 'X-B', 't', 'X-C', '1'])
  t.end()
})

t.test('identity headers and alsoStrip are protected both ways, in every spelling', (t) => {
  const { protects, dropsResponseHeader } = identity({ 'X-User-Id': { claim: 'sub' } }, { alsoStrip: ['X-Debug_User'] })
  for (const name of ['x-user-id', 'X_User_Id', 'X.USER.ID', 'x~user`id', 'x-debug-user']) {
    t.ok(protects(name), name)
    t.ok(dropsResponseHeader(name), name)
  }
  t.notOk(protects('X-User-Ids'))
  t.ok(compileIdentity(makeConfig().identity).protects('X-User-Id'), 'the default is X-User-Id from sub')
  t.end()
})

t.test('properties', (t) => {
  const json = fc.jsonValue({ maxDepth: 4 }).filter((value) => value !== null)
  const text = fc.oneof(fc.string({ unit: codeUnit }), fc.string(), fc.constantFrom('a\r\nb', 'a,b', '"a"', 'user,admin', ' x'))
  const claim = fc.oneof(json, text, fc.array(text, { maxLength: 5 }), fc.double(), fc.boolean())
  const encoding = fc.constantFrom('plain', 'csv', 'json', 'base64url')
  holds(t, 'no claim becomes anything but one line of printable ASCII that HTTP does not trim', fc.tuple(encoding, claim), ([encoding, claim]) => {
    const header = encoded(encoding, claim)
    return header === undefined || typeof header === 'object' || /^[!-~](?:[ -~]*[!-~])?$/.test(header)
  }, 2000)
  holds(t, 'csv: as many elements arrive as were sent, and they are the same', fc.array(text, { minLength: 1, maxLength: 5 }), (roles) => {
    const header = encoded('csv', roles)
    return typeof header !== 'string' || JSON.stringify(header.split(',')) === JSON.stringify(roles)
  }, 1000)
  holds(t, 'plain text arrives as it was or not at all', text, (value) => {
    const header = encoded('plain', value)
    return typeof header === 'string' ? header === value : value === '' || typeof header === 'object'
  }, 1000)
  holds(t, 'json and base64url arrive as they were', json, (value) => {
    const [json, base64] = [encoded('json', value), encoded('base64url', value)]
    const back = [typeof json === 'string' ? JSON.parse(json) as unknown : value, typeof base64 === 'string' ? JSON.parse(Buffer.from(base64, 'base64url').toString()) as unknown : value]
    return back.every((one) => JSON.stringify(one) === JSON.stringify(value))
  }, 2000)
  const name = fc.string({ unit: fc.constantFrom('x', 'X', 'u', 'U', '-', ...SEPARATORS), minLength: 3, maxLength: 3 })
  const { protects } = identity({ 'X-U': { claim: 'sub' } })
  for (const [framework, key] of Object.entries(FOLDINGS)) {
    holds(t, `a client cannot send what ${framework} reads as our header`, name, (name) => protects(name) || key(name) !== key('X-U'), 300)
  }
  t.end()
})
