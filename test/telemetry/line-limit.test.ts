/** Bounded lines, with a clock of our own. */
import { createLineLimit } from '../../src/telemetry/line-limit.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { fakeClock } from '../helpers/issuer.ts'
import { metricOf } from '../helpers/sidecar.ts'
import t from 'tap'

function limiting() {
  const told: Record<string, unknown>[] = []
  const log = createLog({ sink: (bytes, done) => {
    told.push(...bytes.toString().trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>))
    setImmediate(done, null, bytes.length)
  } })
  const metrics = createMetrics()
  const clock = fakeClock()
  const limit = createLineLimit({ log, metrics, clock })
  return {
    limit, metrics,
    timers: () => clock.pending.length,
    /** How many of `n` lines are written now. */
    burst: (n: number, perSecond: number, verdict = 'deny') => Array.from({ length: n }, () => limit.admits(verdict, 'token_expired', perSecond)).filter(Boolean).length,
    pass: (by: number) => { clock.advance(by) },
    told: async () => { await log.flush(); return told.splice(0).map(({ msg, verdict, reason, count }) => ({ msg, verdict, reason, count })) },
  }
}

t.test('ten seconds\' worth at once, then so many a second, and never more than the burst saved up', async (t) => {
  const { burst, pass } = limiting()
  t.equal(burst(10_000, 50), 500)
  pass(1_000)
  t.equal(burst(10_000, 50), 50)
  pass(100)
  t.equal(burst(10_000, 50), 5)
  pass(3_600_000)
  t.equal(burst(10_000, 50), 500)
})

t.test('a rate below the flood is steady: one line at each fiftieth of a second', async (t) => {
  const { burst, pass } = limiting()
  burst(500, 50)
  let written = 0
  for (let i = 0; i < 10_000; i++) {
    pass(1)
    written += burst(10, 50)
  }
  t.equal(written, 500)
})

t.test('what was not written is told once a second, by one line a kind, by a timer that runs only then', async (t) => {
  const { burst, pass, timers, told, metrics } = limiting()
  burst(500, 50)
  t.equal(timers(), 0, 'nothing to tell, no timer')
  burst(7, 50)
  burst(503, 50, 'audit')
  t.equal(timers(), 1)
  pass(999)
  t.same(await told(), [])
  pass(1)
  t.same(await told(), [
    { msg: 'requests not logged', verdict: 'deny', reason: 'token_expired', count: 7 },
    { msg: 'requests not logged', verdict: 'audit', reason: 'token_expired', count: 3 },
  ])
  pass(10_000)
  t.same(await told(), [], 'once')
  t.equal(timers(), 0)
  burst(501, 50)
  pass(1_000)
  t.match(await told(), [{ verdict: 'deny', count: 1 }], 'since it was last told')
  t.equal(metricOf(metrics.render(), 'sidegate_log_suppressed_total{reason="token_expired"}'), 11)
})

t.test('at the end the rest is told at once, and its timer goes', async (t) => {
  const { limit, burst, timers, told } = limiting()
  burst(503, 50)
  limit.tell()
  t.match(await told(), [{ count: 3 }])
  t.equal(timers(), 0)
  limit.tell()
  t.same(await told(), [])
})

t.test('another rate is in force at once; 0 is no bound', async (t) => {
  const { burst, pass } = limiting()
  t.equal(burst(10_000, 0), 10_000)
  t.equal(burst(10_000, 50), 500)
  t.equal(burst(100, 0), 100)
  pass(1_000)
  t.equal(burst(100, 1), 1)
  pass(20_000)
  t.equal(burst(100, 1), 10)
})
