/** Configuration and NetworkPolicy on their way from the one source into the namespaces, on a real API server. */
import t from 'tap'
import type { ConfigMap, KubeObject, NetworkPolicy } from '../../../src/kube/types.ts'
import {
  eventually, freePort, issuers, namespace, noApiServer, pod, profiles, sourceConfig, startApiServer, startController, webhookConfiguration, type ControllerProcess,
} from '../../helpers/api-server.ts'

interface Status { readonly state: string, readonly problems: readonly string[] }

t.test('configuration', { skip: noApiServer }, async (t) => {
  const api = await startApiServer('api-config')
  t.teardown(() => api.down())
  const { kube } = api
  const [a, b] = [await freePort(api.host), await freePort(api.host)]
  const clusterRole = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'sidegate-controller' }, rules: [] }
  await api.apply(namespace('sidegate-system'), namespace('shop'), clusterRole, sourceConfig(), webhookConfiguration(api.host, a))
  await eventually(async () => { if ((await api.kubectl(['-n', 'shop', 'get', 'serviceaccount', 'default'])).code !== 0) throw new Error('no service account') })
  const settings = { cleanup: { after: '3s' } }
  const replicas: ControllerProcess[] = await Promise.all([startController(api, a, settings), startController(api, b, settings)])
  t.teardown(() => Promise.all(replicas.map((replica) => replica.kill())))

  const copyRef = { resource: 'configmaps', namespace: 'shop', name: 'sidegate-config' } as const
  const policyRef = { resource: 'networkpolicies', namespace: 'shop', name: 'sidegate' } as const
  const copy = () => kube.get<ConfigMap>(copyRef)
  const policy = () => kube.get<NetworkPolicy>(policyRef)
  const source = () => kube.get<ConfigMap>({ resource: 'configmaps', namespace: 'sidegate-system', name: 'sidegate-profiles' })
  const status = async () => JSON.parse((await source())?.metadata.annotations?.['sidegate.dev/status'] ?? '{}') as Status
  const setSource = (data: Record<string, string>) =>
    kube.patch({ resource: 'configmaps', namespace: 'sidegate-system', name: 'sidegate-profiles' }, 'merge', { data })
  /** Waits for what `read` gives to satisfy the check. */
  const until = <T>(read: () => Promise<T>, check: (value: T) => boolean, what: string): Promise<T> => eventually(async () => {
    const value = await read()
    if (!check(value)) throw new Error(`${what}; now ${JSON.stringify(value)?.slice(0, 500)}`)
    return value
  })

  await kube.create('pods', pod('shop', 'web'))

  await t.test('an accepted source says so', async (t) => {
    const { state } = await until(status, (now) => now.state !== undefined, 'no status')
    t.equal(state, 'accepted')
  })

  await t.test('a change reaches the copy', async (t) => {
    const before = performance.now()
    await setSource({ profiles: profiles.replace('/healthz', '/ready') })
    const after = await until(copy, (now) => now?.data?.['default.json']?.includes('/ready') ?? false, 'the copy is old')
    t.comment(`in the copy after ${Math.round(performance.now() - before)} ms`)
    t.same(Object.keys(after!.data!), ['default.json'])
  })

  await t.test('a broken source is refused with every problem; the old one goes on', async (t) => {
    const old = (await copy())!.data
    await setSource({
      issuers: JSON.stringify([{ name: 'corp', issuer: 'https://auth.internal', audience: ['x'], keys: { discovery: true } }]),
      profiles: '{ "default": { "mode": "enforced", "rules": [{ "match": { "path": "/a/../b" }, "require": {} }] } }',
    })
    const { problems } = await until(status, ({ state }) => state === 'refused', 'not refused')
    t.match(problems.join('\n'), /^issuers\[0\]\.audience: .*audiences/m)
    t.match(problems.join('\n'), /^profiles\.default\.mode: /m)
    t.same((await copy())!.data, old)
    await until(() => kube.list<KubeObject & { reason: string, message: string }>('events', { namespace: 'sidegate-system' }),
      ({ items }) => items.some(({ reason, message }) => reason === 'ConfigurationRefused' && message.includes('stays in force')), 'no event')
    // Each replica judges for itself; the other one may have been faster to say it.
    const metrics = await until(async () => (await fetch(replicas[0]!.metricsUrl)).text(), (page) => /^sidegate_source_accepted 0$/m.test(page), 'no metric')
    t.match(metrics, /^sidegate_ready 1$/m, 'readiness unchanged')
    await kube.create('pods', pod('shop', 'still'))
  })

  await t.test('a replica that starts while the source is broken goes on with the last accepted', async (t) => {
    await replicas[0]!.stop()
    replicas[0] = await startController(api, a, settings)
    t.match(replicas[0].log(), /configuration accepted.*default/)
    await kube.create('pods', pod('shop', 'restarted'))
    t.match((await copy())!.data!['default.json'], '/ready')
  })

  await t.test('put right: accepted again', async (t) => {
    await setSource({ issuers, profiles })
    await until(status, ({ state }) => state === 'accepted', 'not accepted')
    await until(copy, (now) => now?.data?.['default.json']?.includes('/healthz') ?? false, 'the copy is old')
    t.pass('in force')
  })

  await t.test('a profile removed while pods use it keeps its text; new pods with it are refused', async (t) => {
    await kube.create('pods', pod('shop', 'strict', { 'sidegate.dev/profile': 'strict' }))
    const text = (await copy())!.data!['strict.json']
    await setSource({ profiles: JSON.stringify({ default: {} }) })
    await until(copy, (now) => !now!.data!['default.json']!.includes('/healthz'), 'the copy is old')
    t.equal((await copy())!.data!['strict.json'], text)
    await t.rejects(kube.create('pods', pod('shop', 'strict2', { 'sidegate.dev/profile': 'strict' })), { message: /There is no profile "strict"/ })
    await setSource({ profiles })
  })

  await t.test('copy and policy, deleted or edited by hand, are put back', async (t) => {
    const repaired = async (read: () => Promise<KubeObject | undefined>, spoil: () => Promise<unknown>, check: (now: never) => boolean, what: string) => {
      const before = performance.now()
      await spoil()
      await until(read, (now) => now !== undefined && check(now as never), what)
      t.comment(`${what}: ${Math.round(performance.now() - before)} ms`)
    }
    const narrow = ({ spec }: NetworkPolicy) => spec.ingress?.length === 1
    await repaired(policy, () => kube.remove(policyRef), narrow, 'policy deleted')
    await repaired(policy, () => kube.patch(policyRef, 'json', [{ op: 'add', path: '/spec/ingress/-', value: {} }]), narrow, 'policy opened')
    const whole = ({ data }: ConfigMap) => data?.['default.json']?.includes('/healthz') ?? false
    await repaired(copy, () => kube.remove(copyRef), whole, 'copy deleted')
    await repaired(copy, () => kube.patch(copyRef, 'merge', { data: { 'default.json': '{}' } }), whole, 'copy edited')
    await repaired(copy, () => kube.patch(copyRef, 'merge', { immutable: true, data: { 'default.json': '{"rules":[]}' } }), whole, 'copy edited and frozen')
    t.pass('all')
  })

  await t.test('two replicas do not fight: nothing is written when nothing changes', async (t) => {
    const before = (await copy())!.metadata.resourceVersion
    await new Promise((resolve) => { setTimeout(resolve, 3_000) })
    t.equal((await copy())!.metadata.resourceVersion, before)
  })

  await t.test('when the last injected pod is gone, copy and policy go, after a while', async (t) => {
    const { items } = await kube.list('pods', { namespace: 'shop' })
    for (const { metadata } of items) await kube.remove({ resource: 'pods', namespace: 'shop', name: metadata.name })
    t.ok(await copy(), 'not at once')
    await until(copy, (now) => now === undefined, 'the copy is still there')
    await until(policy, (now) => now === undefined, 'the policy is still there')
    await kube.create('pods', pod('shop', 'again'))
    t.ok(await copy(), 'and come back with the next one')
    t.ok(await policy())
  })

  await t.test('mode require: without the policy a pod is refused and told which one to apply', async (t) => {
    await Promise.all(replicas.map((replica) => replica.stop()))
    await api.apply(namespace('gitops'))
    replicas[0] = await startController(api, a, { ...settings, networkPolicy: { mode: 'require' } })
    await t.rejects(kube.create('pods', pod('gitops', 'web')), { message: /NetworkPolicy gitops\/sidegate is missing and networkPolicy\.mode is "require"/ })
    const { spec } = (await policy())!
    t.equal(await kube.get({ resource: 'configmaps', namespace: 'gitops', name: 'sidegate-config' }), undefined, 'nothing was written there')
    const applied: NetworkPolicy = { metadata: { name: 'sidegate', namespace: 'gitops' }, spec }
    await kube.create('networkpolicies', applied)
    await eventually(() => kube.create('pods', pod('gitops', 'web')))
    t.pass('admitted with the policy in place')
  })

  await t.test('uninstall: with the chart\'s ClusterRole everything in the namespaces goes', async (t) => {
    await Promise.all(replicas.map((replica) => replica.stop()))
    const [owned, policyOwned] = [await copy(), await policy()]
    t.match(owned?.metadata.ownerReferences, [{ kind: 'ClusterRole', name: 'sidegate-controller' }])
    t.match(policyOwned?.metadata.ownerReferences, [{ kind: 'ClusterRole', name: 'sidegate-controller' }])
    await kube.remove({ resource: 'clusterroles', name: 'sidegate-controller' })
    await until(copy, (now) => now === undefined, 'the copy is still there')
    await until(policy, (now) => now === undefined, 'the policy is still there')
  })
})

t.test('no configuration yet: a pod is refused with the reason', { skip: noApiServer }, async (t) => {
  const api = await startApiServer('api-config')
  t.teardown(() => api.down())
  const port = await freePort(api.host)
  await api.apply(namespace('sidegate-system'), namespace('shop'), sourceConfig({ issuers: '[]', profiles }), webhookConfiguration(api.host, port))
  const controller = await startController(api, port)
  t.teardown(() => controller.kill())
  await t.rejects(api.kube.create('pods', pod('shop', 'web')), { message: /no usable configuration yet.*issuers: name at least one issuer/ })
})
