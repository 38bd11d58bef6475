import * as fc from 'fast-check'
import t from 'tap'
import { covers, parsePattern } from '../../src/http/path-pattern.ts'
import { holds } from '../helpers/property.ts'
import { patternMatches } from '../helpers/reference-matcher.ts'

t.test('patterns are taken apart', (t) => {
  t.strictSame(parsePattern('/', true), { segments: [], end: 'slash' })
  t.strictSame(parsePattern('/**', true), { segments: [], end: 'rest' })
  t.strictSame(parsePattern('/a/*/b/**', true), { segments: ['a', null, 'b'], end: 'rest' })
  t.strictSame(parsePattern('/a/', true), { segments: ['a'], end: 'slash' })
  t.strictSame(parsePattern('/café/%C3%A9t%c3%a9/a%2Ab/%40me', true), { segments: ['café', 'été', 'a*b', '@me'], end: 'segment' })
  t.strictSame(parsePattern('/Admin/Ä', false), { segments: ['admin', 'ä'], end: 'segment' })
  t.end()
})

t.test('a pattern that no request can match is an error that says why', (t) => {
  const cases: Record<string, string> = {
    'admin': 'admin must begin with /',
    '': ' must begin with /',
    '/a/**/b': '/a/**/b: ** stands for the rest of the path, so it can only be the last segment',
    '/a*': '/a*: * stands for one whole segment; write %2A for a literal asterisk',
    '/***': '/***: * stands for one whole segment; write %2A for a literal asterisk',
    '//a': '//a has an empty segment (//), which no request can have',
    '/a/../b': '/a/../b can match no request: a dot segment (. or ..)',
    '/a;b': '/a;b can match no request: a path parameter (;)',
    '/%61': '/%61 can match no request: the escape %61 in the path',
    '/a?b': '/a?b can match no request: it holds a ?',
    '/a#b': '/a#b can match no request: a fragment',
    '/%ff': '/%ff can match no request: an escape in the path that is not UTF-8',
    '/a\nb': '/a\nb can match no request: the escape %0A in the path',
  }
  for (const [pattern, message] of Object.entries(cases)) t.throws(() => parsePattern(pattern, true), { message }, JSON.stringify(pattern))
  t.throws(() => parsePattern('/straße', false), { message: '/straße can match no request with caseSensitive: false: a character that becomes an ASCII letter when case is folded' })
  t.end()
})

t.test('properties', (t) => {
  const segment = fc.constantFrom('a', 'b', '*')
  const pattern = fc.tuple(fc.array(segment, { maxLength: 3 }), fc.constantFrom('', '/', '/**'))
    .map(([segments, end]) => `/${segments.join('/')}${segments.length === 0 ? end.slice(1) : end}`)
  const path = fc.tuple(fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 4 }), fc.constantFrom('', '/'))
    .map(([segments, end]) => segments.length === 0 ? '/' : `/${segments.join('/')}${end}`)
  holds(t, 'a pattern that covers another matches all that the other matches', fc.tuple(pattern, pattern, path), ([wide, narrow, path]) =>
    !covers(parsePattern(wide, true), parsePattern(narrow, true)) || !patternMatches(narrow, path) || patternMatches(wide, path), 4000)
  holds(t, 'a pattern covers itself, and /** covers all', pattern, (pattern) => {
    const parsed = parsePattern(pattern, true)
    return covers(parsed, parsed) && covers(parsePattern('/**', true), parsed)
  }, 300)
  t.end()
})
