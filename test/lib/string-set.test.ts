import t from 'tap'
import { createStringSet } from '../../src/lib/string-set.ts'

t.test('has what was put in, of any list, and nothing else', (t) => {
  const set = createStringSet(['one', 'two', 'one'], [], ['three', 'é', '\u0000', 'x'.repeat(5_000)])
  for (const text of ['one', 'two', 'three', 'é', '\u0000', 'x'.repeat(5_000)]) t.ok(set.has(text), text.slice(0, 5))
  for (const text of ['', 'One', 'one ', 'eno', 'on', 'thre', '\u0000\u0000', 'x'.repeat(4_999), 'constructor']) t.notOk(set.has(text), text.slice(0, 12))
  t.equal(set.size, 6, 'each once')
  t.end()
})

t.test('an empty set has nothing', (t) => {
  for (const set of [createStringSet(), createStringSet([], [])]) {
    t.equal(set.size, 0)
    t.notOk(set.has(''))
    t.notOk(set.has('a'))
  }
  t.ok(createStringSet(['']).has(''))
  t.end()
})

t.test('among strings that are nearly the same none is taken for another', (t) => {
  const near = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, at) => `7f3a-${(from + at).toString(16).padStart(8, '0')}-user`)
  const set = createStringSet(near(0, 200_000))
  t.equal(set.size, 200_000)
  t.ok(near(0, 200_000).every((text) => set.has(text)))
  t.same(near(200_000, 600_000).filter((text) => set.has(text)), [])
  t.same(near(0, 100_000).map((text) => `${text.slice(0, -2)}re`).filter((text) => set.has(text)), [])
  t.end()
})
