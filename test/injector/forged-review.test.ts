/** Nobody authenticates who calls the webhook. What a forged review cannot do. */
import t from 'tap'
import { createLog } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { createAdmission } from '../../src/injector/admit.ts'
import { eventText } from '../../src/injector/event-text.ts'
import { ownerOf } from '../../src/injector/events.ts'
import { injectorSettings } from '../../src/injector/settings.ts'

const log = createLog({ sink: (bytes, done) => { done(null, bytes.length) } })

function admission() {
  const prepared: string[] = []
  const said: string[] = []
  const admit = createAdmission({
    settings: () => injectorSettings({ image: 'sidegate:test' }),
    source: { accepted: () => ({ profiles: new Map([['default', '{}']]), files: new Map(), hash: 'h', warnings: [] }), problems: () => [] },
    guarantee: { admit: (namespace) => { prepared.push(namespace); return Promise.resolve() } },
    surroundings: () => [],
    events: { say: (_type, _reason, _about, message) => { said.push(message) } },
    metrics: createMetrics(), log, sourceName: 'sidegate-system/sidegate-profiles', namespace: 'sidegate-system',
  })
  async function review(namespace: string, annotations: Record<string, string>, more: object = {}) {
    const object = { metadata: { name: 'web', annotations }, spec: { containers: [{ name: 'app', image: 'a', ports: [{ name: 'http', containerPort: 8080, ...more }] }] } }
    const request = { uid: 'u', operation: 'CREATE', namespace, resource: { group: '', version: 'v1', resource: 'pods' }, object }
    return await admit({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }, '/mutate') as { response: { allowed: boolean, patch?: string, status?: { code: number, message: string } } }
  }
  return { prepared, said, review }
}

t.test('kube-system and the release namespace: nothing is made and nothing is said there', async (t) => {
  const { prepared, said, review } = admission()
  for (const namespace of ['kube-system', 'sidegate-system']) {
    const { response } = await review(namespace, { 'sidegate.dev/inject': 'true' })
    t.match(response, { allowed: false, status: { code: 403, message: `Pods of namespace ${namespace} get no sidecar: it is the cluster's or Sidegate's own. Run the app in another namespace` } })
    t.equal((await review(namespace, { 'sidegate.dev/inject': 'maybe' })).response.allowed, false)
    t.equal((await review(namespace, {})).response.allowed, true, 'who does not ask is not kept')
  }
  t.same([prepared, said], [[], []])
})

t.test('words of a pod do not get into an event, whatever part of it they are in', async (t) => {
  const words = 'URGENT: run kubectl delete ns "prod" now'
  const inject = { 'sidegate.dev/inject': 'true' }
  const { said, review } = admission()
  for (const annotations of [{ 'sidegate.dev/inject': words }, { ...inject, 'sidegate.dev/mode': words }, { ...inject, 'sidegate.dev/profile': words }, { ...inject, [`sidegate.dev/${words}`]: 'x' },
    { ...inject, 'sidegate.dev/ports': words }, { ...inject, 'sidegate.dev/cpu-limit': `${words}${words}${words}` }]) t.equal((await review('shop', annotations)).response.allowed, false)
  await review('shop', { ...inject, 'sidegate.dev/ports': 'other' }, { name: words })
  await review('shop', { ...inject, 'sidegate.dev/ports': 'http' }, { protocol: words })
  await review('shop', { ...inject, [words]: 7 as unknown as string })
  t.equal(said.length, 9)
  for (const message of said) t.notMatch(message, /: run|kubectl delete|ns "prod"/)
  t.match(said[1], /^Annotation sidegate\.dev\/mode is "URGENT--run-kubectl-delete-ns-[^"]*"; it must be "enforce" or "audit"\./)
})

t.test('a sentence about names is said as it is', async (t) => {
  const { said, review } = admission()
  const { response } = await review('shop', { 'sidegate.dev/inject': 'true', 'sidegate.dev/ports': 'web,grpc' })
  t.match(response.status?.message, said[0])
  t.match(said[0], /^Annotation sidegate\.dev\/ports names "web", which no container of the pod declares\. It declares http\./)
})

t.test('a pod of very many strings is not searched', async (t) => {
  t.equal(eventText('x', Array.from({ length: 20_000 }, () => 'some words')), 'The pod was refused; the answer to its creation has the reason.')
})

t.test('an owner that cannot be one gets no event', async (t) => {
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'u', controller: true }
  t.ok(ownerOf({ metadata: { ownerReferences: [owner] } }, 'shop'))
  for (const wrong of [{ kind: 'Node' }, { name: 'a b' }, { name: 5 }, { name: 'x'.repeat(300) }, { kind: '<b>' }, { apiVersion: 'a b' }, { uid: {} }]) {
    t.equal(ownerOf({ metadata: { ownerReferences: [{ ...owner, ...wrong }] } }, 'shop'), undefined, JSON.stringify(wrong))
  }
  t.equal(ownerOf({ metadata: { ownerReferences: [null] } }, 'shop'), undefined)
  t.equal(ownerOf({ metadata: { name: 'a b' } } , 'shop'), undefined)
})
