// One place of configuration, live everywhere: a change is in force in running pods without a restart; a broken one is not.
import t, { type Test } from 'tap'
import { APPS, setStage } from '../../helpers/claims.ts'
import { eventually, openCluster, run, whyNoCluster, type Cluster, type Kubernetes } from '../../helpers/cluster.ts'
import { MAIN_CLUSTER, SYSTEM, ensureRelease, helmUpgrade, readyPod, seen, testValues, token } from '../../helpers/release.ts'

const why = whyNoCluster()
if (why) t.plan(0, why)
else await live(await openCluster(MAIN_CLUSTER))

/** A metric of one of the controller's pods, read through the API server. */
async function controllerMetrics(cluster: Cluster): Promise<string> {
  const { items: [pod] } = await cluster.get('pods', '-n', SYSTEM, '-l', 'app.kubernetes.io/component=controller', '--field-selector', 'status.phase=Running')
  return await cluster.kubectl(['get', '--raw', `/api/v1/namespaces/${SYSTEM}/pods/${pod.metadata.name}:8081/proxy/metrics`])
}

async function live(cluster: Cluster) {
  await ensureRelease(cluster)
  const stage = await setStage(cluster)
  t.teardown(() => stage.agent.close())
  const { agent } = stage
  const before = await readyPod(cluster, APPS, 'shop')
  const unchanged = async (t: Test) => {
    const after = await readyPod(cluster, APPS, 'shop')
    t.equal(after.metadata.uid, before.metadata.uid, 'the same pod')
    const restarts = (pod: Kubernetes) => [...pod.status.containerStatuses, ...(pod.status.initContainerStatuses ?? [])].map((row: Kubernetes) => row.restartCount)
    t.same(restarts(after), restarts(before), 'and no container restarted')
  }

  await t.test('a changed rule is in force in running pods without a restart', async (t) => {
    const bob = await token(cluster, { sub: 'bob' })
    t.equal((await agent.call(`http://shop.${APPS}.svc/public/x`)).status, 401, 'before')
    const values = testValues(cluster)
    values.profiles.default.rules.unshift({ match: { path: '/public/**' }, allow: 'anonymous' }, { match: { path: '/closed/**' }, require: { roles: ['nobody'] } })
    values.profiles.default.identity.headers['X-Tenant-Id'] = { claim: 'iss' }
    const started = Date.now()
    await helmUpgrade(cluster, values)
    const upgraded = Date.now()
    await eventually(async () => {
      if ((await agent.call(`http://shop.${APPS}.svc/public/x`)).status !== 200) throw new Error('The new rule is not in force.')
    }, 90)
    t.comment(`in force ${((Date.now() - started) / 1000).toFixed(1)} s after helm upgrade was started, ${((Date.now() - upgraded) / 1000).toFixed(1)} s after it ended`)
    t.equal((await agent.call(`http://shop.${APPS}.svc/closed/x`, { token: bob })).status, 403, 'a path that was open to bob')
    t.ok(seen((await agent.call(`http://shop.${APPS}.svc/orders`, { token: bob })).body, 'X-Tenant-Id'), 'and a new identity header')
    await unchanged(t)
  })

  await t.test('a broken configuration is refused and the old one goes on, visible in status, metric and event', async (t) => {
    const source = await cluster.get('configmap', 'sidegate-profiles', '-n', SYSTEM)
    // As Helm 4 would, whole and under its name: with an ordinary patch the field would be the patcher's, and the next upgrade a conflict.
    const { 'sidegate.dev/status': _, ...annotations } = source.metadata.annotations
    const metadata = { name: source.metadata.name, namespace: SYSTEM, labels: source.metadata.labels, annotations }
    const put = async (data: object) => await cluster.kubectl(['apply', '--server-side', '--force-conflicts', '--field-manager=helm', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { ...source.data, ...data } }))
    await put({ profiles: 'default:\n  rules: [{ match: { paht: / } }]\n' })
    await eventually(async () => {
      const { metadata } = await cluster.get('configmap', 'sidegate-profiles', '-n', SYSTEM)
      if (!/paht/.test(metadata.annotations?.['sidegate.dev/status'] ?? '')) throw new Error(`Status: ${metadata.annotations?.['sidegate.dev/status']}`)
    })
    t.pass('status names the problem')
    t.match(await controllerMetrics(cluster), /^sidegate_source_accepted 0$/m)
    const { items } = await cluster.get('events', '-n', SYSTEM, '--field-selector', 'type=Warning')
    t.ok(items.some((event: Kubernetes) => /paht/.test(event.message)), 'an Event says so')
    const { status } = await cluster.get('deployment', 'sidegate-controller', '-n', SYSTEM)
    t.equal(status.readyReplicas, 2, 'the controllers stay ready')
    t.equal((await agent.call(`http://shop.${APPS}.svc/public/x`)).status, 200, 'the sidecars keep the old rules')
    t.equal((await agent.call(`http://shop.${APPS}.svc/orders`)).status, 401)
    await put({})
    await eventually(async () => {
      if (!/^sidegate_source_accepted 1$/m.test(await controllerMetrics(cluster))) throw new Error('The repaired source is not accepted.')
    })
    await unchanged(t)
  })

  await t.test('helm refuses a misspelt configuration before anything is changed', async (t) => {
    const values = testValues(cluster)
    values.profiles.default.rulez = []
    await t.rejects(helmUpgrade(cluster, values), /additional properties 'rulez' not allowed/)
  })

  await t.test('the controller\'s rights are what docs/controller.md says: no Secret but its own, no write to others\' policies', async (t) => {
    const can = async (...args: string[]) => (await run('kubectl', ['auth', 'can-i', ...args, '--as', `system:serviceaccount:${SYSTEM}:sidegate-controller`], { env: cluster.env })).stdout.trim()
    t.equal(await can('get', 'secrets/sidegate-ca', '-n', SYSTEM), 'yes')
    t.equal(await can('get', 'secrets/other', '-n', SYSTEM), 'no')
    t.equal(await can('list', 'secrets', '-n', APPS), 'no')
    t.equal(await can('update', 'networkpolicies/mine', '-n', APPS), 'no')
    t.equal(await can('update', 'configmaps/mine', '-n', APPS), 'no')
    t.equal(await can('create', 'pods', '-n', APPS), 'no')
    t.equal(await can('patch', 'mutatingwebhookconfigurations/other'), 'no')
    t.equal(await can('delete', 'validatingadmissionpolicies/sidegate-pods'), 'no')
  })
}

