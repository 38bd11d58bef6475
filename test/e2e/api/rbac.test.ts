/** The chart's roles are enough for the controller, and it is asked for nothing that they do not give. */
import t from 'tap'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse, parseAllDocuments, stringify } from 'yaml'
import type { ConfigMap, KubeObject, NetworkPolicy, Secret } from '../../../src/kube/types.ts'
import { eventually, freePort, namespace, noApiServer, pod, sourceConfig, startApiServer, startController, webhookConfiguration } from '../../helpers/api-server.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const helm = fileURLToPath(new URL('../../../../shared/cluster/cluster', import.meta.url))

/** The chart's ServiceAccount, roles and bindings. */
function chartRoles(path: string): object[] {
  const templates = ['controller-serviceaccount', 'controller-clusterrole', 'controller-clusterrolebinding', 'controller-role', 'controller-rolebinding']
  const args = ['template', 'sidegate', 'charts/sidegate', '-n', 'sidegate-system', ...templates.flatMap((name) => ['-s', `templates/${name}.yaml`])]
  const text = execFileSync('helm', args, { cwd: root, env: { ...process.env, PATH: `${path}:${process.env['PATH']}` } }).toString()
  return parseAllDocuments(text).map((document) => document.toJS() as object)
}

t.test('roles of the chart', { skip: noApiServer }, async (t) => {
  const api = await startApiServer('api-rbac')
  t.teardown(() => api.down())
  const port = await freePort(api.host)
  const { stdout } = { stdout: execFileSync('bash', ['-c', `eval "$(${helm} --name api-rbac env)"; command -v helm`]).toString() }
  await api.apply(namespace('sidegate-system'), namespace('shop'), sourceConfig(), webhookConfiguration(api.host, port))
  await api.apply(...chartRoles(dirname(stdout.trim())))
  const { stdout: token } = await api.kubectl(['-n', 'sidegate-system', 'create', 'token', 'sidegate-controller'])
  const config = parse(readFileSync(api.kubeconfig, 'utf8')) as { users: { user: object }[] }
  config.users[0]!.user = { token: token.trim() }
  const kubeconfig = `${mkdtempSync('/tmp/sidegate-rbac-')}/config`
  writeFileSync(kubeconfig, stringify(config))
  t.ok(existsSync(kubeconfig))

  const controller = await startController(api, port, { cleanup: { after: '2s' } }, kubeconfig)
  t.teardown(() => controller.kill())
  const { kube } = api
  const copy = () => kube.get<ConfigMap>({ resource: 'configmaps', namespace: 'shop', name: 'sidegate-config' })
  const policy = () => kube.get<NetworkPolicy>({ resource: 'networkpolicies', namespace: 'shop', name: 'sidegate' })
  const eventuallyThat = (check: () => Promise<boolean>, what: string) => eventually(async () => { if (!await check()) throw new Error(`${what}\n${controller.log()}`) })
  await eventuallyThat(async () => (await api.kubectl(['-n', 'shop', 'get', 'serviceaccount', 'default'])).code === 0, 'no service account')

  await kube.create('pods', pod('shop', 'web'))
  t.match((await copy())?.metadata.ownerReferences, [{ kind: 'ClusterRole' }])
  t.match((await policy())?.metadata.ownerReferences, [{ kind: 'ClusterRole' }])
  const secret = await kube.get<Secret>({ resource: 'secrets', namespace: 'sidegate-system', name: 'sidegate-ca' })
  t.match(secret?.metadata.ownerReferences, [{ kind: 'ServiceAccount' }])
  await kube.remove({ resource: 'networkpolicies', namespace: 'shop', name: 'sidegate' })
  await eventuallyThat(async () => await policy() !== undefined, 'policy not repaired')
  await kube.patch({ resource: 'configmaps', namespace: 'sidegate-system', name: 'sidegate-profiles' }, 'merge', { data: { profiles: '{"default":{"mode":"audit"}}' } })
  await eventuallyThat(async () => (await copy())?.data?.['default.json']?.includes('audit') ?? false, 'copy not updated')
  await eventuallyThat(async () => (await kube.list<KubeObject & { reason: string }>('events', { namespace: 'shop' })).items.some(({ reason }) => reason === 'SidegateInjected'), 'no event')
  await kube.remove({ resource: 'pods', namespace: 'shop', name: 'web' })
  await eventuallyThat(async () => await copy() === undefined && await policy() === undefined, 'not cleaned up')
  t.notMatch(controller.log(), /forbidden|cannot/)
})
