/** The NetworkPolicy that leaves only the sidecar's ports of an injected pod open. The chart's template and manifests/ say the same. */
import { isDeepStrictEqual } from 'node:util'
import type { NetworkPolicy } from '../kube/types.ts'
import {
  FIRST_PROTECTED_PORT, HEALTH_PORT, INJECTED_LABEL, INTERCEPTION_LABEL, MANAGED_BY, MANAGED_BY_LABEL, MAX_PROTECTED_PORTS, NETWORK_POLICY,
} from './names.ts'

export interface NetworkPolicyOptions {
  /** NetworkPolicyPeers that may reach the protected ports; empty: anyone. */
  readonly from: readonly unknown[]
  /** NetworkPolicyPeers that may reach metrics and health; empty: nobody but the node. */
  readonly healthFrom: readonly unknown[]
  /** NetworkPolicyEgressRules; null: egress is not restricted. */
  readonly egress: readonly unknown[] | null
}

/**
 * Its spec. The sidecar's whole range of ports is opened for every pod: how many of them one pod uses differs, and a policy that had to
 * change with each pod could be late for one. Where a CNI ignores `endPort`, only the first port is open: it fails closed.
 *
 * Pods with interception `loopback` or `redirect` are left out. Their sidecar has the app's own port numbers and the kernel is the lock; a
 * policy could only open what somebody else's closes. `NotIn` rather than `port`: a pod that lost the label stays selected.
 */
export function networkPolicySpec({ from, healthFrom, egress }: NetworkPolicyOptions): NetworkPolicy['spec'] {
  return {
    podSelector: {
      matchLabels: { [INJECTED_LABEL]: 'true' },
      matchExpressions: [{ key: INTERCEPTION_LABEL, operator: 'NotIn', values: ['loopback', 'redirect'] }],
    },
    policyTypes: ['Ingress', ...egress === null ? [] : ['Egress']],
    ingress: [
      { ports: [{ protocol: 'TCP', port: FIRST_PROTECTED_PORT, endPort: FIRST_PROTECTED_PORT + MAX_PROTECTED_PORTS - 1 }], ...from.length > 0 && { from } },
      ...healthFrom.length > 0 ? [{ ports: [{ protocol: 'TCP', port: HEALTH_PORT }], from: healthFrom }] : [],
    ],
    ...egress !== null && { egress },
  }
}

/** The whole object for one namespace. */
export function networkPolicy(namespace: string, options: NetworkPolicyOptions): NetworkPolicy {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: NETWORK_POLICY, namespace, labels: { [MANAGED_BY_LABEL]: MANAGED_BY } },
    spec: networkPolicySpec(options),
  }
}

const isFields = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isEmpty = (name: string, value: unknown): boolean => value === null || value === undefined
  || (Array.isArray(value) && value.length === 0) || (name === 'matchLabels' && isFields(value) && Object.keys(value).length === 0)

/**
 * A spec, or a part of one, as the API server stores it: lists and label maps that are empty are left out, a port without a protocol is TCP's. An empty
 * selector is something else than none, and stays; whether an empty `egress` means anything is in `policyTypes`.
 */
function stored(part: unknown, list = ''): unknown {
  if (Array.isArray(part)) return list === 'policyTypes' ? part.map(String).sort((a, b) => a < b ? -1 : 1) : part.map((item) => stored(item, list))
  if (!isFields(part)) return part
  const fields = Object.entries(part).filter(([name, value]) => !isEmpty(name, value)).map(([name, value]) => [name, stored(value, name)] as const)
  return { ...list === 'ports' && { protocol: 'TCP' }, ...Object.fromEntries(fields) }
}

/** Whether two specs are the same to the API server. */
export function isSamePolicy(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(stored(one), stored(other))
}
