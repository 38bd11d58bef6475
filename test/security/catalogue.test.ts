/** docs/attacks.md against the tests: every row is a test with its id in the title, and no id in a title is without a row. */
import { globSync, readFileSync } from 'node:fs'
import t from 'tap'

const root = new URL('../../', import.meta.url)
const read = (file: string) => readFileSync(new URL(file, root), 'utf8')

/** Ids in the first text of a line that makes a test, or a case of one. */
function idsIn(file: string): ReadonlySet<string> {
  const titles = read(file).split('\n').flatMap((line) => /(?:test\(|^\s*\[?|id: |rows?\(|section\()['"`]([^'"`]+)['"`]/.exec(line)?.[1] ?? [])
  return new Set(titles.flatMap((title) => title.match(/\b[PHSTJA]\d{1,2}\b/g) ?? []))
}

const lines = read('docs/attacks.md').split('\n')
const tested = lines.flatMap((line) => {
  const [, id, file] = /^\| ([PHSTJA]\d+) \|.*\| (test\/\S+) \|$/.exec(line) ?? []
  return id === undefined || file === undefined ? [] : [{ id, file }]
})
const excused = lines.flatMap((line) => /^\| ([PHSTJA]\d+) \|.*[^|] \|$/.exec(line) && !line.includes('| test/') ? [/\w+/.exec(line)![0]] : [])

t.test('every row of the page is a test', (t) => {
  t.ok(tested.length > 90, `${tested.length} rows`)
  for (const { id, file } of tested) t.ok(idsIn(file).has(id), `${id} in ${file}`)
  t.equal(new Set(tested.map(({ id }) => id)).size, tested.length, 'no id twice')
  t.end()
})

t.test('the ids are without gaps: what does not apply says so', (t) => {
  const all = [...tested.map(({ id }) => id), ...excused]
  for (const family of 'PHSTJA') {
    const numbers = all.filter((id) => id.startsWith(family)).map((id) => Number(id.slice(1)))
    for (let number = 1; number <= Math.max(...numbers); number++) {
      const id = `${family}${number}`
      t.ok(tested.some((row) => row.id === id) !== excused.includes(id), `${id} is tested or does not apply`)
    }
  }
  t.end()
})

t.test('SECURITY.md claims all of each family', (t) => {
  const security = read('SECURITY.md')
  for (const family of 'PHSTJA') {
    const last = Math.max(...[...tested.map(({ id }) => id), ...excused].filter((id) => id.startsWith(family)).map((id) => Number(id.slice(1))))
    t.match(security, new RegExp(`\\(${family}1-${family}${last}[),]`), `${family}1-${family}${last}`)
  }
  t.end()
})

t.test('no attack is tested without a row', (t) => {
  const known = new Set([...tested.map(({ id }) => id), ...excused])
  for (const file of globSync('test/security/*.test.ts', { cwd: root.pathname })) {
    for (const id of idsIn(file)) t.ok(known.has(id), `${id} of ${file}`)
  }
  t.end()
})
