/** A Sidegate release on a test cluster, apps behind it, an issuer, a client. Everything is taken over when it is there already. */
import { readFileSync } from 'node:fs'
import { run, ensureImage, eventually, must, root, type Cluster, type Kubernetes } from './cluster.ts'

/** The cluster that the files of test/e2e/cluster share, on the default version. SIDEGATE_TEST_CLUSTER names another. */
export const MAIN_CLUSTER = process.env['SIDEGATE_TEST_CLUSTER'] ?? 'sgtest'
export const SYSTEM = 'sidegate-system'
/** Where issuer and client live; nothing is injected there. */
export const CLIENTS = 'e2e-clients'
export const ISSUER_URL = `http://issuer.${CLIENTS}.svc:8080`
const NODE_IMAGE = 'node:26-bookworm-slim'
const fixture = (name: string) => readFileSync(`${root}test/e2e/cluster/fixtures/${name}`, 'utf8')
const chart = `${root}charts/sidegate`

/** The values of the tests' release; a real issuer in the cluster and the cluster's own. */
export function testValues(cluster: Cluster): Record<string, Kubernetes> {
  const account = '/var/run/secrets/kubernetes.io/serviceaccount'
  return {
    image: { ...cluster.image, pullPolicy: cluster.local ? 'Never' : 'IfNotPresent' },
    issuers: [
      { name: 'demo', issuer: ISSUER_URL, audiences: ['e2e'], keys: { discovery: true, allowHttp: true } },
      {
        name: 'cluster', issuer: 'https://kubernetes.default.svc.cluster.local', audiences: ['e2e'],
        keys: { jwksUri: 'https://kubernetes.default.svc.cluster.local/openid/v1/jwks', caFile: `${account}/ca.crt`, bearerTokenFile: `${account}/token` },
      },
    ],
    profiles: {
      default: {
        issuers: ['demo'],
        identity: { headers: { 'X-User-Id': { claim: 'sub' }, 'X-User-Roles': { claim: 'roles', encoding: 'csv' } } },
        rules: [
          { match: { path: '/healthz' }, allow: 'anonymous' },
          { match: { path: '/admin/**' }, require: { roles: { anyOf: ['admin'] } } },
          { match: { path: '/**' }, require: {} },
        ],
      },
      cluster: { issuers: ['cluster'] },
    },
    controller: { resources: { requests: { cpu: '10m', memory: '64Mi' } } },
    sidecar: { resources: { requests: { cpu: '5m', memory: '32Mi' } } },
  }
}

/** Installs or upgrades the release and waits for it. */
export async function helmUpgrade(cluster: Cluster, values: object = testValues(cluster), args: readonly string[] = [], version: 3 | 4 = 4): Promise<string> {
  const { code, stdout, stderr } = await cluster.helm(
    ['upgrade', '--install', 'sidegate', chart, '--namespace', SYSTEM, '--create-namespace', '--values', '-', '--wait', '--timeout', '180s', ...args],
    { input: JSON.stringify(values), version },
  )
  if (code !== 0) throw new Error(`helm ${version} upgrade failed:\n${stderr}\n${await diagnosis(cluster)}`)
  return stdout
}

/** What an operator would look at when the release does not come up. */
async function diagnosis(cluster: Cluster): Promise<string> {
  const parts = [['get', 'pods', '-o', 'wide'], ['get', 'events'], ['logs', 'deployment/sidegate-controller', '--tail=40']]
  return (await Promise.all(parts.map(async (args) => {
    const { stdout, stderr } = await cluster.tryKubectl(['-n', SYSTEM, ...args])
    return `$ kubectl ${args.join(' ')}\n${stdout.slice(-4000)}${stderr.slice(-500)}`
  }))).join('\n')
}

/** The release, with the image of this tree, ready to inject. */
export async function ensureRelease(cluster: Cluster): Promise<void> {
  const built = await ensureImage(cluster)
  const { code, stdout } = await cluster.helm(['status', 'sidegate', '--namespace', SYSTEM])
  if (code !== 0 || !/STATUS: deployed/.test(stdout)) await helmUpgrade(cluster)
  else if (built) {
    await cluster.kubectl(['-n', SYSTEM, 'rollout', 'restart', 'deployment/sidegate-controller'])
    await rolledOut(cluster)
  }
  await trusted(cluster)
}

/** Waits until the controller's Deployment is what it should be. */
export async function rolledOut(cluster: Cluster): Promise<void> {
  await cluster.kubectl(['-n', SYSTEM, 'rollout', 'status', 'deployment/sidegate-controller', '--timeout=120s'])
}

/** Waits until every webhook entry has a caBundle and the API server can call it. */
export async function trusted(cluster: Cluster): Promise<void> {
  await eventually(async () => {
    const { webhooks } = await cluster.get('mutatingwebhookconfiguration', 'sidegate')
    if (!webhooks.every((entry: Kubernetes) => entry.clientConfig.caBundle)) throw new Error('The webhook has no caBundle yet.')
  })
}

