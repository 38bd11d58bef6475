import * as fc from 'fast-check'
import t from 'tap'
import { covers, parsePattern, type PathPattern } from '../../src/http/path-pattern.ts'
import { pathTree } from '../../src/http/path-tree.ts'
import { holds } from '../helpers/property.ts'

const segments = fc.array(fc.constantFrom('a', 'b', '*'), { maxLength: 3 })
const pattern = fc.tuple(segments, fc.constantFrom('', '/', '/**')).map(([parts, end]) => parsePattern(parts.length === 0 ? `/${end.slice(1)}` : `/${parts.join('/')}${end}`, true))

t.test('properties: the patterns that cover one are found, each bucket once, as if all were compared', (t) => {
  holds(t, 'like comparing', fc.tuple(fc.array(pattern, { maxLength: 20 }), pattern), ([patterns, narrow]) => {
    const tree = pathTree<PathPattern[]>(() => [])
    for (const each of patterns) tree.bucket(each).push(each)
    const found: PathPattern[] = []
    tree.covering(narrow, (bucket) => { found.push(...bucket) })
    const expected = patterns.filter((wide) => covers(wide, narrow))
    return found.length === expected.length && expected.every((each) => found.includes(each))
  }, 3_000)
  t.end()
})
