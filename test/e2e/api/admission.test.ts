/** The webhook against a real API server: what is injected, what is refused and with which words, what is in place before a pod is admitted. */
import t from 'tap'
import { KubeError } from '../../../src/kube/kube-error.ts'
import type { ConfigMap, KubeObject, NetworkPolicy, Pod } from '../../../src/kube/types.ts'
import {
  eventually, freePort, namespace, noApiServer, pod, sourceConfig, startApiServer, startController, webhookConfiguration, type ApiServer, type ControllerProcess,
} from '../../helpers/api-server.ts'

t.test('admission', { skip: noApiServer }, async (t) => {
  const api: ApiServer = await startApiServer('api-admission')
  t.teardown(() => api.down())
  const { kube } = api
  const port = await freePort(api.host)
  await api.apply(namespace('sidegate-system'), sourceConfig(), webhookConfiguration(api.host, port))
  let controller: ControllerProcess = await startController(api, port)
  t.teardown(() => controller.kill())
  const create = (object: KubeObject) => kube.create<Pod>('pods', object as Pod)
  const refusal = async (object: KubeObject): Promise<string> => {
    try {
      await create(object)
      return 'admitted'
    } catch (error) {
      return (error as KubeError).message
    }
  }
  const copyIn = (space: string) => kube.get<ConfigMap>({ resource: 'configmaps', namespace: space, name: 'sidegate-config' })
  const policyIn = (space: string) => kube.get<NetworkPolicy>({ resource: 'networkpolicies', namespace: space, name: 'sidegate' })
  const makeSpace = async (name: string) => {
    await api.apply(namespace(name))
    // Pods need the namespace's service account.
    await eventually(async () => { if ((await api.kubectl(['-n', name, 'get', 'serviceaccount', 'default'])).code !== 0) throw new Error('no service account') })
  }

  await t.test('a pod that asks gets the sidecar; copy and policy are there when the call returns', async (t) => {
    await makeSpace('shop')
    const made = await create(pod('shop', 'web'))
    t.equal(made.metadata.labels?.['sidegate.dev/injected'], 'true')
    const all = [...made.spec.initContainers ?? [], ...made.spec.containers]
    t.ok(all.find(({ name, image }) => name === 'sidegate' && image === 'registry.internal/sidegate:test'))
    const copy = await copyIn('shop')
    t.same(Object.keys(copy?.data ?? {}), ['default.json'], 'only the profile in use')
    t.match(JSON.parse(copy!.data!['default.json']!), { issuers: [{ name: 'corp', issuer: 'https://auth.internal' }], rules: [{ match: { path: '/healthz' } }, {}] })
    t.notOk('listeners' in (JSON.parse(copy!.data!['default.json']!) as object))
    t.match((await policyIn('shop'))?.spec, { policyTypes: ['Ingress'], ingress: [{ ports: [{ port: 15001, endPort: 15016 }] }] })
  })

  await t.test('native sidecar or regular container, as the API server\'s version says', async (t) => {
    const { minor } = await kube.raw('/version') as { minor: string }
    const made = await kube.get<Pod>({ resource: 'pods', namespace: 'shop', name: 'web' })
    t.equal(made!.spec.initContainers?.[0]?.name === 'sidegate', Number.parseInt(minor, 10) >= 32)
  })

  await t.test('another profile is added to the copy before its first pod is admitted', async (t) => {
    await create(pod('shop', 'orders', { 'sidegate.dev/profile': 'strict' }))
    t.same(Object.keys((await copyIn('shop'))?.data ?? {}), ['default.json', 'strict.json'])
  })

  await t.test('a dry run changes nothing', async (t) => {
    await makeSpace('dry')
    const { code, stdout, stderr } = await api.kubectl(['create', '--dry-run=server', '-o', 'json', '-f', '-'], pod('dry', 'web'))
    t.equal(code, 0, stderr)
    t.match(stdout, '"sidegate.dev/injected": "true"')
    t.equal(await copyIn('dry'), undefined)
    t.equal(await policyIn('dry'), undefined)
  })

  await t.test('a pod that does not ask, or says no, is left alone', async (t) => {
    await makeSpace('plain')
    const plain = pod('plain', 'none')
    const made = await create({ ...plain, metadata: { name: 'none', namespace: 'plain' } })
    t.equal(made.metadata.labels, undefined)
    t.equal((await create(pod('plain', 'no', { 'sidegate.dev/inject': 'false' }))).metadata.labels, undefined)
    t.equal(await copyIn('plain'), undefined)
  })

  await t.test('refusals say what is wrong and how to fix it, and leave nothing behind', async (t) => {
    await makeSpace('wrong')
    t.match(await refusal(pod('wrong', 'a', { 'sidegate.dev/profile': 'strickt' })), /There is no profile "strickt"\. Profiles: default, strict\./)
    t.match(await refusal(pod('wrong', 'b', { 'sidegate.dev/interception': 'iptables' })), /it must be "port" or "loopback" or "redirect"/)
    t.match(await refusal(pod('wrong', 'c', { 'sidegate.dev/inject': 'yes' })), /is "yes"; it must be "true" or "false"/)
    t.match(await refusal(pod('wrong', 'd', { 'sidegate.dev/prot': '8080' })), /sidegate\.dev\/prot/)
    t.equal(await copyIn('wrong'), undefined)
  })

  await t.test('a 2.9 MiB pod passes through the webhook (a dry run: etcd would not take it)', async (t) => {
    const big = pod('shop', 'big')
    const container = { ...(big.spec as { containers: object[] }).containers[0]!, env: [{ name: 'BIG', value: 'x'.repeat(2.9 * 1024 ** 2) }] }
    const { code, stdout, stderr } = await api.kubectl(['create', '--dry-run=server', '-o', 'jsonpath={.metadata.labels}', '-f', '-'], { ...big, spec: { containers: [container] } })
    t.equal(code, 0, stderr.slice(0, 500))
    t.match(stdout, 'sidegate.dev/injected')
  })

  await t.test('events tell the owner', async (t) => {
    const owner: KubeObject = await kube.create('configmaps', { metadata: { name: 'owner', namespace: 'shop' } })
    const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner.metadata.uid!, controller: true }]
    const owned = pod('shop', 'owned')
    await create({ ...owned, metadata: { ...owned.metadata, ownerReferences } })
    const bad = pod('shop', 'owned-bad', { 'sidegate.dev/profile': 'nope' })
    await refusal({ ...bad, metadata: { ...bad.metadata, ownerReferences } })
    const said = await eventually(async () => {
      const { items } = await kube.list<KubeObject & { reason: string, type: string, involvedObject: { uid: string } }>('events', { namespace: 'shop' })
      const ours = items.filter(({ involvedObject }) => involvedObject.uid === owner.metadata.uid)
      if (ours.length < 2) throw new Error(`only ${ours.length} events`)
      return ours.map(({ type, reason }) => `${type} ${reason}`).sort()
    })
    t.strictSame(said, ['Normal SidegateInjected', 'Warning SidegateRefused'])
  })

  await t.test('a hundred pods of a new namespace at once: one copy, one policy, all admitted', async (t) => {
    await makeSpace('burst')
    const made = await Promise.all(Array.from({ length: 100 }, (_, index) => create(pod('burst', `web-${index}`))))
    t.ok(made.every(({ metadata }) => metadata.labels?.['sidegate.dev/injected'] === 'true'))
    t.ok(await policyIn('burst'))
    const metrics = await (await fetch(controller.metricsUrl)).text()
    t.match(metrics, /sidegate_admissions_total\{outcome="injected"\} 1\d\d/)
  })

  await t.test('the controller gone: a pod that asks is refused, another starts', async (t) => {
    await controller.stop()
    t.match(await refusal(pod('shop', 'later')), /failed calling webhook/)
    await create({ ...pod('plain', 'later'), metadata: { name: 'later', namespace: 'plain' } })
    controller = await startController(api, port)
    await create(pod('shop', 'later'))
  })
})
