import { createHealth } from '../../src/sidecar/health.ts'
import type { Reply, RequestHead } from '../../src/http/contract.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import t from 'tap'

const at = { host: '127.0.0.1', port: 15020 }
const head = (method: string, target: string): RequestHead => ({ method, target, headers: ['Host', 'x'], version: '1.1', peer: '10.0.0.1', listener: { bind: at, upstream: at } })

function service(state: { unready?: string[], started?: boolean } = {}) {
  const metrics = createMetrics()
  const handler = createHealth({
    unready: () => state.unready ?? [],
    started: () => state.started ?? true,
    metrics,
    probe: (name) => name === 'app/readiness' ? Promise.resolve({ ok: true, detail: 'HTTP status 200' }) : name === 'app/liveness' ? Promise.resolve({ ok: false, detail: 'HTTP status 500' }) : undefined,
  })
  const ask = async (target: string, method = 'GET') => {
    const { status, body } = await handler.decide(head(method, target)) as Reply
    return { status, body }
  }
  return { ask, handler, metrics }
}

t.test('live, started and ready', async (t) => {
  const { ask } = service()
  for (const path of ['/livez', '/readyz', '/startupz', '/readyz?verbose']) t.same(await ask(path), { status: 200, body: 'ok\n' }, path)
})

t.test('not ready says why; it is alive all the same', async (t) => {
  const { ask, metrics } = service({ unready: ['issuer corp has no keys yet', 'draining'] })
  t.same(await ask('/readyz'), { status: 503, body: 'not ready: issuer corp has no keys yet; draining\n' })
  t.equal((await ask('/livez')).status, 200)
  t.equal((await ask('/startupz')).status, 200, 'start-up does not depend on issuers')
  t.match(metrics.render(), 'sidegate_ready 0')
})

t.test('not started', async (t) => { t.equal((await service({ started: false }).ask('/startupz')).status, 503) })

t.test('metrics', async (t) => {
  const { ask } = service()
  t.match((await ask('/metrics')).body, 'sidegate_ready 1')
})

t.test('the app\'s probes', async (t) => {
  const { ask } = service()
  t.same(await ask('/probe/app/readiness'), { status: 200, body: 'HTTP status 200\n' })
  t.same(await ask('/probe/app/liveness'), { status: 503, body: 'HTTP status 500\n' })
  t.equal((await ask('/probe/app/other')).status, 404)
  t.equal((await ask('/probe/__proto__/x')).status, 404)
})

t.test('nothing else', async (t) => {
  const { ask } = service()
  t.equal((await ask('/')).status, 404)
  t.equal((await ask('/config')).status, 404)
  t.equal((await ask('/livez', 'POST')).status, 405)
  t.equal((await ask('/livez', 'HEAD')).status, 200)
  t.equal(service().handler.refuse('headers_too_large', '10.0.0.1').status, 431)
})
