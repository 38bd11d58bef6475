import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { watchFile } from '../../src/lib/watch-file.ts'
import { until } from '../helpers/issuer.ts'

/** Watches, and writes down what was told. */
function follow(t: Test, path: string, maxBytes?: number): string[] {
  const seen: string[] = []
  const stop = watchFile(path, (content) => {
    seen.push('text' in content ? content.text : `error: ${content.error.message.replace(/, (?:stat|open) .*/, '')}`)
  }, { interval: 10, ...maxBytes !== undefined && { maxBytes } })
  t.teardown(stop)
  return seen
}
const told = (seen: string[], text: string): Promise<void> => until(() => seen.at(-1) === text, text)

t.test('tells at once what is there, then each change, also of the same length and within the same tick', async (t) => {
  const path = join(t.testdir({ file: 'a' }), 'file')
  const seen = follow(t, path)
  t.same(seen, ['a'])
  for (const text of ['b', 'c', 'd', 'a longer one', '']) {
    writeFileSync(path, text)
    await told(seen, text)
  }
  writeFileSync(path, '')
  await new Promise((resolve) => { setTimeout(resolve, 50) })
  t.equal(seen.length, 6, 'the same content is no change')
})

t.test('a file that is not there, comes, goes, is replaced, is too large', async (t) => {
  const path = join(t.testdir({}), 'file')
  const seen = follow(t, path, 10)
  t.same(seen, ['error: ENOENT: no such file or directory'])
  writeFileSync(path, 'one')
  await told(seen, 'one')
  rmSync(path)
  await told(seen, 'error: ENOENT: no such file or directory')
  writeFileSync(`${path}.new`, 'two')
  renameSync(`${path}.new`, path)
  await told(seen, 'two')
  writeFileSync(path, 'x'.repeat(11))
  await until(() => seen.at(-1)!.includes('more than the 10 allowed'), 'too large')
  rmSync(path)
  mkdirSync(path)
  await told(seen, `error: ${path} is not a regular file`)
})

t.test('a file that is written in pieces is told as a whole; one that never rests is told all the same', async (t) => {
  const path = join(t.testdir({ file: 'a' }), 'file')
  const seen: string[] = []
  t.teardown(watchFile(path, (content) => { seen.push('text' in content ? content.text : 'error') }, { interval: 100 }))
  for (const piece of ['one ', 'two ', 'three ', 'four']) {
    appendFileSync(path, piece)
    await new Promise((resolve) => { setTimeout(resolve, 5) })
  }
  await told(seen, 'aone two three four')
  t.equal(seen.length, 2, 'nothing in between')
  const restless = setInterval(() => { appendFileSync(path, '.') }, 10)
  t.teardown(() => { clearInterval(restless) })
  await until(() => seen.length > 2, 'told')
})

t.test('Kubernetes\' swap of ..data, a hundred times: the last one is always seen, and never a mixture', async (t) => {
  const dir = t.testdir({})
  const put = (version: number): void => {
    mkdirSync(join(dir, `..${version}`))
    writeFileSync(join(dir, `..${version}`, 'file'), `version ${version}`)
    symlinkSync(`..${version}`, join(dir, '..data_tmp'))
    renameSync(join(dir, '..data_tmp'), join(dir, '..data'))
    if (version > 0) rmSync(join(dir, `..${version - 1}`), { recursive: true })
  }
  put(0)
  symlinkSync('..data/file', join(dir, 'file'))
  const seen = follow(t, join(dir, 'file'))
  for (let version = 1; version <= 100; version++) {
    put(version)
    await new Promise((resolve) => { setTimeout(resolve, 2) })
  }
  await told(seen, 'version 100')
  t.ok(seen.every((text) => /^version \d+$/.test(text)), 'whole files only')
})

t.test('a stopped watch tells nothing more', async (t) => {
  const path = join(t.testdir({ file: 'a' }), 'file')
  let calls = 0
  const stop = watchFile(path, () => { calls++ }, { interval: 5 })
  stop()
  writeFileSync(path, 'b')
  await new Promise((resolve) => { setTimeout(resolve, 40) })
  t.equal(calls, 1)
})
