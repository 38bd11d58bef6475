import * as fc from 'fast-check'
import t from 'tap'
import { foldPathCase, readTarget, type Target } from '../../src/http/path.ts'
import { isDenial } from '../../src/telemetry/reason.ts'
import { byte, character, holds } from '../helpers/property.ts'

const read = (target: string) => readTarget(target, 0)
const hex = (code: number) => code.toString(16).padStart(2, '0')

t.test('an ordinary target is taken apart and nothing in it changes', (t) => {
  const cases: Record<string, Target> = {
    '/': { path: '/', query: undefined, decoded: '/' },
    '/a/b/': { path: '/a/b/', query: undefined, decoded: '/a/b/' },
    '/a?': { path: '/a', query: '', decoded: '/a' },
    '/a?b=c/../d;e=%zz\\&f=?{}|`"<>': { path: '/a', query: 'b=c/../d;e=%zz\\&f=?{}|`"<>', decoded: '/a' },
    '/caf%C3%A9/%E2%82%AC': { path: '/caf%C3%A9/%E2%82%AC', query: undefined, decoded: '/café/€' },
    '/a%20b/me%40corp,x:1=2': { path: '/a%20b/me%40corp,x:1=2', query: undefined, decoded: '/a b/me@corp,x:1=2' },
    '/100%25/%7Euser/%2Dx%5Fy': { path: '/100%25/%7Euser/%2Dx%5Fy', query: undefined, decoded: '/100%/~user/-x_y' },
    '/a%3Fb%23c': { path: '/a%3Fb%23c', query: undefined, decoded: '/a?b#c' },
    '/.well-known/a..b/...': { path: '/.well-known/a..b/...', query: undefined, decoded: '/.well-known/a..b/...' },
    "/!$&'()*+,=:@[]^|": { path: "/!$&'()*+,=:@[]^|", query: undefined, decoded: "/!$&'()*+,=:@[]^|" },
  }
  for (const [target, expected] of Object.entries(cases)) t.strictSame(read(target), expected, target)
  t.end()
})

t.test('every ASCII character, bare and escaped, has one defined reading', (t) => {
  const bare = new Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@[]^|")
  const escaped = new Set(" !\"#$%&'()*+,-:<=>?@[]^_`{|}~")
  for (let code = 0; code < 128; code++) {
    const character = String.fromCharCode(code)
    const isStructure = character === '/' || character === '?'
    if (!isStructure && character !== '%') t.equal(isDenial(read(`/x${character}y`)), !bare.has(character), `bare 0x${hex(code)}`)
    for (const escape of [`%${hex(code)}`, `%${hex(code).toUpperCase()}`]) {
      t.strictSame(read(`/x${escape}y`), escaped.has(character)
        ? { path: `/x${escape}y`, query: undefined, decoded: `/x${character}y` }
        : { denied: 'ambiguous_path', detail: `the escape ${escape} in the path` }, escape)
    }
  }
  for (let code = 128; code < 256; code++) {
    t.equal(isDenial(read(`/x${String.fromCharCode(code)}y`)), true, `raw byte 0x${hex(code)}`)
    t.equal(isDenial(read(`/?x${String.fromCharCode(code)}y`)), true, `raw byte 0x${hex(code)} in the query`)
    t.equal(isDenial(read(`/x%${hex(code)}y`)), true, `lone byte %${hex(code)}`)
  }
  t.end()
})

t.test('the log learns what is wrong, never the target', (t) => {
  const cases: Record<string, string> = {
    '/secret#x': 'a fragment', '/secret x': 'a space', '/secret\t': 'a control or non-ASCII byte', 'secret': 'not in origin form (must begin with /)',
    '/a//secret': 'an empty segment (//)', '/a/../secret': 'a dot segment (. or ..)', '/secret;a=b': 'a path parameter (;)', '/secret\\': 'a backslash',
    '/secret{': 'a character that must be percent-encoded', '/secret?a b': 'a space', '/secret%c0%af': 'an escape in the path that is not UTF-8', '/secret%4': 'the escape %4 in the path',
  }
  for (const [target, detail] of Object.entries(cases)) t.strictSame(read(target), { denied: 'ambiguous_path', detail }, target)
  t.end()
})

