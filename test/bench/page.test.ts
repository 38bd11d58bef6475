import t from 'tap'
import { markdownPage, summary } from './page.ts'
import type { Results } from './results.ts'

const sample = (cpu: number, foreign = 0, errors = 0) => ({ cpu, rps: 1_000, p50: 1.234, p99: 98.76, requests: 100, errors, foreign })
const paced = (p50: number, p99: number, cpu: number) => ({ p50, p99, cpu, errors: 0, late: 0, foreign: 0 })

const RESULTS: Results = {
  date: '2026-11-23T10:00:00.000Z', command: 'npm run bench -- --peers', machine: 'a machine', rounds: 2, seconds: 2, skipped: ['oauth2-proxy (no binary)'],
  checks: { 'sidegate': { 'good RS256': '200', 'alg none': '401' }, 'envoy jwt_authn': { 'good RS256': '200', 'alg none': '!200' } },
  starts: { 'sidegate': [110, 90, 100], 'envoy jwt_authn': [50, 50, 50] },
  memory: { sidegate: { 'idle': [{ anon: 18, rss: 60 }, { anon: 19, rss: 62 }, { anon: 30, rss: 90 }] } },
  rows: {
    'warm token': { kept: [{ 'sidegate': sample(20, 0.02), 'envoy jwt_authn': sample(60), 'nginx plain': sample(15) }, { 'sidegate': sample(30), 'envoy jwt_authn': sample(60), 'nginx plain': sample(15) }], thrown: 1, disturbed: 0 },
    'bad signature': { kept: [{ 'sidegate': sample(40, 0, 3), 'envoy jwt_authn': sample(40) }], thrown: 0, disturbed: 1 },
  },
  latency: { kept: [{ 'direct': paced(0.05, 0.1, Number.NaN), 'sidegate': paced(0.15, 0.4, 60), 'envoy jwt_authn': paced(0.25, 0.6, 120) }], thrown: 0, disturbed: 0 },
  curves: [{
    name: 'rules', unit: 'rule', expected: 'flat', why: 'one tree.', first: { x: 1, anon: Number.NaN }, errors: 0,
    points: [{ x: 1_000, anon: Number.NaN, pairs: { kept: [{ reference: sample(20), point: sample(21) }], thrown: 2, disturbed: 0 } }],
  }],
}

t.test('the page is made of one run, whose command, day and machine it names', async (t) => {
  const page = markdownPage(RESULTS)
  t.match(page, 'Written by `npm run bench -- --peers` on 2026-11-23: a machine; 2 rounds of 2 s.')
  t.match(page, 'Not measured: oauth2-proxy (no binary).')
  t.notMatch(page, /NaN|undefined|\[object/)
})

t.test('ratios are medians of the rounds, with their spread, and read aloud', async (t) => {
  const page = markdownPage(RESULTS)
  t.match(page, /\| envoy jwt_authn +\| +2\.50 \(2\.00-3\.00\) \| +1\.00 \(1\.00-1\.00\) \| +2\.00 \(2\.00-2\.00\) \|/)
  t.match(page, /\| nginx plain +\| +0\.63 \(0\.50-0\.75\) \| +- \| +- \|/)
  t.match(page, '- **warm token**: We cost less than envoy jwt_authn (2.50). We cost more than nginx plain (0.63), which checks nothing.')
  t.match(page, '- **bad signature**: No difference shown to envoy jwt_authn (1.00).')
})

t.test('latency is what is added to the direct way; that at full load is not shown', async (t) => {
  const page = markdownPage(RESULTS)
  t.match(page, /\| sidegate +\| +0\.15 \| +0\.40 \| +0\.10 \(0\.10-0\.10\) \| +0\.30 \(0\.30-0\.30\) \|/)
  t.match(page, /\| direct +\| +0\.05 \| +0\.10 \|/)
  t.notMatch(page, /1\.23|98\.76/)
})

t.test('start and memory: medians, and the start beside Envoy\'s', async (t) => {
  const page = markdownPage(RESULTS)
  t.match(page, /\| sidegate +\| +90 \| +100 \| +110 \| +2\.00 \|/)
  t.match(page, '19.0 / 62')
})

t.test('it says how busy the machine was, and what went wrong', async (t) => {
  const page = markdownPage(RESULTS)
  t.match(page, 'In the 5 rounds that count')
  t.match(page, '2.0 % in the worst. 3 rounds were disturbed, thrown away and measured again; 1 that count were disturbed')
  t.match(page, 'Errors: sidegate, bad signature: 3.')
  t.match(summary(RESULTS), 'ERRORS: sidegate, bad signature: 3')
})

t.test('curves: a table, and a sentence', async (t) => {
  const page = markdownPage(RESULTS)
  t.match(page, '### Rules\n')
  t.match(page, 'Flat: one tree.')
  t.notMatch(page, 'anonymous MiB |', 'no row of memory where none was read')
})

t.test('a page of little still stands', async (t) => {
  const page = markdownPage({ ...RESULTS, rows: {}, latency: undefined, curves: [], starts: {}, memory: {}, checks: {}, skipped: [] })
  t.notMatch(page, /##  |NaN|undefined|Infinity|## CPU|## Latency|## Start|## Memory/)
})
