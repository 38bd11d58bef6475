import * as fc from 'fast-check'
import t from 'tap'
import { membersOf, membersWritten, parseJson } from '../../src/lib/json.ts'
import { holds } from '../helpers/property.ts'

/** The name in JSON with some of its characters escaped, as `choose` says. */
const spelt = (name: string, choose: () => boolean): string =>
  name.replaceAll(/[^]/g, (unit) => choose() || /["\\\p{Cc}]/u.test(unit) ? `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}` : unit)

t.test('what was parsed before has no say in the names of what is parsed now (nodejs/node#63785)', (t) => {
  for (let i = 0; i < 3; i++) parseJson(String.raw`{"\\":1}`)
  t.same(Object.keys(parseJson(String.raw`{"\u0061":1}`) as object), ['a'])
  t.same(Object.keys(parseJson(String.raw`{"\n":1}`) as object), ['\n'])
  // The raw beginning of a name as PHP writes it, seen first where the name will be.
  const name = 'https://corp.example/roles'
  const php = name.replaceAll('/', '\\/')
  const before = '"iss":"i","aud":"a","sub":"s","exp":1,'
  for (let i = 0; i < 3; i++) parseJson(`{${before}${JSON.stringify({ [php.slice(0, name.length)]: 1 }).slice(1)}`)
  t.same(Object.keys(parseJson(`{${before}"${php}":["admin"]}`) as object).at(-1), name)
  t.end()
})

t.test('as JSON.parse reads names without escapes: however they are spelt, and whoever came before', (t) => {
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '/', '\\', 'u', '0', '"', '\n', ':', ' ', '\ue000', 'é', '\u{1f600}', '_'), maxLength: 8 }).filter((each) => !/^\d+$/.test(each))
  const names = fc.uniqueArray(name, { maxLength: 4 })
  holds(t, 'the same names and values, in order', fc.tuple(names, names, fc.infiniteStream(fc.boolean()), fc.constantFrom('', ' ', '\r\n\t ')), ([poison, own, dice, space]) => {
    const write = (list: readonly string[]): string => `{${list.map((each, at) => `"${spelt(each, () => dice.next().value as boolean)}"${space}:[{"x":"${at}:\\""}]`).join()}}`
    for (let i = 0; i < 2; i++) parseJson(write(poison))
    const text = write(own)
    const value = parseJson(text) as Record<string, [{ x: string }]>
    // Names like array indexes are none here, so that order is the text's.
    return JSON.stringify(Object.keys(value)) === JSON.stringify(own) && own.every((each, at) => value[each]![0].x === `${at}:"`) && membersWritten(text) === membersOf(value)
  })
  t.end()
})

t.test('__proto__ is a name; what is no JSON is a SyntaxError', (t) => {
  t.same(Object.keys(parseJson(String.raw`{"\u005f_proto__":{"\"":1},"b":1}`) as object), ['__proto__', 'b'])
  t.equal(({} as Record<string, unknown>)['"'], undefined)
  for (const text of ['', '\\', '{"\\":1}', '{"a\\":1', String.raw`{"\x":1}`, String.raw`{"\u00":1}`, String.raw`["\u0061":1]`, String.raw`{"a":1}\n`]) t.throws(() => parseJson(text), SyntaxError, text)
  t.equal(membersWritten('{"a":[[1]]}', 2), -1, 'too deep')
  t.end()
})
