// The controller goes away, is replaced, changes its certificates: what must not happen meanwhile.
import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { APPS, setStage } from '../../helpers/claims.ts'
import { eventually, openCluster, whyNoCluster, type Cluster, type Kubernetes } from '../../helpers/cluster.ts'
import { MAIN_CLUSTER, SYSTEM, asks, ensureRelease, podSpec, rolledOut, token } from '../../helpers/release.ts'
import { streamPods } from '../../helpers/stream.ts'

const why = whyNoCluster()
if (why) t.plan(0, why)
else await resilience(await openCluster(MAIN_CLUSTER))

async function resilience(cluster: Cluster) {
  await ensureRelease(cluster)
  const stage = await setStage(cluster)
  t.teardown(() => stage.agent.close())
  const { agent } = stage
  const scale = async (replicas: number) => await cluster.kubectl(['-n', SYSTEM, 'scale', 'deployment/sidegate-controller', `--replicas=${replicas}`])

  await t.test('controller rolled out under a stream of pod creations: none lost, none unprotected', async (t) => {
    const stream = await streamPods(cluster)
    await sleep(1000)
    await cluster.kubectl(['-n', SYSTEM, 'rollout', 'restart', 'deployment/sidegate-controller'])
    await rolledOut(cluster)
    await sleep(2000)
    const { created, refused, unprotected, slowest } = await stream.end()
    t.same(refused, [], 'none refused')
    t.same(unprotected, [], 'none without its sidecar')
    t.ok(created >= 20, `${created} created`)
    t.comment(`${created} pods, slowest creation ${slowest} ms`)
  })

  await t.test('while the controller is down: an annotated pod is refused, one not annotated starts, running apps go on', async (t) => {
    await scale(0)
    t.teardown(async () => {
      await scale(2)
      await rolledOut(cluster)
    })
    await eventually(async () => {
      const { items } = await cluster.get('pods', '-n', SYSTEM, '-l', 'app.kubernetes.io/component=controller')
      if (items.length > 0) throw new Error('Controllers still run.')
    }, 90)
    const pod = (name: string, annotations: object) => JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: APPS, annotations, labels: { app: name } }, spec: podSpec('app.mjs', {}) })
    const annotated = await cluster.tryKubectl(['apply', '-f', '-'], pod('down-asks', asks()))
    t.not(annotated.code, 0)
    t.match(annotated.stderr, /failed calling webhook "pods\.sidegate\.dev"/)
    await cluster.kubectl(['apply', '-f', '-'], pod('down-free', {}))
    await cluster.kubectl(['-n', APPS, 'wait', '--for=condition=Ready', 'pod/down-free', '--timeout=60s'])
    t.pass('a pod that did not ask runs')
    t.equal((await agent.call(`http://shop.${APPS}.svc/orders`, { token: await token(cluster, { sub: 'bob' }) })).status, 200, 'a protected app answers')
    t.equal((await agent.call(`http://shop.${APPS}.svc/orders`)).status, 401, 'and asks for a token')
    await cluster.kubectl(['-n', APPS, 'delete', 'pod', 'down-free', '--wait=false'])
  })

  await t.test('it comes back by itself: pods that were refused start', async (t) => {
    const result = await eventually(async () => await cluster.kubectl(['apply', '--dry-run=server', '-o', 'json', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'again', namespace: APPS, annotations: asks() }, spec: podSpec('app.mjs', {}) })))
    const pod: Kubernetes = JSON.parse(result)
    t.ok(pod.spec.initContainers.some((container: Kubernetes) => container.name === 'sidegate'))
  })
}
