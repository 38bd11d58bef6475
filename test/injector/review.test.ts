import { applyPatch, type Operation } from 'rfc6902'
import t from 'tap'
import type { Pod } from '../../src/injector/pod.ts'
import { denied, review, withWarnings, type Reviewed } from '../../src/injector/review.ts'
import { injectorSettings } from '../../src/injector/settings.ts'

const settings = injectorSettings({ image: 'sidegate:dev' })
const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { generateName: 'web-', annotations: { 'sidegate.dev/inject': 'true' } },
  spec: { containers: [{ name: 'app', image: 'a', ports: [{ containerPort: 8080 }] }] },
}
const request = (more: Record<string, unknown> = {}) => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: { uid: 'f0c1', operation: 'CREATE', namespace: 'shop', resource: { group: '', version: 'v1', resource: 'pods' }, object: pod, ...more },
})

function reviewed(body: unknown, options = {}): Reviewed {
  const result = review(body, settings, options)
  if ('malformed' in result) throw new Error(result.malformed)
  return result
}

function patched(body: Reviewed['body'], object: unknown): unknown {
  const copy = structuredClone(object)
  for (const error of applyPatch(copy, JSON.parse(Buffer.from(body.response.patch!, 'base64').toString()) as Operation[])) if (error) throw error
  return copy
}

t.test('a pod that asks is patched', async (t) => {
  const { body, outcome, namespace, dryRun } = reviewed(request())
  t.match(body, { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid: 'f0c1', allowed: true, patchType: 'JSONPatch' } })
  if (outcome.kind !== 'injected') throw new Error(outcome.kind)
  t.strictSame(patched(body, pod), outcome.pod)
  t.equal(outcome.original, pod)
  t.strictSame(outcome.ports, [{ app: 8080, listen: 15_001 }])
  t.equal(namespace, 'shop')
  t.equal(dryRun, false)
  t.match(body.response.warnings, [/^sidegate: port 8080 of container app has no name/])
})

t.test('a dry run gets the same answer and says so', async (t) => {
  const dry = reviewed(request({ dryRun: true }))
  t.equal(dry.dryRun, true)
  t.strictSame(dry.body, reviewed(request()).body)
})

t.test('once injected there is nothing to patch', async (t) => {
  const { outcome } = reviewed(request())
  if (outcome.kind !== 'injected') throw new Error(outcome.kind)
  const again = reviewed(request({ object: structuredClone(outcome.pod) }))
  t.strictSame(again.body.response, { uid: 'f0c1', allowed: true })
  t.match(again.outcome, { kind: 'unchanged', choices: { profile: 'default' } })
})

t.test('a refusal has a code, a reason and the sentence', async (t) => {
  const bad = { ...pod, metadata: { annotations: { 'sidegate.dev/inject': 'true', 'sidegate.dev/mode': 'off' } } }
  t.match(reviewed(request({ object: bad })).body.response, { allowed: false, status: { code: 422, reason: 'Invalid', message: /sidegate\.dev\/mode is "off"; it must be "enforce" or "audit"/ } })
  const own = { ...pod, spec: { containers: [...pod.spec.containers, { name: 'sidegate', image: 'x' }] } }
  const { body, outcome } = reviewed(request({ object: own }))
  t.match(body.response, { uid: 'f0c1', allowed: false, status: { code: 403, reason: 'Forbidden' } })
  t.match(outcome, { kind: 'refused', code: 403, sentence: /own container/ })
  t.notOk(body.response.patch)
})

t.test('what is not the creation of a pod passes', async (t) => {
  const cases = [
    { operation: 'UPDATE' }, { operation: 'DELETE', object: null }, { subResource: 'ephemeralcontainers' }, { resource: { group: 'apps', resource: 'deployments' } }, { resource: undefined },
    { object: { ...pod, metadata: {} } }, { object: { ...pod, metadata: { annotations: { 'sidegate.dev/inject': 'false' } } } },
  ]
  for (const more of cases) {
    const { body, outcome } = reviewed(request(more))
    t.strictSame(body.response, { uid: 'f0c1', allowed: true }, JSON.stringify(more))
    t.equal(outcome.kind, 'skipped')
  }
})

t.test('a namespace that opted in', async (t) => {
  const silent = { ...pod, metadata: {} }
  t.equal(reviewed(request({ object: silent }), { optIn: true }).outcome.kind, 'injected')
  t.equal(reviewed(request({ object: { ...pod, metadata: { annotations: { 'sidegate.dev/inject': 'false' } } } }), { optIn: true }).outcome.kind, 'skipped')
})

