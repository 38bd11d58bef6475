/** What is removed and repaired, and what is not while a cache may be old. */
import t from 'tap'
import { planCopy } from '../../src/injector/copies.ts'
import { createGuarantee } from '../../src/injector/guarantee.ts'
import { CONFIG_COPY, NETWORK_POLICY } from '../../src/injector/names.ts'
import { networkPolicy } from '../../src/injector/network-policy.ts'
import type { ConfigMap, KubeObject, NetworkPolicy } from '../../src/kube/types.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { createFakeKube } from '../helpers/fake-kube.ts'

const MINUTE = 60_000
const accepted = { profiles: new Map([['default', '{}'], ['strict', '{}']]), files: new Map<string, string>(), hash: 'h', warnings: [] }
const owner = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', name: 'x', uid: '1' }
const policy = { from: [], healthFrom: [], egress: null, mode: 'manage' as const }

const podWith = (profile: string): KubeObject => ({ metadata: { name: profile, namespace: 'shop', annotations: { 'sidegate.dev/profile': profile } } })

/** A guarantee over caches in the test's hand. */
async function guarantee(caches: { pods?: KubeObject[], podsFresh?: boolean, policiesFresh?: boolean, policy?: Partial<NetworkPolicy> }) {
  let now = Date.UTC(2030, 0, 1)
  const kube = createFakeKube()
  const plan = planCopy(undefined, { namespace: 'shop', used: new Set(['default', 'strict']), accepted, now, keepMs: MINUTE, owner })
  if (plan.kind !== 'write') throw new Error(plan.kind)
  await kube.create('configmaps', plan.copy)
  await kube.create('networkpolicies', { ...networkPolicy('shop', policy), ...caches.policy })
  const informer = <T extends KubeObject>(list: () => T[], fresh = true) => ({
    get: (name: string) => list().find(({ metadata }) => metadata.name === name), list: () => list(), fresh: () => fresh, synced: Promise.resolve(), stop: () => {},
  })
  const of = <T extends KubeObject>(prefix: string) => [...kube.objects].filter(([key]) => key.startsWith(prefix)).map(([, object]) => object as T)
  const made = createGuarantee({
    kube, background: kube, accepted: () => accepted, removed: () => new Map(), owner: { current: () => owner, refresh: () => Promise.resolve() }, policy, keepMs: 10 * MINUTE, deadlineMs: 3_000,
    copies: informer(() => of<ConfigMap>('configmaps/')), policies: informer(() => of<NetworkPolicy>('networkpolicies/'), caches.policiesFresh),
    pods: informer(() => caches.pods ?? [], caches.podsFresh),
    clock: { now: () => now, monotonic: () => now, after: () => () => {} }, log: createLog({ sink: (bytes, done) => { done(null, bytes.length) } }),
  })
  return { kube, made, forward: (ms: number) => { now += ms }, policyNow: () => kube.get<NetworkPolicy>({ resource: 'networkpolicies', namespace: 'shop', name: NETWORK_POLICY }), copy: async () => (await kube.get<ConfigMap>({ resource: 'configmaps', namespace: 'shop', name: CONFIG_COPY })) }
}

t.test('while it is not known which pods there are, no profile is unused and nothing is removed', async (t) => {
  const { kube, made, forward, copy, policyNow } = await guarantee({ podsFresh: false })
  for (let i = 0; i < 5; i++) {
    await made.reconcile('shop', true)
    forward(20 * MINUTE)
  }
  t.same(Object.keys((await copy())?.data ?? {}), ['default.json', 'strict.json'])
  t.notMatch((await copy())?.metadata.annotations ?? {}, { 'sidegate.dev/unused-since': /./ })
  await kube.remove({ resource: 'configmaps', namespace: 'shop', name: CONFIG_COPY })
  await made.reconcile('shop', true)
  t.ok(await policyNow(), 'nor the policy, even without a copy')
})

t.test('when it is known, they go after the time they are kept, and the policy with the copy', async (t) => {
  const { made, forward, copy, policyNow } = await guarantee({})
  await made.reconcile('shop', true)
  forward(20 * MINUTE)
  await made.reconcile('shop', true)
  t.equal(await copy(), undefined)
  await made.reconcile('shop', true)
  t.equal(await policyNow(), undefined)
})

t.test('a policy that is right but for its owner is given one', async (t) => {
  const { made, policyNow } = await guarantee({ pods: [{ metadata: { name: 'web', namespace: 'shop' } }] })
  await made.reconcile('shop', true)
  t.same((await policyNow())?.metadata.ownerReferences, [owner])
})

t.test('a cache of policies that is not fresh is not believed at admission; one that is, is', async (t) => {
  for (const fresh of [true, false]) {
    const { made, kube } = await guarantee({ pods: [podWith('default'), podWith('strict')], policiesFresh: fresh, policy: { metadata: { name: NETWORK_POLICY, namespace: 'shop', ownerReferences: [owner] } } })
    let asked = 0
    kube.trouble = (method, { resource }) => { if (method === 'get' && resource === 'networkpolicies') asked++ }
    await made.admit('shop', 'default')
    t.equal(asked > 0, !fresh)
  }
})

t.test('a policy that somebody changed is put right, by itself and before a pod is admitted', async (t) => {
  for (const repair of ['reconcile', 'admit'] as const) {
    const { made, policyNow } = await guarantee({ pods: [podWith('default'), podWith('strict')], policy: { metadata: { name: NETWORK_POLICY, namespace: 'shop', ownerReferences: [owner] }, spec: { podSelector: {}, policyTypes: ['Ingress'], ingress: [{}] } } })
    await (repair === 'admit' ? made.admit('shop', 'default') : made.reconcile('shop', true))
    t.same((await policyNow())?.spec, networkPolicy('shop', policy).spec, repair)
  }
})
