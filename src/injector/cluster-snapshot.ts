/** What `sidegate check --cluster` looks at, read once. What may not be read is said, never passed over. */
import type { Kube } from '../kube/client.ts'
import type { Resource } from '../kube/resource.ts'
import type { ConfigMap, KubeObject, NetworkPolicy, Pod, Service } from '../kube/types.ts'
import { CONFIG_COPY, SOURCE_CONFIG } from './names.ts'

export interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly {
    readonly name: string
    readonly failurePolicy?: string
    readonly clientConfig: { readonly caBundle?: string }
  }[]
}

export interface Workload extends KubeObject {
  readonly spec?: { readonly template?: { readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> } } }
}

export interface ClusterSnapshot {
  readonly releaseNamespace: string
  readonly namespaces: readonly KubeObject[]
  readonly pods: readonly Pod[]
  readonly services: readonly Service[]
  readonly policies: readonly NetworkPolicy[]
  readonly copies: readonly ConfigMap[]
  readonly workloads: readonly Workload[]
  readonly source: ConfigMap | undefined
  /** The controller's own file, as the chart mounts it. */
  readonly controllerFile: ConfigMap | undefined
  readonly webhooks: WebhookConfiguration | undefined
  /** Names. */
  readonly admissionPolicies: readonly string[]
  /** What could not be read: resource and why. */
  readonly unread: readonly { readonly what: string, readonly why: string }[]
}

const WEBHOOKS = 'sidegate'
const CONTROLLER_FILE = 'sidegate-controller'

/** Finds the release by its source of configuration. */
async function findRelease(kube: Kube): Promise<string> {
  const { items } = await kube.list<ConfigMap>('configmaps', { fieldSelector: `metadata.name=${SOURCE_CONFIG}` })
  return items[0]?.metadata.namespace ?? 'sidegate-system'
}

/**
 * Reads the cluster.
 * @param releaseNamespace default: where a ConfigMap `sidegate-profiles` is
 */
export async function takeSnapshot(kube: Kube, releaseNamespace?: string): Promise<ClusterSnapshot> {
  const unread: { what: string, why: string }[] = []
  const attempt = async <T>(what: string, read: () => Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await read()
    } catch (error) {
      unread.push({ what, why: (error as Error).message })
      return otherwise
    }
  }
  const all = <T extends KubeObject>(resource: Resource, selection = {}) =>
    attempt(resource, async () => (await kube.list<T>(resource, selection)).items, [] as readonly T[])
  const release = releaseNamespace ?? await attempt('the release namespace', () => findRelease(kube), 'sidegate-system')
  const configMap = (name: string) => attempt(`configmaps ${release}/${name}`, () => kube.get<ConfigMap>({ resource: 'configmaps', namespace: release, name }), undefined)
  const workloads = async () => (await Promise.all([all<Workload>('deployments'), all<Workload>('statefulsets'), all<Workload>('daemonsets')]))
    .flatMap((items, index) => items.map((item) => ({ ...item, kind: ['Deployment', 'StatefulSet', 'DaemonSet'][index]! })))
  const [namespaces, pods, services, policies, copies, found, source, controllerFile, webhooks, admission] = await Promise.all([
    all('namespaces'), all<Pod>('pods'), all<Service>('services'), all<NetworkPolicy>('networkpolicies'),
    all<ConfigMap>('configmaps', { fieldSelector: `metadata.name=${CONFIG_COPY}` }), workloads(), configMap(SOURCE_CONFIG), configMap(CONTROLLER_FILE),
    attempt('mutatingwebhookconfigurations', () => kube.get<WebhookConfiguration>({ resource: 'mutatingwebhookconfigurations', name: WEBHOOKS }), undefined),
    all('validatingadmissionpolicybindings'),
  ])
  return {
    releaseNamespace: release, namespaces, pods, services, policies, copies, workloads: found, source, controllerFile, webhooks, unread,
    admissionPolicies: admission.map(({ metadata }) => metadata.name),
  }
}
