import { createLog, formatLine, type Sink } from '../../src/telemetry/log.ts'
import { closeSync, mkdtempSync, openSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t from 'tap'
import { codeUnit } from '../helpers/property.ts'

/** A sink that collects, and answers as told. */
function recorder(answer: (bytes: Buffer, done: Parameters<Sink>[1]) => void = (bytes, done) => setImmediate(done, null, bytes.length)) {
  const got: Buffer[] = []
  const sink: Sink = (bytes, done) => {
    got.push(bytes)
    answer(bytes, done)
  }
  return { sink, got, lines: () => Buffer.concat(got).toString().split('\n').filter(Boolean).map((line) => JSON.parse(line) as Record<string, unknown>) }
}

t.test('a line is one JSON object with time, level, message and fields', async (t) => {
  const { sink, lines } = recorder()
  const log = createLog({ sink, now: () => 0 })
  log.info('ready', { listeners: [{ bind: '127.0.0.1:1' }], nothing: undefined })
  await log.flush()
  t.same(lines(), [{ time: '1970-01-01T00:00:00.000Z', level: 'info', msg: 'ready', listeners: [{ bind: '127.0.0.1:1' }] }])
})

t.test('lines below the level are left out, and the level can change', async (t) => {
  const { sink, lines } = recorder()
  const log = createLog({ sink, level: 'warn' })
  log.info('no')
  t.notOk(log.enabled('info'))
  log.notice('always')
  log.setLevel('debug')
  t.equal(log.level, 'debug')
  log.debug('yes')
  await log.flush()
  t.same(lines().map(({ msg }) => msg), ['always', 'yes'])
})

t.test('A10: no value can forge a line, move a terminal or carry a token', (t) => {
  fc.assert(fc.property(fc.string({ unit: codeUnit }), fc.string({ unit: codeUnit }), (msg, value) => {
    const line = formatLine('info', msg, { value }, 0)
    return /^[\x20-\x7e]+\n$/.test(line) && (JSON.parse(line) as { value: string }).value === value
  }), { numRuns: 300, examples: [['\n{"level":"error"}', '\r\n\u2028\u001b[2J\u009b31m\u202e']] })
  const token = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJib2IifQ.c2lnbmF0dXJl'
  const line = formatLine('warn', `bad ${token}`, { path: `/x/${token}/y`, [token]: { deep: [`Bearer ${token}`] } }, 0)
  t.notMatch(line, /eyJ|c2lnbmF0dXJl/)
  t.ok(JSON.parse(line), 'it is still JSON')
  t.end()
})

t.test('what JSON cannot carry is still a line; a huge one is cut', (t) => {
  const loop: Record<string, unknown> = {}
  loop.self = loop
  t.match(JSON.parse(formatLine('info', 'x', loop, 0)), { msg: 'x', note: /JSON/ })
  t.match(JSON.parse(formatLine('info', 'x', { big: 1n }, 0)), { msg: 'x' })
  const cut = formatLine('info', 'x', { huge: 'y'.repeat(1e6) }, 0)
  t.ok(cut.length < 8192)
  t.match(JSON.parse(cut), { msg: 'x', note: 'line too long' })
  t.end()
})

t.test('A10: disk full, a closed pipe and a slow reader lose lines, count them and throw nothing', async (t) => {
  const full = recorder((_, done) => setImmediate(done, Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }), 0))
  const log = createLog({ sink: full.sink })
  log.info('1')
  log.info('2')
  await log.flush()
  t.equal(log.dropped, 2)

  const stuck: (() => void)[] = []
  const slow = recorder((bytes, done) => void stuck.push(() => done(null, bytes.length)))
  const slowLog = createLog({ sink: slow.sink, maxPending: 1000 })
  for (let i = 0; i < 100; i++) {
    slowLog.info(`line ${i}`)
    if (i === 0) await new Promise(setImmediate)
  }
  t.ok(slowLog.dropped > 80, `${slowLog.dropped} dropped`)
  const flushed = slowLog.flush()
  while (stuck.length > 0) {
    stuck.shift()!()
    await new Promise(setImmediate)
  }
  await flushed
  t.equal(slow.lines().length + slowLog.dropped, 100, 'each line is written or counted')
})

t.test('a short write and EAGAIN go on where they stopped', async (t) => {
  let calls = 0
  const parts: string[] = []
  const sink: Sink = (bytes, done) => {
    calls++
    if (calls === 2) return void setImmediate(done, Object.assign(new Error('EAGAIN'), { code: 'EAGAIN' }), 0)
    const taken = Math.min(10, bytes.length)
    parts.push(bytes.subarray(0, taken).toString())
    setImmediate(done, null, taken)
  }
  const log = createLog({ sink, now: () => 0 })
  log.info('hello')
  log.info('world')
  await log.flush()
  t.equal(parts.join(''), formatLine('info', 'hello', undefined, 0) + formatLine('info', 'world', undefined, 0))
  t.equal(log.dropped, 0)
})

t.test('to a file: in order, and the rest at once at the end', async (t) => {
  const path = join(mkdtempSync(join(tmpdir(), 'sidegate-log-')), 'log')
  const fd = openSync(path, 'a')
  const log = createLog({ fd })
  log.info('a')
  await log.flush()
  log.info('b')
  log.flushSync()
  closeSync(fd)
  t.same(readFileSync(path, 'utf8').trim().split('\n').map((line) => (JSON.parse(line) as { msg: string }).msg), ['a', 'b'])
})
