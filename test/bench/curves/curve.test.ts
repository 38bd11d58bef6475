import t from 'tap'
import { costs, courseOf, sentence, type Course, type CurveResult } from './curve.ts'

const sample = (cpu: number) => ({ cpu, rps: 1, p50: 1, p99: 1, requests: 1, errors: 0, foreign: 0 })

/** A curve whose smallest point costs 20 us, with two pairs for each of the others. */
function curve(expected: Course, why: string, others: readonly (readonly [x: number, cpu: number, anon: number])[]): CurveResult {
  const points = others.map(([x, cpu, anon]) => {
    const pair = { reference: sample(20), point: sample(cpu) }
    return { x, anon, pairs: { kept: [pair, pair], thrown: 0, disturbed: 0 } }
  })
  return { name: 'rules', unit: 'rule', expected, why, first: { x: 1, anon: 20 }, points, errors: 0 }
}

t.test('the course is read off what the points cost', async (t) => {
  const of = (...medians: number[]) => courseOf(medians.map((median) => ({ median, least: median * 0.98, most: median * 1.02 })))
  t.equal(of(1, 1.05, 0.93), 'flat')
  t.equal(of(1.02, 1.3, 2), 'grows')
  t.equal(of(1.02, 1.05, 1.2), 'grows')
  t.equal(of(0.5, 0.4, 0.6), 'falls')
  t.equal(of(0.5, 1, 1.5), 'uneven')
  t.equal(of(1.5, 1), 'uneven')
  t.equal(courseOf([]), 'flat')
})

t.test('a point whose spread holds 1 has shown no difference', async (t) => {
  t.equal(courseOf([{ median: 1.4, least: 0.9, most: 2.1 }, { median: 0.8, least: 0.7, most: 1.1 }]), 'flat')
  t.equal(courseOf([{ median: 1.4, least: 1.2, most: 2.1 }]), 'grows')
})

t.test('a sentence says what one more unit costs, in CPU and in memory', async (t) => {
  const why = 'one by one: {cpu}. In memory: {memory}.'
  t.equal(sentence(curve('grows', why, [[101, 30, 21], [1_001, 220, 30]])), 'Grows: one by one: 200 ns of CPU a rule. In memory: 10 KiB a rule.')
})

t.test('a course that was not expected is said to be none, with no reason claimed for it', async (t) => {
  const text = sentence(curve('flat', 'one tree. {memory}.', [[10, 21, 20], [100, 40, 20]]))
  t.match(text, /^Grows in this run, where flat was expected/)
  t.notMatch(text, /\{/)
})

t.test('costs begin with the smallest point, over all of its windows', async (t) => {
  t.same(costs(curve('flat', '', [[10, 21, 20], [100, 40, 20]])), [20, 21, 40])
})
