/** `sidegate check --cluster` as people call it, on a real API server: each kind of hole is made, found, and gone when mended. */
import t from 'tap'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { KubeObject, Service } from '../../../src/kube/types.ts'
import { checkCluster } from '../../../src/injector/cluster-check.ts'
import type { ClusterFinding } from '../../../src/injector/cluster-findings.ts'
import { eventually, freePort, namespace, noApiServer, pod, sourceConfig, startApiServer, startController, webhookConfiguration } from '../../helpers/api-server.ts'

interface Report { readonly ok: boolean, readonly summary: { readonly protected: { readonly pods: number } }, readonly findings: readonly ClusterFinding[] }

const root = fileURLToPath(new URL('../../..', import.meta.url))
const check = (kubeconfig: string, ...args: string[]) => new Promise<{ code: number, stdout: string, stderr: string }>((resolve) => {
  execFile(process.execPath, ['cmd/sidegate.ts', 'check', '--cluster', '--kubeconfig', kubeconfig, ...args], { cwd: root }, (error, stdout, stderr) => {
    resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr })
  })
})

t.test('check --cluster', { skip: noApiServer }, async (t) => {
  const api = await startApiServer('api-check')
  t.teardown(() => api.down())
  const { kube } = api
  // In this process: a start of the CLI for each look would take most of the test's time.
  const report = async (): Promise<Report> => {
    let text = ''
    await checkCluster({ kubeconfig: api.kubeconfig, output: 'json', strict: false }, (document) => { text = document })
    return JSON.parse(text) as Report
  }
  const found = async () => (await report()).findings.filter(({ severity }) => severity !== 'note').map(({ code, object }) => `${code}: ${object}`)

  await t.test('nothing installed', async (t) => {
    const { code, stdout } = await check(api.kubeconfig)
    t.equal(code, 1)
    t.match(stdout, /^hole {6}MutatingWebhookConfiguration sidegate: it does not exist.*\n {10}Fix: Install the chart/m)
    t.match(stdout, /^outage {4}ConfigMap sidegate-system\/sidegate-profiles: it does not exist/m)
    t.match(stdout, /^not ok: 2 holes, 1 outage, /m)
  })

  const port = await freePort(api.host)
  const binding = {
    apiVersion: 'admissionregistration.k8s.io/v1', kind: 'ValidatingAdmissionPolicyBinding', metadata: { name: 'sidegate-pods' },
    spec: { policyName: 'sidegate-pods', validationActions: ['Warn'] },
  }
  const file = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'sidegate-controller', namespace: 'sidegate-system' }, data: { 'controller.json': '{"sidecar":{"image":"registry.internal/sidegate:test"}}' } }
  await api.apply(namespace('sidegate-system'), namespace('shop'), namespace('old'), sourceConfig(), binding, file)
  await eventually(async () => { if ((await api.kubectl(['-n', 'old', 'get', 'serviceaccount', 'default'])).code !== 0) throw new Error('no service account') })
  // Older than the webhook, and than its namespace's label.
  await kube.create('pods', pod('old', 'annotated'))
  const { annotations: _, ...bare } = pod('old', 'labelled').metadata
  await kube.create<KubeObject>('pods', { ...pod('old', 'labelled'), metadata: bare })
  await api.apply(webhookConfiguration(api.host, port))
  const controller = await startController(api, port)
  t.teardown(() => controller.kill())
  const web = pod('shop', 'web')
  await kube.create('pods', { ...web, metadata: { ...web.metadata, labels: { app: 'web' } } })

  await t.test('pods older than the webhook or their namespace\'s label', async (t) => {
    t.same(await found(), ['unprotected-pod: Pod old/annotated'])
    await api.kubectl(['label', 'namespace', 'old', 'sidegate.dev/inject=true'])
    t.same(await found(), ['label-misspelt: Namespace old', 'unprotected-pod: Pod old/annotated'])
    await api.kubectl(['label', '--overwrite', 'namespace', 'old', 'sidegate.dev/inject=enabled'])
    t.same(await found(), ['unprotected-pod: Pod old/annotated', 'unprotected-pod: Pod old/labelled'])
    for (const name of ['annotated', 'labelled']) await kube.remove({ resource: 'pods', namespace: 'old', name })
    t.same(await found(), [])
  })

  await t.test('in order: exit 0, and what cannot be seen is said', async (t) => {
    const { code, stdout } = await check(api.kubeconfig)
    t.equal(code, 0, stdout)
    t.match(stdout, /^note {6}NetworkPolicies: whether this cluster's CNI enforces them/m)
    t.match(stdout, /^ok: 0 holes, 0 outages, 0 unchecked, 1 note; 1 pod with the sidecar in 1 namespace$/m)
    const strict = await check(api.kubeconfig, '--strict', '--output', 'json')
    t.equal(strict.code, 1)
    t.match(JSON.parse(strict.stdout), { ok: false, summary: { holes: 0, notes: 1, protected: { pods: 1 } } })
  })

  await t.test('Services and policies of others', async (t) => {
    await kube.create<Service>('services', { metadata: { name: 'numeric', namespace: 'shop' }, spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] } })
    await kube.create<Service>('services', { metadata: { name: 'headless', namespace: 'shop' }, spec: { clusterIP: 'None', selector: { app: 'web' }, ports: [{ port: 80, targetPort: 'http' }] } })
    await kube.create('networkpolicies', { metadata: { name: 'allow-all', namespace: 'shop' }, spec: { podSelector: {}, ingress: [{}] } } as KubeObject)
    t.same((await found()).sort(), ['networkpolicy-opens-app: NetworkPolicy shop/allow-all', 'service-misses-sidecar: Service shop/headless', 'service-misses-sidecar: Service shop/numeric'])
    for (const name of ['numeric', 'headless']) await kube.remove({ resource: 'services', namespace: 'shop', name })
    await kube.remove({ resource: 'networkpolicies', namespace: 'shop', name: 'allow-all' })
    t.same(await found(), [])
  })

  await t.test('an annotation on the workload instead of its pods', async (t) => {
    await api.apply({
      apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'misplaced', namespace: 'shop', annotations: { 'sidegate.dev/inject': 'true' } },
      spec: { replicas: 0, selector: { matchLabels: { app: 'x' } }, template: { metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'x', image: 'x' }] } } },
    })
    t.same(await found(), ['annotation-misplaced: Deployment shop/misplaced'])
    await api.kubectl(['-n', 'shop', 'delete', 'deployment', 'misplaced'])
  })

  await t.test('the controller away: policy gone, copy stale, source broken, sidecars of yesterday', async (t) => {
    await controller.stop()
    await kube.remove({ resource: 'networkpolicies', namespace: 'shop', name: 'sidegate' })
    await kube.patch({ resource: 'configmaps', namespace: 'shop', name: 'sidegate-config' }, 'merge', { data: { 'default.json': '{}' } })
    t.same(await found(), ['policy-missing: NetworkPolicy shop/sidegate', 'copy-outdated: ConfigMap shop/sidegate-config'])
    await kube.patch({ resource: 'configmaps', namespace: 'sidegate-system', name: 'sidegate-controller' }, 'merge', { data: { 'controller.json': '{"sidecar":{"image":"sidegate:2"}}' } })
    await kube.patch({ resource: 'configmaps', namespace: 'sidegate-system', name: 'sidegate-profiles' }, 'merge', { data: { profiles: '{"default":{"mode":"of"}}' } })
    const { findings } = await report()
    t.ok(findings.some(({ code, severity, problem }) => code === 'configuration-refused' && severity === 'outage' && problem.startsWith('profiles.default.mode: ')))
    t.match(findings.find(({ code }) => code === 'outdated-sidecar'), { object: 'Pod shop/web', severity: 'note' })
  })

  await t.test('what may not be read is not passed over', async (t) => {
    const { stdout: token } = await api.kubectl(['-n', 'shop', 'create', 'token', 'default'])
    const { code, stdout } = await check(await restricted(api.kubeconfig, token.trim()))
    t.equal(code, 1)
    t.match(stdout, /^unchecked pods: could not be read: .*forbidden/m)
  })

  await t.test('no API server there: one sentence', async (t) => {
    const { code, stderr } = await check(await restricted(api.kubeconfig, 'x', 'https://127.0.0.1:1'))
    t.equal(code, 1)
    t.match(stderr, /^sidegate: the API server at https:\/\/127\.0\.0\.1:1 does not answer: .*ECONNREFUSED/m)
  })
})

/** A kubeconfig for another user or server. */
async function restricted(kubeconfig: string, token: string, server?: string): Promise<string> {
  const { readFileSync, writeFileSync, mkdtempSync } = await import('node:fs')
  const { parse, stringify } = await import('yaml')
  const config = parse(readFileSync(kubeconfig, 'utf8')) as { users: { user: object }[], clusters: { cluster: { server: string } }[] }
  config.users[0]!.user = { token }
  if (server !== undefined) config.clusters[0]!.cluster.server = server
  const file = `${mkdtempSync('/tmp/sidegate-kubeconfig-')}/config`
  writeFileSync(file, stringify(config))
  return file
}
