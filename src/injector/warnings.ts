/**
 * Ways past the sidecar, and Services that lead nowhere because of it: found by looking at an injected pod, the Services of its namespace
 * and the NetworkPolicies there. Pure; the controller says it at admission, `sidegate check --cluster` for what runs.
 */
import { FIRST_PROTECTED_PORT, INJECTED_LABEL, INTERCEPTION_ANNOTATION, INTERCEPTION_LABEL, MANAGED_BY, MANAGED_BY_LABEL, MAX_PROTECTED_PORTS, NETWORK_POLICY, HEALTH_PORT } from './names.ts'
import { readOriginal } from './original.ts'
import { isRefusal, type Pod } from './pod.ts'
import { appContainers, isTcp } from './ports.ts'
import { matchesMap, matchesSelector, type LabelSelector } from './selector.ts'

export interface Finding {
  /** Such as `Service shop/web`. */
  readonly object: string
  /** `hole`: requests reach the app without the sidecar. `outage`: requests that worked before do not arrive. */
  readonly severity: 'hole' | 'outage'
  readonly problem: string
  readonly fix: string
}

interface Named { readonly name?: string; readonly namespace?: string; readonly labels?: Readonly<Record<string, string>> }

/** The fields of a v1 Service that matter here. */
export interface ServiceLike {
  readonly metadata?: Named
  readonly spec?: {
    readonly type?: string
    readonly clusterIP?: string
    readonly selector?: Readonly<Record<string, string>>
    readonly ports?: readonly { readonly name?: string; readonly port: number; readonly targetPort?: number | string; readonly protocol?: string }[]
  }
}

/** The fields of a networking.k8s.io/v1 NetworkPolicy that matter here. */
export interface NetworkPolicyLike {
  readonly metadata?: Named
  readonly spec?: {
    readonly podSelector?: LabelSelector
    readonly policyTypes?: readonly string[]
    readonly ingress?: readonly {
      readonly from?: readonly unknown[]
      readonly ports?: readonly { readonly port?: number | string; readonly endPort?: number; readonly protocol?: string }[]
    }[]
  }
}

interface Subject {
  /** The app's TCP ports by name, as the EndpointSlice controller resolves one: regular containers first, then native sidecars. */
  readonly numberOf: ReadonlyMap<string, number>
  /** The name of an app's port. */
  readonly nameOf: ReadonlyMap<number, string>
  readonly labels: Readonly<Record<string, string>>
  readonly interception: string
  /** The app's true port numbers behind the sidecar, and where each is served. */
  readonly listenFor: ReadonlyMap<number, number>
}

/**
 * Everything wrong around one pod.
 * @param pod with its sidecar; of one without, only the missing protection is reported
 * @param services of the pod's namespace
 * @param policies of the pod's namespace; Sidegate's own is recognised
 */
export function exposureFindings(pod: Pod, services: readonly ServiceLike[], policies: readonly NetworkPolicyLike[]): readonly Finding[] {
  const labels = pod.metadata?.labels ?? {}
  if (labels[INJECTED_LABEL] !== 'true') return [missingSidecar(pod)]
  const subject: Subject = { ...portNames(pod), labels, interception: labels[INTERCEPTION_LABEL] ?? 'port', listenFor: protectedPorts(pod) }
  const host: Finding[] = pod.spec.hostNetwork ? [hostNetwork(pod)] : []
  return [
    ...host,
    ...services.filter(({ spec }) => spec?.type !== 'ExternalName' && matchesMap(spec?.selector, labels)).flatMap((service) => serviceFindings(service, subject)),
    ...policies.flatMap((policy) => policyFindings(policy, subject)),
  ]
}

const label = (kind: string, metadata: Named | undefined) => `${kind} ${metadata?.namespace ? `${metadata.namespace}/` : ''}${metadata?.name ?? '(unnamed)'}`
const podName = ({ metadata }: Pod) => label('Pod', { ...metadata, name: metadata?.name ?? metadata?.generateName ?? '(unnamed)' })

function missingSidecar(pod: Pod): Finding {
  return {
    object: podName(pod),
    severity: 'hole',
    problem: 'it has no sidecar: it was made while the webhook was not in place, or its label was removed.',
    fix: 'Delete the pod (or kubectl rollout restart its workload): the new one gets the sidecar.',
  }
}

function hostNetwork(pod: Pod): Finding {
  return {
    object: podName(pod), severity: 'hole', problem: 'it uses hostNetwork: its ports are the node\'s and no NetworkPolicy applies to it.', fix: 'Remove hostNetwork from the pod.',
  }
}

/** Once for the pod: it may have thousands of ports, and so may each Service and policy of its namespace. */
function portNames({ spec }: Pod): Pick<Subject, 'numberOf' | 'nameOf'> {
  const numberOf = new Map<string, number>()
  const nameOf = new Map<number, string>()
  for (const port of appContainers(spec).flatMap(({ ports }) => ports ?? [])) {
    if (!port.name) continue
    if (isTcp(port) && !numberOf.has(port.name)) numberOf.set(port.name, port.containerPort)
    if (!nameOf.has(port.containerPort)) nameOf.set(port.containerPort, port.name)
  }
  return { numberOf, nameOf }
}

