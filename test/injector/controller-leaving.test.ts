/**
 * What a controller that was told to go still does: it answers reviews, with all that they need, and writes nothing else. An uninstall deletes while
 * its pods drain; what they wrote back stayed for good. The API server is a double: it can hold a call at the moment that matters.
 */
import t, { type Test } from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { createLog } from '../../src/telemetry/log.ts'
import { CONFIG_COPY, NETWORK_POLICY, SOURCE_CONFIG } from '../../src/injector/names.ts'
import { controllerSchema } from '../../src/injector/options.ts'
import { startController, type Controller } from '../../src/injector/run.ts'
import type { KubeObject, Secret } from '../../src/kube/types.ts'
import { issuers, pod, profiles } from '../helpers/api-server.ts'
import { createFakeKube, type FakeKube } from '../helpers/fake-kube.ts'
import { until } from '../helpers/sidecar.ts'
import * as v from 'valibot'

const SYSTEM = 'sidegate-system'
const AUTHORITY = { resource: 'secrets', namespace: SYSTEM, name: 'sidegate-ca' } as const
const TRUST = { resource: 'mutatingwebhookconfigurations', name: 'sidegate' } as const
const COPY = { resource: 'configmaps', namespace: 'shop', name: CONFIG_COPY } as const
const SOURCE = { resource: 'configmaps', namespace: SYSTEM, name: SOURCE_CONFIG } as const
/** A drain long enough for whatever is going to happen. */
const DRAIN = 400

interface Running {
  readonly kube: FakeKube
  readonly controller: Controller
  readonly lines: readonly string[]
  /** Asks the webhook about a pod. */
  readonly review: (namespace: string) => Promise<boolean>
}

async function running(t: Test): Promise<Running> {
  const kube = createFakeKube()
  await kube.create('mutatingwebhookconfigurations', { metadata: { name: 'sidegate' }, webhooks: [{ name: 'pods', clientConfig: {} }] } as KubeObject)
  await kube.create('configmaps', { metadata: { name: SOURCE_CONFIG, namespace: SYSTEM }, data: { issuers, profiles } } as KubeObject)
  const options = v.parse(controllerSchema, {
    webhook: { bind: '127.0.0.1:0', extraNames: ['localhost'] }, health: { bind: '127.0.0.1:0' }, sidecar: { image: 'sidegate:test' },
    shutdown: { delay: `${DRAIN}ms`, grace: '1s' },
  })
  const lines: string[] = []
  const log = createLog({ level: 'debug', sink: (bytes, done) => { lines.push(...bytes.toString().trim().split('\n')); setImmediate(done, null, bytes.length) } })
  const completed = { options, namespace: SYSTEM, replica: 'one', kubeconfig: undefined, nativeByVersion: true, checkOnly: false }
  const controller = await startController(completed, { log, kube })
  let stopped: Promise<void> | undefined
  const stoppable: Controller = { ...controller, stop: () => stopped ??= controller.stop() }
  t.teardown(() => stoppable.stop())
  const { port } = await controller.ready
  const ca = Buffer.from((await kube.get<Secret>(AUTHORITY))!.data!['ca.crt']!, 'base64').toString()
  const agent = new Agent({ connect: { ca } })
  t.teardown(() => agent.close())
  await settled(kube)
  return {
    kube, controller: stoppable, lines,
    async review(namespace) {
      const body = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: { uid: 'u1', operation: 'CREATE', namespace, resource: { group: '', version: 'v1', resource: 'pods' }, object: pod(namespace, 'web') } }
      const answer = await request(`https://localhost:${port}/mutate`, { method: 'POST', dispatcher: agent, body: JSON.stringify(body) })
      return (await answer.body.json() as { response: { allowed: boolean } }).response.allowed
    },
  }
}

/** Waits until nothing more is written: what the last change set off is done. */
async function settled(kube: FakeKube): Promise<void> {
  for (let before = -1; before !== kube.writes.length;) {
    before = kube.writes.length
    await sleep(100)
  }
}

