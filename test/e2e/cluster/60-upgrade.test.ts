// Upgrade, rollback, Helm 3 and Helm 4, certificates rotated under load, uninstall.
import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { APPS, setStage } from '../../helpers/claims.ts'
import { eventually, openCluster, whyNoCluster, type Cluster, type Kubernetes } from '../../helpers/cluster.ts'
import { MAIN_CLUSTER, SYSTEM, ensureRelease, helmUpgrade, readyPod, testValues, token, trusted } from '../../helpers/release.ts'
import { streamPods } from '../../helpers/stream.ts'

const why = whyNoCluster()
if (why) t.plan(0, why)
else await upgrade(await openCluster(MAIN_CLUSTER))

async function bundle(cluster: Cluster): Promise<string> {
  return (await cluster.get('mutatingwebhookconfiguration', 'sidegate')).webhooks[0].clientConfig.caBundle
}

function certificates(text: string): number {
  return Buffer.from(text, 'base64').toString().split('-----BEGIN').length - 1
}

async function upgrade(cluster: Cluster) {
  await ensureRelease(cluster)
  const stage = await setStage(cluster)
  t.teardown(() => stage.agent.close())
  const name = (tag: string) => `${cluster.image.repository}:${tag}`

  await t.test('upgrade to another image and rollback under a stream of pod creations: none lost, none unprotected', { skip: cluster.local ? false : 'needs a second image' }, async (t) => {
    const before = await bundle(cluster)
    const shop = await readyPod(cluster, APPS, 'shop')
    const values: Kubernetes = { ...testValues(cluster), admissionPolicy: { acceptedImages: [name('dev'), name('next')] } }
    await helmUpgrade(cluster, values)
    const stream = await streamPods(cluster)
    await helmUpgrade(cluster, { ...values, image: { ...values.image, tag: 'next' } })
    const { code, stderr } = await cluster.helm(['rollback', 'sidegate', '--namespace', SYSTEM, '--wait', '--timeout', '120s'])
    t.equal(code, 0, stderr)
    const { created, refused, unprotected, images } = await stream.end()
    t.same(refused, [], 'none refused')
    t.same(unprotected, [], 'none without its sidecar')
    t.ok(created >= 20, `${created} created`)
    t.same(images.toSorted(), [name('dev'), name('next')], 'the stream saw both versions')
    t.equal(await bundle(cluster), before, 'the webhook kept its caBundle')
    t.equal((await readyPod(cluster, APPS, 'shop')).metadata.uid, shop.metadata.uid, 'running pods are not touched')
  })

  await t.test('uninstall leaves nothing and bricks nothing', async (t) => {
    const { code, stderr } = await cluster.helm(['uninstall', 'sidegate', '--namespace', SYSTEM, '--wait', '--timeout', '120s'])
    t.equal(code, 0, stderr)
    const { agent } = stage
    t.equal((await agent.call(`http://shop.${APPS}.svc/orders`)).status, 401, 'a running app keeps its sidecar')
    t.equal((await agent.call(`http://shop.${APPS}.svc/orders`, { token: await token(cluster, { sub: 'bob' }) })).status, 200)
    await eventually(async () => {
      const left = await leftovers(cluster)
      if (left.length > 0) throw new Error(`Left: ${left.join(', ')}`)
    }, 60)
    t.pass('nothing of the release is left in any namespace')
    await cluster.kubectl(['-n', APPS, 'rollout', 'restart', 'deployment/shop'])
    await cluster.kubectl(['-n', APPS, 'rollout', 'status', 'deployment/shop', '--timeout=60s'])
    t.pass('annotated workloads still start')
  })

  await t.test('installed by Helm 3; the webhook\'s authority rotated under a stream of pod creations: none lost', async (t) => {
    const values = testValues(cluster)
    values.webhook = { certificates: { caValidity: '45s', leafValidity: '8s', overlap: '4s' } }
    await helmUpgrade(cluster, values, [], 3)
    await trusted(cluster)
    const stream = await streamPods(cluster, 250)
    const first = await bundle(cluster)
    let most = 0
    const end = Date.now() + 75_000
    let rotations = 0
    for (let last = first; Date.now() < end && rotations < 3; await sleep(500)) {
      const now = await bundle(cluster)
      most = Math.max(most, certificates(now))
      if (now !== last) rotations += 1
      last = now
    }
    const { created, refused, unprotected } = await stream.end()
    t.same(refused, [], 'none refused')
    t.same(unprotected, [], 'none without its sidecar')
    t.ok(rotations >= 2, `the bundle changed ${rotations} times`)
    t.ok(most >= 2, 'old and new authority overlapped')
    t.comment(`${created} pods through ${rotations} changes of the bundle`)
  })

  await t.test('a release of Helm 3 is taken over by Helm 4 (server-side apply), and keeps its caBundle', async (t) => {
    const before = await bundle(cluster)
    const values = testValues(cluster)
    values.webhook = { certificates: { caValidity: '45s', leafValidity: '8s', overlap: '4s' }, timeoutSeconds: 4 }
    await helmUpgrade(cluster, values, ['--server-side=true', '--force-conflicts'], 4)
    t.ok(before && await bundle(cluster), 'there is a bundle')
    t.equal((await cluster.get('mutatingwebhookconfiguration', 'sidegate')).webhooks[0].timeoutSeconds, 4)
    await cluster.kubectl(['-n', APPS, 'rollout', 'restart', 'deployment/shop'])
    const pod = await eventually(async () => {
      const found = await readyPod(cluster, APPS, 'shop')
      if (!found.spec.initContainers) throw new Error('not injected')
      return found
    }, 60)
    t.equal(pod.spec.initContainers[0].name, 'sidegate', 'and pods get their sidecar again')
    // The pod is ready a moment before the Service leads to it.
    await eventually(async () => {
      const { status } = await stage.agent.call(`http://shop.${APPS}.svc/orders`)
      if (status !== 401) throw new Error(`the Service answers ${status}`)
    }, 30)
    t.pass('and the Service answers 401')
  })
}

/** Everything with the chart's or the controller's label or name, anywhere. */
async function leftovers(cluster: Cluster): Promise<string[]> {
  const kinds = 'deployments,replicasets,services,configmaps,secrets,serviceaccounts,networkpolicies,roles,rolebindings,poddisruptionbudgets,clusterroles,clusterrolebindings,'
    + 'mutatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings'
  const { items } = await cluster.get(kinds, '-A')
  return items.filter(({ metadata: { name, namespace, labels = {} } }: Kubernetes) =>
    (labels['app.kubernetes.io/name'] === 'sidegate' || labels['app.kubernetes.io/managed-by'] === 'sidegate-controller' || name.startsWith('sidegate')) && name !== 'sidegate-e2e'
    && !(namespace ?? '').startsWith('e2e-stream')).map(({ kind, metadata }: Kubernetes) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`)
}