function protectedPorts(pod: Pod): ReadonlyMap<number, number> {
  const overlay = [...pod.spec.initContainers ?? [], ...pod.spec.containers].find(({ args }) => args?.[2] === '--pod')?.args?.[3]
  const original = readOriginal(pod)
  const recorded = original && !isRefusal(original) ? original.ports : []
  try {
    const { listeners } = JSON.parse(overlay ?? '{}') as { listeners?: { port: number; upstream: string }[] }
    return new Map((listeners ?? []).slice(0, MAX_PROTECTED_PORTS).map(({ port, upstream }) => [Number(upstream.split(':').at(-1)), port]))
  } catch {
    return new Map(recorded.slice(0, MAX_PROTECTED_PORTS).map(({ listen, app }) => [app, listen]))
  }
}

function serviceFindings(service: ServiceLike, subject: Subject): readonly Finding[] {
  const object = label('Service', service.metadata)
  const findings: Finding[] = []
  for (const port of service.spec?.ports ?? []) {
    const target = port.targetPort ?? port.port
    const problem = isTcp({ containerPort: port.port, ...port }) ? targetProblem(port.port, target, subject) : undefined
    if (problem) findings.push({ object, severity: 'outage', ...problem })
  }
  if (service.spec?.clusterIP === 'None' && subject.interception === 'port' && subject.listenFor.size > 0) {
    const [app, listen] = [...subject.listenFor][0]!
    findings.push({
      object,
      severity: 'outage',
      problem: `it is headless: clients get pod addresses and connect to port ${app} themselves, past the sidecar, where the NetworkPolicy stops them.`,
      fix: `Annotate the pod with ${INTERCEPTION_ANNOTATION}: loopback (or redirect), which answers on ${app} itself; or have clients use port ${listen}.`,
    })
  }
  return findings
}

function targetProblem(port: number, target: number | string, { numberOf, nameOf, interception, listenFor }: Subject): Pick<Finding, 'problem' | 'fix'> | undefined {
  const number = typeof target === 'number' ? target : numberOf.get(target)
  if (number === undefined || interception === 'loopback') return undefined
  const served = interception === 'port' ? [...listenFor.values()] : [...listenFor.keys(), ...listenFor.values()]
  if (served.includes(number) || number === HEALTH_PORT) return undefined
  const listen = listenFor.get(number)
  if (listen === undefined) {
    return {
      problem: `its port ${port} leads to ${target}, which the sidecar does not protect; it is closed.`,
      fix: `Add ${target} to annotation sidegate.dev/ports of the pod, or remove the port from the Service.`,
    }
  }
  const name = nameOf.get(listen)
  return {
    problem: `its port ${port} has the numeric targetPort ${number}, the app's own port, past the sidecar; the NetworkPolicy closes it.`,
    fix: name ? `Set targetPort: ${name} (the port's name follows the sidecar).` : `Name the container's port, and use the name as targetPort.`,
  }
}

/** NetworkPolicies add up: any other one that lets someone in on an app's port opens it again. Only `port` relies on the policy. */
function policyFindings(policy: NetworkPolicyLike, { numberOf, labels, interception, listenFor }: Subject): readonly Finding[] {
  const { metadata, spec } = policy
  const ours = metadata?.name === NETWORK_POLICY && metadata.labels?.[MANAGED_BY_LABEL] === MANAGED_BY
  const onIngress = spec?.policyTypes ? spec.policyTypes.includes('Ingress') : true
  if (ours || interception !== 'port' || !onIngress || !matchesSelector(spec?.podSelector ?? {}, labels)) return []
  const opened = [...listenFor.keys()].filter((app) => (spec?.ingress ?? []).some(({ ports }) => opens(ports, app, numberOf)))
  if (opened.length === 0) return []
  const last = FIRST_PROTECTED_PORT + MAX_PROTECTED_PORTS - 1
  return [{
    object: label('NetworkPolicy', metadata),
    severity: 'hole',
    problem: `it lets traffic in on ${opened.length > 1 ? 'ports' : 'port'} ${opened.join(', ')} of the app, past the sidecar (policies add up; none can take back what another allows).`,
    fix: `Restrict its ingress ports to the sidecar's (${FIRST_PROTECTED_PORT}, endPort ${last}) or to the port's name, or exclude pods with label ${INJECTED_LABEL}: "true" from its podSelector.`,
  }]
}

type PolicyPorts = NonNullable<NonNullable<NonNullable<NetworkPolicyLike['spec']>['ingress']>[number]['ports']>

function opens(ports: PolicyPorts | undefined, app: number, numberOf: Subject['numberOf']): boolean {
  if (!ports || ports.length === 0) return true
  return ports.some(({ port, endPort, protocol }) => {
    if ((protocol ?? 'TCP') !== 'TCP') return false
    if (port === undefined) return true
    const first = typeof port === 'number' ? port : numberOf.get(port)
    return first !== undefined && app >= first && app <= (endPort ?? first)
  })
}
