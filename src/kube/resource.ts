/** The kinds of objects this project reads and writes, and where the API server has them. */

interface ResourceRow {
  readonly base: string
  readonly plural: string
  readonly apiVersion: string
  readonly kind: string
  readonly namespaced: boolean
}

const core = (plural: string, kind: string, namespaced = true): ResourceRow => ({ base: '/api/v1', plural, apiVersion: 'v1', kind, namespaced })
const group = (apiVersion: string, plural: string, kind: string, namespaced = true): ResourceRow =>
  ({ base: `/apis/${apiVersion}`, plural, apiVersion, kind, namespaced })

export const RESOURCES = {
  pods: core('pods', 'Pod'),
  services: core('services', 'Service'),
  configmaps: core('configmaps', 'ConfigMap'),
  secrets: core('secrets', 'Secret'),
  events: core('events', 'Event'),
  namespaces: core('namespaces', 'Namespace', false),
  nodes: core('nodes', 'Node', false),
  serviceaccounts: core('serviceaccounts', 'ServiceAccount'),
  clusterroles: group('rbac.authorization.k8s.io/v1', 'clusterroles', 'ClusterRole', false),
  deployments: group('apps/v1', 'deployments', 'Deployment'),
  statefulsets: group('apps/v1', 'statefulsets', 'StatefulSet'),
  daemonsets: group('apps/v1', 'daemonsets', 'DaemonSet'),
  networkpolicies: group('networking.k8s.io/v1', 'networkpolicies', 'NetworkPolicy'),
  mutatingwebhookconfigurations: group('admissionregistration.k8s.io/v1', 'mutatingwebhookconfigurations', 'MutatingWebhookConfiguration', false),
  validatingadmissionpolicies: group('admissionregistration.k8s.io/v1', 'validatingadmissionpolicies', 'ValidatingAdmissionPolicy', false),
  validatingadmissionpolicybindings:
    group('admissionregistration.k8s.io/v1', 'validatingadmissionpolicybindings', 'ValidatingAdmissionPolicyBinding', false),
} as const satisfies Record<string, ResourceRow>

export type Resource = keyof typeof RESOURCES

/** One object. */
export interface Ref {
  readonly resource: Resource
  readonly name: string
  readonly namespace?: string | undefined
}

/** One segment of a path. A namespace can come from whoever calls the webhook, so it must not climb. */
function segment(name: string): string {
  if (name === '' || name === '.' || name === '..') throw new Error(`${JSON.stringify(name)} is not a name`)
  return encodeURIComponent(name)
}

/** Where a collection is: of one namespace, or of the whole cluster. */
export function collectionPath(resource: Resource, namespace?: string): string {
  const { base, plural } = RESOURCES[resource]
  return namespace === undefined ? `${base}/${plural}` : `${base}/namespaces/${segment(namespace)}/${plural}`
}

/** Where an object is. */
export function objectPath({ resource, name, namespace }: Ref): string {
  return `${collectionPath(resource, namespace)}/${segment(name)}`
}

/** For logs and messages: `configmaps namespace/name`. */
export function describeRef({ resource, name, namespace }: Ref): string {
  return `${resource} ${namespace === undefined ? '' : `${namespace}/`}${name}`
}
