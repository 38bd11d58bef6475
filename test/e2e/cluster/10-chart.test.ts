// The chart against helm 3 and 4 and against the API server's own schema and validation. Nothing is installed here. The first of the files
// that share a cluster: it begins with a new one.
import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { parseAllDocuments } from 'yaml'
import { generated } from '../../../scripts/chart.mjs'
import { networkPolicySpec } from '../../../src/injector/network-policy.ts'
import { BAD, GOOD } from '../../chart/values-sets.ts'
import { closeLocal, openCluster, root, run, whyNoCluster, type Cluster, type Kubernetes } from '../../helpers/cluster.ts'
import { MAIN_CLUSTER } from '../../helpers/release.ts'

const why = whyNoCluster()
if (why) t.plan(0, why)
else {
  await closeLocal(MAIN_CLUSTER)
  await chart(await openCluster(MAIN_CLUSTER))
}

/** Kinds of operators that the test cluster does not have. */
const FOREIGN = /^(ServiceMonitor|PodMonitor|PrometheusRule|Certificate|Issuer|ClusterNetworkPolicy)$/

async function template(cluster: Cluster, values: object, version: 3 | 4 = 4, namespace = 'sidegate-system') {
  return await cluster.helm(['template', 'sidegate', `${root}charts/sidegate`, '--namespace', namespace, '--values', '-'], { input: JSON.stringify(values), version })
}

const objects = (text: string): Kubernetes[] => parseAllDocuments(text).map((document): Kubernetes => document.toJSON()).filter(Boolean)

/** The two helms put kinds that they do not know in different places. */
const sorted = (all: readonly Kubernetes[]) => all.toSorted((a, b) => `${a.kind}/${a.metadata.name}` < `${b.kind}/${b.metadata.name}` ? -1 : 1)

async function chart(cluster: Cluster) {
  t.test('helm lint finds nothing, by Helm 3 and Helm 4', async (t) => {
    for (const version of [3, 4] as const) {
      const { code, stdout } = await cluster.helm(['lint', '--strict', `${root}charts/sidegate`], { version })
      t.equal(code, 0, stdout)
      t.notMatch(stdout, /WARNING|ERROR/)
    }
  })

  t.test('manifests/ are the rendered chart, by Helm 3 and Helm 4', async (t) => {
    for (const helm of ['helm', 'helm3']) {
      const path = (await run('bash', ['-c', `command -v ${helm}`], { env: cluster.env })).stdout.trim()
      for (const [file, text] of Object.entries(generated(path))) t.ok(readFileSync(root + file, 'utf8') === text, `${file} by ${helm}; if not: node scripts/chart.mjs`)
    }
  })

  const names = Object.keys(GOOD)
  t.ok(names.length >= 20, 'at least 20 value sets')
  await cluster.tryKubectl(['create', 'namespace', 'sidegate-system'])
  for (const name of ['shop', 'billing']) await cluster.tryKubectl(['create', 'namespace', name])
  for (const name of names) {
    t.test(`renders twice the same and the API server takes it: ${name}`, async (t) => {
      const [first, second, third] = await Promise.all([4, 4, 3].map(async (version) => await template(cluster, GOOD[name]!, version as 3 | 4)))
      t.equal(first!.code, 0, first!.stderr)
      t.equal(second!.stdout, first!.stdout, 'the same bytes')
      const all = objects(first!.stdout)
      t.same(sorted(objects(third!.stdout)), sorted(all), 'Helm 3 makes the same objects')
      const known = all.filter((object) => !FOREIGN.test(object.kind))
      const { code, stderr } = await cluster.tryKubectl(['apply', '--dry-run=server', '--validate=strict', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: known }))
      // The namespace of the helm test does not exist in a dry run.
      const problems = stderr.split('\n').filter((line) => line !== '' && !/namespaces "sidegate-test" not found/.test(line))
      t.ok(code === 0 || problems.length === 0, problems.join('\n'))
      t.same(problems, [], 'and warns of nothing')
      checkObjects(t, all)
    })
  }

  for (const [name, [values, sentence]] of Object.entries(BAD)) {
    t.test(`refuses ${name}`, async (t) => {
      const { code, stderr } = await template(cluster, values)
      t.not(code, 0)
      t.match(stderr, sentence)
    })
  }

  t.test('refuses to be installed in kube-system', async (t) => {
    const { code, stderr } = await template(cluster, {}, 4, 'kube-system')
    t.not(code, 0)
    t.match(stderr, /not in kube-system/)
  })

  t.test('a rendered NetworkPolicy is what the controller would write', async (t) => {
    const { networkPolicy } = GOOD['network policy with peers and egress'] as Kubernetes
    const policies = objects((await template(cluster, GOOD['network policy with peers and egress']!)).stdout).filter((object) => object.kind === 'NetworkPolicy' && object.metadata.name === 'sidegate')
    t.equal(policies.length, 1)
    t.same(policies[0].spec, networkPolicySpec(networkPolicy))
  })
}

function checkObjects(t: Test, all: Kubernetes[]) {
  for (const object of all) {
    t.ok(object.metadata.labels?.['app.kubernetes.io/name'] === 'sidegate', `${object.kind} ${object.metadata.name} is labelled`)
    if (object.kind === 'MutatingWebhookConfiguration') for (const entry of object.webhooks) t.notOk('caBundle' in entry.clientConfig)
    if (object.kind === 'ClusterRole' || object.kind === 'Role') for (const rule of object.rules) t.notOk(JSON.stringify(rule).includes('"*"'), 'no wildcard right')
  }
  const [deployment] = all.filter((object) => object.kind === 'Deployment' && object.metadata.name === 'sidegate-controller')
  const { strategy, template } = deployment.spec
  // On the node's network a successor finds its ports taken; there the other replicas answer meanwhile.
  t.equal(strategy.rollingUpdate.maxUnavailable, template.spec.hostNetwork && deployment.spec.replicas > 1 ? 1 : 0)
  t.match(template.spec.containers[0].securityContext, { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, runAsNonRoot: true, capabilities: { drop: ['ALL'] }, seccompProfile: { type: 'RuntimeDefault' } })
}