t.test('what is not a review is told, never thrown', async (t) => {
  const bad = [null, 1, 'x', [], {}, { apiVersion: 'admission.k8s.io/v1beta1', kind: 'AdmissionReview', request: { uid: 'u' } }, { ...request(), request: null }, { ...request(), request: [] }, request({ uid: '' }), request({ uid: 7 })]
  for (const body of bad) t.match(review(body, settings), { malformed: /AdmissionReview/ }, JSON.stringify(body))
})

t.test('a pod that is no pod is refused, not crashed on', async (t) => {
  for (const spec of [undefined, null, [], { containers: 'x' }, { containers: [null] }, { containers: [] }]) {
    t.match(reviewed(request({ object: { ...pod, spec } })).body.response, { allowed: false, status: { code: 422, message: /spec/ } })
  }
  t.equal(reviewed(request({ object: null })).outcome.kind, 'skipped')
})

t.test('3 MiB of a pod, and lists as long as that allows, take linear time', async (t) => {
  const env = Array.from({ length: 30_000 }, (_, index) => ({ name: `V${index}`, value: 'x'.repeat(60) }))
  const big = { ...pod, spec: { containers: [{ ...pod.spec.containers[0]!, env }] } }
  t.ok(JSON.stringify(big).length > 2.5 * 1024 ** 2)
  t.strictSame(patched(reviewed(request({ object: big })).body, big), (reviewed(request({ object: big })).outcome as { pod: Pod }).pod)
  const many = { ...pod, spec: { containers: Array.from({ length: 20_000 }, (_, index) => ({ name: `c${index}`, image: 'a', ...(index === 0 && { ports: [{ containerPort: 8080 }] }), livenessProbe: { tcpSocket: { port: 8080 } } })) } }
  const moved = { ...many, metadata: { annotations: { 'sidegate.dev/inject': 'true', 'sidegate.dev/interception': 'loopback' } } }
  t.match(reviewed(request({ object: moved })).outcome, { kind: 'refused', sentence: /more than 500 containers/ })
  t.equal(reviewed(request({ object: { ...moved, spec: { containers: many.spec.containers.slice(0, 500) } } })).outcome.kind, 'injected')
  const asking = (annotations: Record<string, string>, spec: object = pod.spec) => reviewed(request({ object: { metadata: { annotations: { 'sidegate.dev/inject': 'true', ...annotations } }, spec } })).outcome
  t.match(asking({ 'sidegate.dev/ports': Array.from({ length: 400_000 }, (_, index) => `p${index}`).join(',') }), { kind: 'refused', sentence: /more than 16/ })
  t.match(asking({ [`sidegate.dev/${'x'.repeat(1e6)}`]: '' }), { kind: 'refused' })
  t.match(asking({ 'sidegate.dev/profile': 'a-'.repeat(1e6) }), { kind: 'refused' })
  const names = Array.from({ length: 60_000 }, (_, index) => `s${index}`)
  const { outcome } = reviewed(request())
  if (outcome.kind !== 'injected') throw new Error(outcome.kind)
  const annotations = { 'sidegate.dev/original': JSON.stringify({ ports: [{ listen: 15_001, app: 8080 }], pullSecrets: names, annotations: names, labels: names }) }
  t.equal(asking(annotations, { ...outcome.pod.spec, imagePullSecrets: names.map((name) => ({ name: `x${name}` })) }).kind, 'injected')
})

t.test('warnings are prefixed, cut and limited', async (t) => {
  const { body } = reviewed(request())
  const all = withWarnings(body, ['a'.repeat(400), ...Array.from({ length: 30 }, (_, index) => `w${index}`)]).response.warnings!
  t.equal(all.length, 15)
  t.ok(all.every((warning) => warning.startsWith('sidegate: ') && warning.length <= 256))
  t.ok(all.join('').length < 4096)
  t.equal(withWarnings(body, []), body)
})

t.test('a denial for a reason outside the pod', async (t) => {
  t.strictSame(denied('u', 503, 'why').response, { uid: 'u', allowed: false, status: { code: 503, message: 'why', reason: 'ServiceUnavailable' } })
  t.match(denied('u', 500, 'why').response, { status: { reason: 'InternalError' } })
})
