/** When a refused configuration is tried again, and when none is applied any more. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { reloadOnChange } from '../../src/sidecar/reload.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { until, parsed, writeConfig } from '../helpers/sidecar.ts'

t.test('what was refused for a reason outside of the file is tried again; nothing is applied once the watch is stopped', async (t) => {
  const raw = { issuers: [{ name: 'corp', issuer: 'https://auth.internal', audiences: ['a'], keys: { discovery: true } }] }
  const file = writeConfig(raw, { host: '127.0.0.1', port: 1 })
  t.teardown(() => file.remove())
  const log = createLog({ sink: (bytes, done) => { done(null, bytes.length) } })
  const inForce = await parsed({ ...raw, listeners: [{ bind: '127.0.0.1:0', upstream: '127.0.0.1:1' }] })
  let applied = 0
  let problems: string[] = ['the deny-list cannot be read']
  const start = () => reloadOnChange({ config: file.path, pod: undefined }, { config: inForce, problems: [], warnings: [] }, { apply: () => { applied++; return Promise.resolve(problems) } }, { log, metrics: createMetrics(), interval: 10 })
  const stop = start()
  t.teardown(() => { stop() })
  await until(() => applied === 1)
  problems = []
  await until(() => applied === 2, 10_000, () => 'not tried again')
  stop()
  const again = start()
  again()
  await sleep(100)
  t.equal(applied, 2, 'stopped before the file was judged')
})