/** Holds the next call of this kind. @returns held: resolves when it has come; release: lets it go on */
function hold(kube: FakeKube, which: string) {
  const { promise: held, resolve: come } = Promise.withResolvers<void>()
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  kube.trouble = async (method, { resource, name }) => {
    if (`${method} ${resource}/${name}` !== which) return
    kube.trouble = () => {}
    come()
    await released
  }
  return { held, release }
}

/** What an uninstall does to what the controller keeps. */
async function uninstall(kube: FakeKube): Promise<void> {
  await kube.remove(AUTHORITY)
  await kube.patch(TRUST, 'json', [{ op: 'add', path: '/webhooks/0/clientConfig/caBundle', value: '' }])
  await kube.remove({ resource: 'configmaps', namespace: 'shop', name: CONFIG_COPY })
  await kube.remove({ resource: 'networkpolicies', namespace: 'shop', name: NETWORK_POLICY })
  await kube.patch(SOURCE, 'merge', { metadata: { annotations: null } })
}

t.test('while it runs, what is deleted comes back: the double can show it', async (t) => {
  const { kube, review } = await running(t)
  t.equal(await review('shop'), true)
  await kube.create('pods', { metadata: { name: 'web', namespace: 'shop', labels: { 'sidegate.dev/injected': 'true' } } })
  await settled(kube)
  await uninstall(kube)
  await until(async () => (await kube.get(AUTHORITY)) !== undefined && (await kube.get(COPY)) !== undefined)
})

t.test('told to go, it writes back nothing that is deleted while it drains', async (t) => {
  const { kube, review, controller } = await running(t)
  await review('shop')
  await kube.create('pods', { metadata: { name: 'web', namespace: 'shop', labels: { 'sidegate.dev/injected': 'true' } } })
  await settled(kube)
  const stopped = controller.stop()
  await uninstall(kube)
  const count = kube.writes.length
  await stopped
  t.same(kube.writes.slice(count), [])
  t.equal(await kube.get(AUTHORITY), undefined)
})

for (const [what, which, change] of [
  ['about the authority', 'get secrets/sidegate-ca', (kube: FakeKube) => kube.patch(TRUST, 'json', [{ op: 'add', path: '/webhooks/0/clientConfig/caBundle', value: '' }])],
  ['about whom the API server trusts', 'get mutatingwebhookconfigurations/sidegate', (kube: FakeKube) => kube.remove(AUTHORITY)],
  ['about a configuration', 'get configmaps/sidegate-profiles-accepted', (kube: FakeKube) => kube.patch(SOURCE, 'merge', { data: { profiles: '{"default":{}}' } })],
  ['about a namespace', 'get configmaps/sidegate-config', (kube: FakeKube) => kube.remove(COPY)],
] as const) {
  t.test(`a chore ${what} that is under way when it is told to go writes nothing any more`, async (t) => {
    const { kube, review, controller, lines } = await running(t)
    await review('shop')
    await kube.create('pods', { metadata: { name: 'web', namespace: 'shop', labels: { 'sidegate.dev/injected': 'true' } } })
    await settled(kube)
    const { held, release } = hold(kube, which)
    await change(kube)
    await held
    const stopped = controller.stop()
    await uninstall(kube)
    const count = kube.writes.length
    const said = lines.length
    release()
    await stopped
    t.same(kube.writes.slice(count), [])
    t.notMatch(lines.slice(said).join('\n'), 'will try again', 'nor does it complain')
  })
}

t.test('a review in the drain gets all it needs', async (t) => {
  const { kube, review, controller } = await running(t)
  const stopped = controller.stop()
  t.equal(await review('late'), true)
  t.ok(await kube.get({ resource: 'configmaps', namespace: 'late', name: CONFIG_COPY }), 'the configuration copy')
  t.ok(await kube.get({ resource: 'networkpolicies', namespace: 'late', name: NETWORK_POLICY }), 'the network policy')
  await stopped
  t.match(kube.writes.at(-1), /create (?:configmaps|networkpolicies|events)\/late/)
})
