// The core on the oldest and the newest Kubernetes that are supported. Last: it takes the place of the cluster of the files before it.
import t from 'tap'
import { APPS, backstopClaims, lockClaims, probeClaims, serviceClaims, setStage, upgradeClaims } from '../../helpers/claims.ts'
import { closeCluster, closeLocal, openCluster, whyNoCluster, type Kubernetes } from '../../helpers/cluster.ts'
import { MAIN_CLUSTER, ensureRelease, readyPod } from '../../helpers/release.ts'

const why = whyNoCluster() ?? (process.env['KUBECONFIG'] ? 'KUBECONFIG names one cluster; other versions are tried where ../shared/cluster is' : undefined)
if (why) t.plan(0, why)
else {
  await closeLocal(MAIN_CLUSTER)
  for (const kube of ['1.30', '1.37']) {
    await t.test(`Kubernetes ${kube}`, { timeout: 600_000 }, async (t) => {
      const cluster = await openCluster(MAIN_CLUSTER, kube)
      t.teardown(async () => await closeCluster(cluster))
      const { serverVersion }: Kubernetes = JSON.parse(await cluster.kubectl(['version', '-o', 'json']))
      t.match(serverVersion.gitVersion, `v${kube}.`, 'the real API server')
      await ensureRelease(cluster)
      const stage = await setStage(cluster)
      t.teardown(() => stage.agent.close())
      await t.test(kube === '1.30' ? 'a regular sidecar, before 1.32' : 'a native sidecar', async (t) => {
        const { spec } = await readyPod(cluster, APPS, 'shop')
        const [containers, others] = kube === '1.30' ? [spec.containers, spec.initContainers ?? []] : [spec.initContainers, spec.containers]
        t.equal(containers[0].name, 'sidegate')
        t.notOk(others.some((container: Kubernetes) => container.name === 'sidegate'))
      })
      serviceClaims(t, stage)
      lockClaims(t, stage)
      probeClaims(t, stage)
      backstopClaims(t, stage)
      upgradeClaims(t, stage)
    })
  }
}