t.test('a target longer than the limit is 414, at the limit it passes', (t) => {
  t.strictSame(readTarget(`/${'a'.repeat(10)}`, 10), { denied: 'target_too_long', detail: '11 bytes' })
  t.notOk(isDenial(readTarget(`/${'a'.repeat(9)}`, 10)))
  t.end()
})

t.test('characters that case folding turns into ASCII letters are refused where case is folded', (t) => {
  for (const character of ['\u212a', '\u017f', '\u0130', '\u0131', 'ß', 'ﬁ']) t.ok(isDenial(foldPathCase(`/a${character}`)), character)
  t.equal(foldPathCase('/Admin/ÄRGER/Ω'), '/admin/ärger/ω')
  t.end()
})

const anyTarget = fc.oneof(
  fc.string({ unit: byte }).map((text) => `/${text}`),
  fc.array(fc.constantFrom('/', '.', '..', '%2e', '%2F', '%5c', '%25', '%', '%4', '%61', '%c3', '%a9', ';', '\\', '?', '#', 'a', 'admin', '\x00', 'é', '*', ' '), { maxLength: 12 }).map((parts) => `/${parts.join('')}`),
)

t.test('folding is blind to case, whatever the case the app folds to', (t) => {
  t.equal(foldPathCase('/ΟΔΟΣ'), foldPathCase('/οδοσ'))
  t.equal(foldPathCase('/οδος'), foldPathCase('/οδοσ'))
  t.equal(foldPathCase('/ΟΔΟΣ.json'), `${foldPathCase('/οδος') as string}.json`, 'wherever the word ends')
  holds(t, 'upper case, lower case and the text itself fold to one', fc.string({ unit: character }), (text) => {
    const forms = [text, text.toLowerCase(), text.toUpperCase(), text.toLowerCase().toUpperCase()].map((form) => foldPathCase(`/${form}`))
    return forms.some(isDenial) || new Set(forms).size === 1
  })
  t.end()
})

t.test('properties of every target that is accepted', (t) => {
  holds(t, 'it is forwarded as it came: path and query are the target', anyTarget, (target) => {
    const read = readTarget(target, 0)
    return isDenial(read) || target === (read.query === undefined ? read.path : `${read.path}?${read.query}`)
  }, 1500)
  holds(t, 'what a decoder behind us finds has the segments that were matched, none of them empty or a dot', anyTarget, (target) => {
    const read = readTarget(target, 0)
    if (isDenial(read)) return true
    const segments = read.decoded.split('/').slice(1)
    return decodeURIComponent(read.path) === read.decoded && segments.length === read.path.split('/').length - 1
      && segments.every((segment, i) => !/^\.{1,2}$/.test(segment) && (segment !== '' || i === segments.length - 1))
      && !/[^\x20-\x7e\x80-\uffff]|[\\;]/.test(read.decoded)
  }, 1500)
  holds(t, 'resolving it as a URL changes nothing: no reader finds another path', anyTarget, (target) => {
    const read = readTarget(target, 0)
    return isDenial(read) || new URL(`http://host${read.path}`).pathname === read.path.replaceAll('^', '%5E')
  }, 1500)
  holds(t, 'text of any script passes when encoded by encodeURIComponent, unless it holds structure', fc.string({ unit: character, minLength: 1 }), (text) => {
    const read = readTarget(`/${encodeURIComponent(text)}`, 0)
    const risky = /[^\x20-\x7e\x80-\uffff]|[/\\;]|^\.{1,2}$/.test(text)
    return isDenial(read) === risky && (isDenial(read) || read.decoded === `/${text}`)
  }, 1000)
  t.end()
})
