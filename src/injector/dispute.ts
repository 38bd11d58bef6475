/**
 * Whether what was found in place of what this controller writes may be another version's of it: two that differ must not write in turns without end.
 * Anything else was changed by somebody else and is put right at once, however often.
 */
import { isDeepStrictEqual } from 'node:util'
import type { ConfigMap, NetworkPolicy } from '../kube/types.ts'
import { FIRST_PROTECTED_PORT, HEALTH_PORT, MANAGED_BY, MANAGED_BY_LABEL } from './names.ts'
import { isSamePolicy } from './network-policy.ts'

const isOurs = ({ metadata: { labels } }: ConfigMap | NetworkPolicy): boolean => labels?.[MANAGED_BY_LABEL] === MANAGED_BY

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '')
  } catch {
    return undefined
  }
}

const sameText = (one: string, other: string | undefined): boolean => one === other || (parsed(one) !== undefined && isDeepStrictEqual(parsed(one), parsed(other)))

/** Another version may write a profile's text in another way, and keep other profiles; what a text says is the same. */
export function isDisputedCopy(found: ConfigMap, wanted: ConfigMap): boolean {
  return isOurs(found) && Object.entries(wanted.data ?? {}).every(([key, text]) => sameText(text, found.data?.[key]))
}

/** Another version may have other settings: who comes in at the sidecar's ports. None opens another port, or leaves out a pod. */
export function isDisputedPolicy(found: NetworkPolicy, wanted: NetworkPolicy): boolean {
  const { podSelector, policyTypes = [], ingress = [] } = found.spec
  const isSidecars = (port: unknown): boolean => typeof port === 'number' && port >= FIRST_PROTECTED_PORT && port <= HEALTH_PORT
  return isOurs(found) && isSamePolicy(podSelector, wanted.spec.podSelector) && policyTypes.includes('Ingress')
    && ingress.every(({ ports = [] }) => ports.length > 0 && ports.every(({ port, endPort = port }) => isSidecars(port) && isSidecars(endPort)))
}
