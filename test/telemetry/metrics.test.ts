import { METRICS, metricsPage } from '../../src/telemetry/metric-table.ts'
import { MAX_SERIES, createMetrics } from '../../src/telemetry/metrics.ts'
import { collectProcess } from '../../src/telemetry/process-metrics.ts'
import { VERSION } from '../../src/lib/version.ts'
import { readFileSync, readdirSync } from 'node:fs'
import t from 'tap'

t.test('counters, gauges and histograms in the text format', (t) => {
  const metrics = createMetrics()
  metrics.series('sidegate_decisions_total', 'deny', 'token_expired', 'a"b\\c\nd').value += 2
  metrics.histogram('sidegate_added_seconds').observe(0.000_05)
  metrics.histogram('sidegate_added_seconds').observe(5)
  const page = metrics.render()
  t.match(page, '# TYPE sidegate_decisions_total counter\nsidegate_decisions_total{verdict="deny",reason="token_expired",rule="a\\"b\\\\c\\nd"} 2\n')
  t.match(page, 'sidegate_added_seconds_bucket{le="0.000025"} 0\nsidegate_added_seconds_bucket{le="0.00005"} 1\n')
  t.match(page, 'sidegate_added_seconds_bucket{le="+Inf"} 2\nsidegate_added_seconds_sum 5.00005\nsidegate_added_seconds_count 2\n')
  t.match(page, 'sidegate_token_cache_hits_total 0\n', 'plain counters are there from the start')
  for (const line of page.trimEnd().split('\n')) t.match(line, /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{.*\})? [0-9.e+-]+)$/)
  t.end()
})

t.test('the same labels are the same series', (t) => {
  const metrics = createMetrics()
  t.equal(metrics.series('sidegate_keys', 'corp'), metrics.series('sidegate_keys', 'corp'))
  t.not(metrics.series('sidegate_keys', 'corp'), metrics.series('sidegate_keys', 'other-corp'))
  t.throws(() => metrics.series('sidegate_keys'), /labels issuer/)
  t.end()
})

t.test('cardinality is bounded: past the bound all share one series, and nothing is lost', (t) => {
  const metrics = createMetrics()
  for (let i = 0; i < MAX_SERIES + 500; i++) metrics.series('sidegate_decisions_total', 'allow', 'allowed', `rule ${i}`).value++
  const values = metrics.render().split('\n').filter((line) => line.startsWith('sidegate_decisions_total{'))
  t.equal(values.length, MAX_SERIES + 1)
  t.match(values.at(-1), 'sidegate_decisions_total{verdict="other",reason="other",rule="other"} 500')
  t.end()
})

t.test('gauges are collected at the scrape, until they are no more', (t) => {
  const metrics = createMetrics()
  let keys = 3
  const stop = metrics.collect(() => { metrics.series('sidegate_keys', 'corp').value = keys })
  t.match(metrics.render(), 'sidegate_keys{issuer="corp"} 3')
  stop()
  keys = 4
  t.match(metrics.render(), 'sidegate_keys{issuer="corp"} 3')
  metrics.clear('sidegate_keys')
  t.notMatch(metrics.render(), 'sidegate_keys{')
  t.end()
})

t.test('the process metrics read this process', (t) => {
  const metrics = createMetrics()
  const stop = collectProcess(metrics)
  t.ok(metrics.render().split('\n').includes(`sidegate_build_info{version="${VERSION}",node="${process.version}"} 1`))
  const value = (name: string) => Number(new RegExp(`^${name} (.+)$`, 'm').exec(metrics.render())?.[1])
  t.ok(value('process_resident_memory_bytes') > 10e6)
  t.ok(value('process_open_fds') > 2)
  t.ok(value('process_cpu_seconds_total') > 0)
  t.ok(Math.abs(value('process_start_time_seconds') - Date.now() / 1000) < 600)
  stop()
  t.end()
})

t.test('every metric of the table is one that some code sets', (t) => {
  const source = new URL('../../src/', import.meta.url)
  const code = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('metric-table.ts'))
    .map((name) => readFileSync(new URL(name, source), 'utf8')).join('\n')
  for (const name of Object.keys(METRICS)) t.ok(code.includes(`'${name}'`), name)
  t.end()
})

t.test('every metric has a help text without line breaks; docs/metrics.md is the table', (t) => {
  for (const [name, { help, labels }] of Object.entries(METRICS)) {
    t.match(name, /^(sidegate|process|nodejs)_[a-z_]+$/)
    t.match(help, /^[^\n\\]+\.$/)
    for (const label of labels) t.match(label, /^[a-z]+$/)
  }
  t.equal(readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8'), metricsPage(), 'regenerate: node scripts/docs.mjs')
  t.end()
})
