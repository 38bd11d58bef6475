/** What the process says about itself when somebody scrapes. */
import t from 'tap'
import { collectProcess } from '../../src/telemetry/process-metrics.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { metricOf } from '../helpers/sidecar.ts'

t.test('start time, CPU, memory and utilization; the latter since the last scrape', async (t) => {
  await new Promise((resolve) => { setTimeout(resolve, 10) })
  const metrics = createMetrics()
  t.teardown(collectProcess(metrics))
  const first = metrics.render()
  t.ok(Math.abs(metricOf(first, 'process_start_time_seconds') - performance.timeOrigin / 1000) <= 1.5)
  t.ok(metricOf(first, 'process_cpu_seconds_total') > 0)
  t.ok(metricOf(first, 'process_resident_memory_bytes') > 2 ** 20)
  t.ok(metricOf(first, 'nodejs_eventloop_utilization') > 0 && metricOf(first, 'nodejs_eventloop_utilization') <= 1)
  await new Promise((resolve) => { setTimeout(resolve, 300) })
  const idle = metricOf(metrics.render(), 'nodejs_eventloop_utilization')
  t.ok(idle < 0.5, `idle since the last scrape: ${idle}`)
})
