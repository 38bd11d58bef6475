// Install with Helm, annotate, and every claim that must hold on each supported version.
import t from 'tap'
import { backstopClaims, lockClaims, probeClaims, serviceClaims, setStage } from '../../helpers/claims.ts'
import { openCluster, whyNoCluster, type Cluster, type Kubernetes } from '../../helpers/cluster.ts'
import { MAIN_CLUSTER, SYSTEM, ensureRelease } from '../../helpers/release.ts'

const why = whyNoCluster()
if (why) t.plan(0, why)
else await core(await openCluster(MAIN_CLUSTER))

async function core(cluster: Cluster) {
  await t.test('helm install brings up two replicas, restricted, with a webhook that trusts them', async (t) => {
    // Whatever the chart does must be possible in a namespace that enforces PodSecurity `restricted`.
    await cluster.tryKubectl(['create', 'namespace', SYSTEM])
    await cluster.kubectl(['label', 'namespace', SYSTEM, '--overwrite', 'pod-security.kubernetes.io/enforce=restricted'])
    await ensureRelease(cluster)
    const { spec, status } = await cluster.get('deployment', 'sidegate-controller', '-n', SYSTEM)
    t.equal(status.readyReplicas, 2)
    t.equal(spec.strategy.rollingUpdate.maxUnavailable, 0)
    const { webhooks } = await cluster.get('mutatingwebhookconfiguration', 'sidegate')
    t.same(webhooks.map((entry: Kubernetes) => entry.failurePolicy), ['Fail', 'Fail'])
  })
  const stage = await setStage(cluster)
  t.teardown(() => stage.agent.close())
  serviceClaims(t, stage)
  lockClaims(t, stage)
  probeClaims(t, stage)
  backstopClaims(t, stage)
}
