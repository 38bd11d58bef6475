/** What a user of a namespace can do to the copy and the policy there, and an API server that stores a policy in its own way. */
import t, { type Test } from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../../src/lib/clock.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { createGuarantee } from '../../src/injector/guarantee.ts'
import { networkPolicy, type NetworkPolicyOptions } from '../../src/injector/network-policy.ts'
import type { Owner } from '../../src/injector/owners.ts'
import type { Accepted } from '../../src/injector/source-config.ts'
import { startInformer } from '../../src/kube/informer.ts'
import { KubeError } from '../../src/kube/kube-error.ts'
import type { ConfigMap, KubeObject, NetworkPolicy } from '../../src/kube/types.ts'
import { createFakeKube } from '../helpers/fake-kube.ts'

const log = createLog({ sink: (bytes, done) => { done(null, bytes.length) }, level: 'error' })
const owner: Owner = { current: () => undefined, refresh: () => Promise.resolve() }
const accepted: Accepted = { profiles: new Map([['default', '{"issuers":[1]}']]), files: new Map(), hash: 'h', warnings: [] }
const CLOSED: NetworkPolicyOptions = { from: [], healthFrom: [], egress: null }
const COPY = 'configmaps/shop/sidegate-config'
const POLICY = 'networkpolicies/shop/sidegate'

/** A namespace with one injected pod, provided for. */
async function shop(t: Test, policy: NetworkPolicyOptions & { mode: 'manage' | 'require' } = { mode: 'manage', ...CLOSED }) {
  const kube = createFakeKube()
  const [copies, policies, pods] = [startInformer<ConfigMap>(kube, 'configmaps'), startInformer<NetworkPolicy>(kube, 'networkpolicies'), startInformer<KubeObject>(kube, 'pods')]
  t.teardown(() => { for (const informer of [copies, policies, pods]) informer.stop() })
  await Promise.all([copies.synced, policies.synced, pods.synced])
  const guarantee = createGuarantee({
    kube, background: kube, copies, policies, pods, owner, policy, log, clock: systemClock, accepted: () => accepted, removed: () => new Map(), keepMs: 600_000, deadlineMs: 3_000,
  })
  await kube.create('pods', { metadata: { name: 'web', namespace: 'shop', labels: { 'sidegate.dev/injected': 'true' } } })
  if (policy.mode === 'manage') await guarantee.admit('shop', 'default')
  const seen = () => sleep(20)
  await seen()
  return { kube, guarantee, seen, copy: (): ConfigMap | undefined => kube.objects.get(COPY), policy: () => kube.objects.get(POLICY) as NetworkPolicy | undefined }
}

t.test('edited or deleted: written, and no dispute with another controller', async (t) => {
  const { kube, guarantee, seen, copy, policy } = await shop(t)
  await kube.replace<ConfigMap>('configmaps', { ...copy()!, data: { 'default.json': '{"rules":[]}', 'junk.json': 'x' } })
  await seen()
  t.equal(await guarantee.reconcile('shop', false), 'written')
  t.same(copy()?.data, { 'default.json': '{"issuers":[1]}' })
  for (const spec of [{ ...policy()!.spec, ingress: [{}] }, { ...policy()!.spec, podSelector: {} }, { ...policy()!.spec, ingress: [{ ports: [{ port: 15_001, endPort: 60_000 }] }] }]) {
    await seen()
    await kube.replace<NetworkPolicy>('networkpolicies', { ...policy()!, spec })
    await seen()
    t.equal(await guarantee.reconcile('shop', false), 'written')
    t.same(policy()!.spec, networkPolicy('shop', CLOSED).spec)
  }
  await kube.remove({ resource: 'networkpolicies', namespace: 'shop', name: 'sidegate' })
  await seen()
  t.equal(await guarantee.reconcile('shop', false), 'written')
  t.ok(policy())
})

t.test('what another version may have written: a dispute, left when it is not to be carried on', async (t) => {
  const { kube, guarantee, seen, copy, policy } = await shop(t)
  await kube.replace<ConfigMap>('configmaps', { ...copy()!, data: { 'default.json': '{ "issuers": [ 1 ] }' } })
  await kube.replace<NetworkPolicy>('networkpolicies', { ...policy()!, spec: networkPolicy('shop', { ...CLOSED, from: [{ podSelector: {} }] }).spec })
  await seen()
  t.equal(await guarantee.reconcile('shop', false), 'left')
  t.same(copy()?.data, { 'default.json': '{ "issuers": [ 1 ] }' })
  t.equal(await guarantee.reconcile('shop', true), 'disputed')
  await seen()
  t.equal(await guarantee.reconcile('shop', true), 'right')
})

t.test('a copy filled up by labels of others, or frozen and bound: what is wanted is written all the same', async (t) => {
  for (const attack of [{ metadata: { labels: { filler: 'x' } } }, { immutable: true, metadata: { finalizers: ['example.org/keep'] } }] as object[]) {
    const { kube, guarantee, seen, copy } = await shop(t)
    const full = { ...copy()!, ...attack, data: { 'default.json': 'evil' }, metadata: { ...copy()!.metadata, ...(attack as { metadata: object }).metadata } } as ConfigMap
    await kube.replace<ConfigMap>('configmaps', full)
    await seen()
    const real = { ...kube }
    kube.replace = (resource, object, options) => {
      const { immutable, data, metadata } = object as ConfigMap & { immutable?: boolean }
      if (metadata.labels?.['filler'] || ((copy() as { immutable?: boolean }).immutable && (!immutable || data!['default.json'] !== 'evil'))) {
        return Promise.reject(new KubeError(422, 'Invalid', 'Too long'))
      }
      return real.replace(resource, object, options)
    }
    kube.remove = (ref, had, options) => (copy()!.metadata as { finalizers?: string[] }).finalizers?.length ? Promise.resolve() : real.remove(ref, had, options)
    t.equal(await guarantee.reconcile('shop', false), 'written')
    t.same(copy()?.data, { 'default.json': '{"issuers":[1]}' })
  }
})

t.test('mode require with a policy as the API server stores it', async (t) => {
  const policy = { mode: 'require' as const, from: [{ ipBlock: { cidr: '10.0.0.0/8', except: [] } }], healthFrom: [], egress: [{ ports: [{ port: 443 }] }] }
  const { kube, guarantee } = await shop(t, policy)
  const { spec } = networkPolicy('shop', policy)
  await kube.create<NetworkPolicy>('networkpolicies', {
    metadata: { name: 'sidegate', namespace: 'shop' },
    spec: { ...spec, ingress: [{ ...spec.ingress![0], from: [{ ipBlock: { cidr: '10.0.0.0/8' } }] }], egress: [{ ports: [{ port: 443, protocol: 'TCP' }] }] },
  })
  await guarantee.admit('shop', 'default')
  t.ok(kube.objects.get(COPY))
})
