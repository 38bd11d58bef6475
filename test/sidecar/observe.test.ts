import { createObserver } from '../../src/sidecar/observe.ts'
import type { DecidedForward, DecidedReply, Decision } from '../../src/sidecar/decision.ts'
import type { Principal } from '../../src/auth/types.ts'
import type { Outcome, RequestHead } from '../../src/http/contract.ts'
import { createLineLimit } from '../../src/telemetry/line-limit.ts'
import { createLog, type LogLevel } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { REASON_NAMES } from '../../src/telemetry/reason.ts'
import { metricOf } from '../helpers/sidecar.ts'
import t from 'tap'

const at = { host: '127.0.0.1', port: 1 }
const head: RequestHead = { method: 'GET', target: '/orders/7?access_token=secret#x', headers: ['Host', 'a'], version: '1.1', peer: '10.0.0.7', listener: { bind: at, upstream: at } }
const decision = (fields: Partial<Decision>): Decision => ({ ruling: 'allow', reason: 'allowed', rule: 'orders', principal: undefined, issuer: undefined, detail: undefined, ...fields })
const forward = (fields: Partial<Decision>): DecidedForward => ({ kind: 'forward', upstream: at, headers: [], target: '/', upgrade: undefined, dropsResponseHeader: () => false, dropsTrailer: () => false, watched: false, decision: decision(fields) })
const refusal = (fields: Partial<Decision>): DecidedReply => ({ kind: 'reply', status: 401, headers: [], body: '', decision: decision({ ruling: 'deny', ...fields }) })
const outcome = (fields: Partial<Outcome> = {}): Outcome => ({ status: 200, failed: undefined, totalMs: 1.234_56, addedMs: 0.04, ...fields })

function observing(settings: { allowed?: number, random?: () => number, deniedPerSecond?: number, level?: LogLevel } = {}) {
  const lines: Record<string, unknown>[] = []
  const log = createLog({ level: settings.level ?? 'info', sink: (bytes, done) => {
    lines.push(...bytes.toString().trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>))
    setImmediate(done, null, bytes.length)
  } })
  const metrics = createMetrics()
  const limit = createLineLimit({ log, metrics })
  const { allowed = 0, deniedPerSecond = 50 } = settings
  const observer = createObserver({ log, limit, metrics, settings: { level: 'info', allowed, deniedPerSecond, subject: 'hashed' }, ...settings.random && { random: settings.random } })
  return { observer, metrics, limit, lines: async () => { await log.flush(); return lines } }
}

t.test('a denial is logged, with its cause; the query never', async (t) => {
  const { observer, lines } = observing()
  observer.finished(head, refusal({ reason: 'audience_mismatch', issuer: 'corp', detail: 'x'.repeat(1000) }), outcome({ status: 401 }))
  const [line] = await lines()
  t.match(line, { level: 'warn', msg: 'request', verdict: 'deny', reason: 'audience_mismatch', rule: 'orders', issuer: 'corp', method: 'GET', path: '/orders/7', peer: '10.0.0.7', status: 401, ms: 1.235 })
  t.equal(String(line!['detail']).length, 256)
  t.notMatch(JSON.stringify(line), 'secret')
})

t.test('what passes is logged by its share', async (t) => {
  const draws = [0.05, 0.5, 0.099, 0.1]
  const { observer, lines } = observing({ allowed: 0.1, random: () => draws.shift()! })
  for (let i = 0; i < 4; i++) observer.finished(head, forward({}), outcome())
  t.equal((await lines()).length, 2)
  const silent = observing({ allowed: 0 })
  silent.observer.finished(head, forward({}), outcome())
  t.same(await silent.lines(), [])
})

t.test('audit and failures are logged though they passed; a client that went away is not', async (t) => {
  const { observer, lines, metrics } = observing()
  observer.finished(head, forward({ ruling: 'audit', reason: 'token_missing' }), outcome())
  observer.finished(head, forward({}), outcome({ status: 502, failed: 'upstream_reset' }))
  observer.finished(head, forward({}), outcome({ status: 0, failed: 'client_aborted' }))
  t.match(await lines(), [{ verdict: 'audit', reason: 'token_missing' }, { verdict: 'allow', reason: 'upstream_reset', decided: 'allowed', status: 502 }])
  t.equal(metricOf(metrics.render(), 'sidegate_exchange_failures_total{reason="upstream_reset"}'), 1)
  t.equal(metricOf(metrics.render(), 'sidegate_exchange_failures_total{reason="client_aborted"}'), 1)
})