/** Issuer and client, and the fixtures as a ConfigMap, in {@link CLIENTS}. */
export async function ensureClients(cluster: Cluster): Promise<void> {
  await cluster.apply(namespace(CLIENTS), fixtures(CLIENTS))
  await cluster.apply(
    ...nodeApp('issuer', CLIENTS, { script: 'issuer.mjs', env: { ISSUER: ISSUER_URL } }),
    service('issuer', CLIENTS, { port: 8080, targetPort: 8080 }),
    {
      apiVersion: 'v1', kind: 'Pod', metadata: { name: 'client', namespace: CLIENTS },
      spec: { ...podSpec('agent.mjs', {}), containers: [{ ...podSpec('agent.mjs', {}).containers[0], command: ['node', '-e', 'process.on("SIGTERM", () => process.exit()); setInterval(() => {}, 1e6)'] }] },
    },
  )
  await cluster.kubectl(['-n', CLIENTS, 'wait', '--for=condition=Ready', 'pod/client', '--timeout=60s'])
  await cluster.kubectl(['-n', CLIENTS, 'rollout', 'status', 'deployment/issuer', '--timeout=60s'])
}

export const namespace = (name: string, labels: Record<string, string> = {}) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } })

export const fixtures = (inNamespace: string) => ({
  apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'fixtures', namespace: inNamespace },
  data: Object.fromEntries(['app.mjs', 'issuer.mjs', 'agent.mjs'].map((name) => [name, fixture(name)])),
})

export const service = (name: string, inNamespace: string, port: { readonly port: number, readonly targetPort: number | string }, more: object = {}) => ({
  apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: inNamespace },
  spec: { selector: { app: name }, ports: [{ name: 'http', ...port }], ...more },
})

/** PodSecurity `restricted`, as a careful team writes it. */
export function podSpec(script: string, env: Readonly<Record<string, string>>, port = 8080): Kubernetes {
  return {
    terminationGracePeriodSeconds: 5,
    securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [{
      name: 'app', image: NODE_IMAGE, imagePullPolicy: 'IfNotPresent', command: ['node', `/fixtures/${script}`],
      env: Object.entries(env).map(([name, value]) => ({ name, value })),
      ports: [{ name: 'http', containerPort: port }],
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      volumeMounts: [{ name: 'fixtures', mountPath: '/fixtures' }],
    }],
    volumes: [{ name: 'fixtures', configMap: { name: 'fixtures' } }],
  }
}

export interface AppOptions {
  readonly script?: string
  readonly env?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  /** Changes the pod's spec in place. */
  readonly edit?: (spec: Kubernetes) => void
}

/**
 * A Deployment of one node program. Its pod is ready once the program listens: a container without a readiness probe is
 * ready as soon as its process exists, and a first call then meets a closed port.
 */
export function nodeApp(name: string, inNamespace: string, { script = 'app.mjs', env = {}, annotations = {}, edit }: AppOptions = {}): object[] {
  const spec = podSpec(script, env)
  spec.containers[0].readinessProbe = { tcpSocket: { port: 8080 }, periodSeconds: 1 }
  edit?.(spec)
  return [{
    apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace: inNamespace },
    spec: { replicas: 1, selector: { matchLabels: { app: name } }, template: { metadata: { labels: { app: name }, annotations }, spec } },
  }]
}

/** Annotation on, plus others by their short names. */
export const asks = (more: Readonly<Record<string, string>> = {}) =>
  Object.fromEntries(Object.entries({ inject: 'true', ...more }).map(([name, value]) => [`sidegate.dev/${name}`, value]))

/** The one running pod of an app, once it is ready. */
export async function readyPod(cluster: Cluster, inNamespace: string, app: string, seconds = 60): Promise<Kubernetes> {
  return await eventually(async () => {
    const { items } = await cluster.get('pods', '-n', inNamespace, '-l', `app=${app}`)
    const pods = items.filter((pod: Kubernetes) => !pod.metadata.deletionTimestamp)
    const ready = pods.find((pod: Kubernetes) => pod.status.conditions?.some((row: Kubernetes) => row.type === 'Ready' && row.status === 'True'))
    if (ready) return ready
    const events = await cluster.kubectl(['-n', inNamespace, 'get', 'events', '-o', 'custom-columns=R:.reason,O:.involvedObject.name,M:.message', '--no-headers'])
    throw new Error(`No ready pod of ${app} in ${inNamespace}: ${JSON.stringify(pods.map((pod: Kubernetes) => pod.status.containerStatuses ?? pod.status.phase)).slice(0, 1500)}\n${events.slice(-1500)}`)
  }, seconds, 300)
}

/** A token of the demo issuer, fetched inside the cluster. */
export async function token(cluster: Cluster, claims: object): Promise<string> {
  const url = `${ISSUER_URL}/token?claims=${encodeURIComponent(JSON.stringify(claims))}`
  const { stdout, stderr } = await run('kubectl', ['-n', CLIENTS, 'exec', 'client', '--', 'node', '-e', `fetch(${JSON.stringify(url)}).then(r=>r.text()).then(t=>process.stdout.write(t))`], { env: cluster.env })
  if (stdout.split('.').length !== 3) throw new Error(`No token: ${stdout} ${stderr}`)
  return stdout
}

/** A token of the cluster's own issuer. */
export async function accountToken(cluster: Cluster, inNamespace = CLIENTS): Promise<string> {
  return (await must('kubectl', ['-n', inNamespace, 'create', 'token', 'default', '--audience', 'e2e'], { env: cluster.env })).trim()
}

/** A header's value in what the sample app says it got; undefined when it is not there. */
export function seen(body: string, name: string): string | undefined {
  const { headers } = JSON.parse(body) as { headers: string[] }
  const index = headers.findIndex((text, at) => at % 2 === 0 && text.toLowerCase() === name.toLowerCase())
  return index < 0 ? undefined : headers[index + 1]
}
