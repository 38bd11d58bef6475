import { createIssuerPool } from '../../src/sidecar/issuer-pool.ts'
import { compileRuntime, type Runtime } from '../../src/sidecar/runtime.ts'
import type { Reply, RequestHead } from '../../src/http/contract.ts'
import { mintKey } from '../../src/demo/issuer.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { createLineLimit } from '../../src/telemetry/line-limit.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { startFaultyIssuer, until } from '../helpers/issuer.ts'
import { metricOf, parsed } from '../helpers/sidecar.ts'
import t, { type Test } from 'tap'

const key = await mintKey('ES256')

async function compiled(t: Test) {
  const lines: Record<string, unknown>[] = []
  const log = createLog({ sink: (bytes, done) => {
    lines.push(...bytes.toString().trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>))
    setImmediate(done, null, bytes.length)
  } })
  const metrics = createMetrics()
  const listener = { bind: { host: '127.0.0.1', port: 15001 }, upstream: { host: '127.0.0.1', port: 8080 } }
  const inForce: { runtime?: Runtime } = {}
  const shared = { log, limit: createLineLimit({ log, metrics }), metrics, clock: systemClock, pool: createIssuerPool({ log }), listeners: [listener], current: () => inForce.runtime! }
  const config = (fields: Record<string, unknown> = {}) => parsed({
    issuers: [{ name: 'corp', issuer: 'https://auth.internal', audiences: ['a'], keys: { inline: { keys: [key.jwk] } } }],
    listeners: [{ bind: '127.0.0.1:15001', upstream: '127.0.0.1:8080' }],
    ...fields,
  })
  const compile = async (fields?: Record<string, unknown>, previous?: Runtime) => {
    const runtime = await compileRuntime(await config(fields), shared, previous)
    t.teardown(() => runtime.dispose())
    inForce.runtime = runtime
    return runtime
  }
  const head: RequestHead = { method: 'GET', target: '/x', headers: ['Host', 'a'], version: '1.1', peer: '10.0.0.7', listener }
  return { compile, shared, metrics, lines, log, head }
}

t.test('a pipeline that throws is a bug and a refusal: nothing passes, in audit mode neither', async (t) => {
  for (const mode of ['enforce', 'audit']) {
    const { compile, metrics, lines, log, head } = await compiled(t)
    const { handler } = await compile({ mode })
    const verdict = await handler.decide({ ...head, headers: undefined as never }) as Reply
    t.match(verdict, { kind: 'reply', status: 500, body: '{"error":"internal_error","message":"Internal error."}\n' }, mode)
    t.equal(metricOf(metrics.render(), 'sidegate_decisions_total{verdict="deny",reason="internal_error",rule="-"}'), 1)
    await log.flush()
    t.match(lines.find(({ level }) => level === 'error'), { msg: /a bug in the sidecar/, error: /TypeError/ })
  }
})

t.test('keys go on where only timing and bounds change, as old as they are; another source begins anew', async (t) => {
  const issuer = await startFaultyIssuer({ algorithms: ['ES256'] })
  t.teardown(() => issuer.close())
  const { compile } = await compiled(t)
  const corp = (keys: object) => ({ issuers: [{ name: 'corp', issuer: issuer.url, audiences: ['a'], keys: { jwksUri: issuer.jwksUri, allowHttp: true, ...keys } }] })
  const first = await compile(corp({}))
  await until(() => first.keyStates()['corp']!.usable, 'keys')
  await issuer.stop()
  const second = await compile(corp({ cooldown: '20s', refresh: '1m' }), first)
  t.match(second.keyStates()['corp'], { usable: true, keys: 1 })
  t.ok(second.keyStates()['corp']!.ageMs! >= first.keyStates()['corp']!.ageMs! - 1)
  const third = await compile(corp({ maxAge: '1ms' }), second)
  await until(() => !third.keyStates()['corp']!.usable, 'lapsed by the new bound')
  const fourth = await compile(corp({ jwksUri: `${issuer.jwksUri}?other` }), second)
  t.match(fourth.keyStates()['corp'], { usable: false, keys: 0 })
})

t.test('the next configuration takes over key sets and verified tokens of what did not change, and closes what nobody uses', async (t) => {
  const { compile, shared } = await compiled(t)
  const first = await compile()
  const { keys } = shared.pool.lease(first.config.issuers[0]!)
  const second = await compile({ mode: 'audit' }, first)
  t.equal(shared.pool.lease(second.config.issuers[0]!).keys, keys)
  t.equal(second.cache, first.cache)
  const third = await compile({ cache: { entries: 10 } }, second)
  t.not(third.cache, second.cache)
})

t.test('a configuration of which one part cannot be made leaves nothing open', async (t) => {
  const { compile, shared } = await compiled(t)
  const first = await compile()
  const lease = shared.pool.lease(first.config.issuers[0]!)
  lease.release()
  await t.rejects(compile({ denylist: { file: '/nonexistent/deny.json' } }), /deny-list \/nonexistent\/deny\.json/)
  t.equal(first.keyStates()['corp']?.usable, true, 'the one in force goes on')
})

t.test('readiness by policy', async (t) => {
  const { compile } = await compiled(t)
  const missing = { name: 'gone', issuer: 'https://gone.internal', audiences: ['a'], keys: { file: '/nonexistent/jwks.json' } }
  const good = { name: 'corp', issuer: 'https://auth.internal', audiences: ['a'], keys: { inline: { keys: [key.jwk] } } }
  t.match((await compile({ issuers: [good, missing] })).keysMissing(), [/^issuer gone has no keys: /])
  t.same((await compile({ issuers: [good, missing], readiness: 'any' })).keysMissing(), [])
  t.match((await compile({ issuers: [missing], readiness: 'any' })).keysMissing(), [/gone/])
  t.same((await compile({ issuers: [missing], readiness: 'none' })).keysMissing(), [])
})
