import * as fc from 'fast-check'
import t from 'tap'
import { parseStrictObject } from '../../src/auth/strict-json.ts'
import { holds } from '../helpers/property.ts'

const parse = (text: string): unknown => parseStrictObject(Buffer.from(text))

t.test('what JSON.parse reads, without prototypes', async (t) => {
  const object = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 6 }))
  holds(t, 'the same value', fc.tuple(object, fc.constantFrom(undefined, 1, '\t')), ([value, space]) => {
    const text = JSON.stringify(value, undefined, space)
    return JSON.stringify(parse(text)) === JSON.stringify(JSON.parse(text))
  })
  t.equal(Object.getPrototypeOf(parse('{}')), null)
})

/** Writes JSON with the members of one object, somewhere inside, doubled. */
const doubled = fc.tuple(fc.string(), fc.jsonValue(), fc.jsonValue(), fc.nat({ max: 5 })).map(([name, a, b, depth]) => {
  const twice = `{${JSON.stringify(name)}:${JSON.stringify(a)},"other":[{}],${JSON.stringify(name)}:${JSON.stringify(b)}}`
  return Array.from({ length: depth }).reduce<string>((inner, _, index) => index % 2 ? `{"in":[1,${inner}]}` : `{"in":${inner},"x":":"}`, twice)
})

t.test('any duplicate, anywhere, is refused', async (t) => {
  holds(t, 'a duplicate', doubled, (text) => parse(text) === undefined)
  t.equal(parse('{"a":1,"\\u0061":1}'), undefined, 'escaped')
  t.equal(parse('{"a":{"b":1},"a":{"b":1,"c":2}}'), undefined, 'the second has more members than both names together lost')
  t.equal(parse('{"__proto__":1,"__proto__":1}'), undefined)
  t.same(Object.keys(parse('{"__proto__":{"a":1}}') as object), ['__proto__'])
})

t.test('anything else is undefined, never an exception', async (t) => {
  holds(t, 'any bytes', fc.uint8Array({ maxLength: 200 }), (bytes) => { parseStrictObject(Buffer.from(bytes)) })
  for (const text of ['', ' ', '[]', '1', 'null', '"a"', '{', '}', '{"a"', '{"a":', '{"a":1', '{"a":1}}', '{"a":1}{', '"', '\\', '{"\\":1}', '{"a":1}\0']) t.equal(parse(text), undefined, text)
  t.equal(parseStrictObject(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), undefined, 'not UTF-8')
  t.equal(parseStrictObject(Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d])), undefined, 'a byte order mark')
  t.equal(parse(`{"a":${'['.repeat(33)}${']'.repeat(33)}}`), undefined, 'deeper than 32')
  t.ok(parse(`{"a":${'['.repeat(31)}${']'.repeat(31)}}`))
})