t.test('each request is counted once; in flight goes up and down; the added time only for what was forwarded', async (t) => {
  const { observer, metrics } = observing()
  const passed = forward({})
  const denied = refusal({ reason: 'token_expired' })
  observer.decided(passed.decision)
  observer.decided(denied.decision)
  t.equal(metricOf(metrics.render(), 'sidegate_in_flight'), 2)
  observer.finished(head, passed, outcome())
  observer.finished(head, denied, outcome())
  observer.refused('headers_too_large', '10.0.0.7', undefined)
  const page = metrics.render()
  t.equal(metricOf(page, 'sidegate_in_flight'), 0)
  t.equal(metricOf(page, 'sidegate_decisions_total{verdict="allow",reason="allowed",rule="orders"}'), 1)
  t.equal(metricOf(page, 'sidegate_decisions_total{verdict="deny",reason="token_expired",rule="orders"}'), 1)
  t.equal(metricOf(page, 'sidegate_decisions_total{verdict="deny",reason="headers_too_large",rule="-"}'), 1)
  t.equal(metricOf(page, 'sidegate_added_seconds_count'), 1)
})

t.test('a request that the transport refused is logged with what is known of it', async (t) => {
  const { observer, lines } = observing()
  observer.refused('malformed_request', '10.0.0.7', undefined)
  observer.refused('ambiguous_framing', '10.0.0.7', head)
  t.match(await lines(), [{ reason: 'malformed_request', rule: '-', peer: '10.0.0.7', status: 400 }, { reason: 'ambiguous_framing', path: '/orders/7', method: 'GET' }])
})

/** A principal whose subject nobody should look at: it is hashed for the line. */
const untouchable = { get subject(): string { throw new Error('the line was built') } } as unknown as Principal

t.test('A13: a line that is not written is not built, either; the decision is counted', async (t) => {
  const { observer, limit, lines, metrics } = observing({ deniedPerSecond: 1 })
  for (let i = 0; i < 10; i++) observer.finished(head, refusal({ reason: 'role_missing' }), outcome({ status: 403 }))
  for (let i = 0; i < 5; i++) {
    const denied = refusal({ reason: 'role_missing', principal: untouchable })
    observer.decided(denied.decision)
    observer.finished(head, denied, outcome({ status: 403 }))
  }
  observer.finished(head, refusal({ reason: 'token_expired' }), outcome({ status: 401 }))
  limit.tell()
  const all = await lines()
  t.same(all.map(({ msg, reason }) => `${msg as string}: ${reason as string}`), [...Array.from({ length: 10 }, () => 'request: role_missing'), 'request: token_expired', 'requests not logged: role_missing'])
  t.match(all.at(-1), { level: 'warn', verdict: 'deny', reason: 'role_missing', count: 5 })
  t.equal(metricOf(metrics.render(), 'sidegate_decisions_total{verdict="deny",reason="role_missing",rule="orders"}'), 5)
  t.equal(metricOf(metrics.render(), 'sidegate_log_suppressed_total{reason="role_missing"}'), 5)
})

t.test('audited requests and failures of the app have bounds of their own, and so has what the transport refuses', async (t) => {
  const { observer, limit, lines } = observing({ deniedPerSecond: 1 })
  for (let i = 0; i < 12; i++) {
    observer.finished(head, refusal({ reason: 'token_missing' }), outcome({ status: 401 }))
    observer.finished(head, forward({ ruling: 'audit', reason: 'token_missing' }), outcome())
    observer.finished(head, forward({}), outcome({ status: 502, failed: 'upstream_unreachable' }))
    observer.refused('malformed_request', '10.0.0.7', undefined)
  }
  limit.tell()
  const all = await lines()
  t.equal(all.filter(({ msg }) => msg === 'request').length, 40)
  t.same(all.filter(({ msg }) => msg !== 'request').map(({ verdict, reason, count }) => [verdict, reason, count]), [
    ['deny', 'token_missing', 2], ['deny', 'malformed_request', 2], ['audit', 'token_missing', 2], ['allow', 'upstream_unreachable', 2],
  ])
})

t.test('at level error no line is built, and none counts as withheld', async (t) => {
  const { observer, limit, lines, metrics } = observing({ deniedPerSecond: 1, level: 'error' })
  for (let i = 0; i < 20; i++) observer.finished(head, refusal({ reason: 'role_missing', principal: untouchable }), outcome({ status: 403 }))
  limit.tell()
  t.same(await lines(), [])
  t.notMatch(metrics.render(), 'sidegate_log_suppressed_total{')
})

t.test('every reason of the table can be counted', async (t) => {
  const { observer, metrics } = observing()
  for (const reason of REASON_NAMES) observer.decided(decision({ ruling: 'deny', reason }))
  for (const reason of REASON_NAMES) t.match(metrics.render(), `reason="${reason}"`)
})
