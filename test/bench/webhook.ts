/**
 * The webhook's latency: AdmissionReviews at a fixed rate over TLS to the real server and injector, namespace in place (as for every pod but a namespace's
 * first). Prints percentiles as JSON.
 *   node test/bench/webhook.ts [--rate 100] [--seconds 20] [--size BYTES]
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Agent, request } from 'undici'
import { createLog } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { createAuthority, issueLeaf } from '../../src/pki/authority.ts'
import { createAdmission } from '../../src/injector/admit.ts'
import { noEvents } from '../../src/injector/events.ts'
import { injectorSettings } from '../../src/injector/settings.ts'
import { startWebhookServer } from '../../src/injector/webhook-server.ts'

const { values } = parseArgs({ options: { rate: { type: 'string', default: '100' }, seconds: { type: 'string', default: '20' }, size: { type: 'string', default: '4000' } } })
const [rate, seconds, size] = [Number(values.rate), Number(values.seconds), Number(values.size)]

const validity = { now: Date.now(), validityMs: 3_600_000 }
const ca = await createAuthority('bench', validity)
const log = createLog({ level: 'error' })
const settings = injectorSettings({ image: 'sidegate:bench' })
const admit = createAdmission({
  settings: () => settings,
  source: { accepted: () => ({ profiles: new Map([['default', '{}']]), files: new Map(), hash: 'bench', warnings: [] }), problems: () => [] },
  guarantee: { admit: () => Promise.resolve() },
  surroundings: () => [],
  events: noEvents, metrics: createMetrics(), log, sourceName: 'bench', namespace: 'sidegate-system',
})
const server = await startWebhookServer({ bind: { host: '127.0.0.1', port: 0 }, admit, log, certificate: await issueLeaf(ca, ['127.0.0.1'], validity) })
const agent = new Agent({ connect: { ca: ca.cert } })

const containers = [
  { name: 'app', image: 'app:1', ports: [{ name: 'http', containerPort: 8080 }, { name: 'admin', containerPort: 9090 }], readinessProbe: { httpGet: { path: '/ready', port: 'http' } },
    env: [{ name: 'FILLER', value: 'x'.repeat(Math.max(0, size - 1000)) }] },
  { name: 'helper', image: 'helper:1' },
]
const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { generateName: 'web-', namespace: 'shop', annotations: { 'sidegate.dev/inject': 'true' } }, spec: { containers } }
const review = JSON.stringify({
  apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview',
  request: { uid: 'bench', operation: 'CREATE', namespace: 'shop', kind: { group: '', version: 'v1', kind: 'Pod' }, resource: { group: '', version: 'v1', resource: 'pods' }, object: pod },
})

const times: number[] = []
async function one(): Promise<void> {
  const started = performance.now()
  const { statusCode, body } = await request(`https://127.0.0.1:${server.address.port}/mutate`, { method: 'POST', body: review, dispatcher: agent, headers: { 'content-type': 'application/json' } })
  const answer = await body.json() as { response: { patch?: string } }
  times.push(performance.now() - started)
  if (statusCode !== 200 || answer.response.patch === undefined) throw new Error(`not injected: ${JSON.stringify(answer)}`)
}

for (let i = 0; i < 50; i++) await one()
times.length = 0
const delay = monitorEventLoopDelay({ resolution: 5 })
delay.enable()
const pending: Promise<void>[] = []
const start = performance.now()
for (let i = 0; i < rate * seconds; i++) {
  // Open loop: sent when due, whatever became of the earlier ones.
  const wait = start + i * 1000 / rate - performance.now()
  if (wait > 1) await sleep(wait)
  pending.push(one())
}
await Promise.all(pending)
const sorted = times.sort((a, b) => a - b)
const at = (share: number) => Number(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(2))
console.log(JSON.stringify({
  reviews: times.length, rate, reviewBytes: review.length, ms: { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) },
  eventLoopDelayP99Ms: Number((delay.percentile(99) / 1e6).toFixed(1)), residentMiB: Math.round(process.memoryUsage.rss() / 1024 ** 2),
}))
await server.close(0, 0)
await agent.close()
