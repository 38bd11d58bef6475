/** Pods that cannot be protected, what a pod must be given for it, and what its author should know. */
import type { Choices } from './annotations.ts'
import { isNative } from './container.ts'
import { FIRST_PROTECTED_PORT, HEALTH_PORT, INJECT_ANNOTATION, INTERCEPTION_ANNOTATION } from './names.ts'
import { refuse, type Pod, type PodSpec, type Refusal } from './pod.ts'
import { appContainers, isTcp, type ProtectedPort } from './ports.ts'
import type { InjectorSettings } from './settings.ts'

const UNPRIVILEGED_START = 'net.ipv4.ip_unprivileged_port_start'
const FIRST_UNPRIVILEGED = 1024
/** The kubelet sets it on what it reports of a static pod, which runs already. */
const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror'

/** @returns why the pod cannot have a sidecar at all, if so */
export function unsupported({ metadata, spec }: Pod, { interception }: Choices, settings: InjectorSettings): Refusal | undefined {
  if (spec.hostNetwork) {
    return refuse(`The pod uses hostNetwork: its ports are the node's and no NetworkPolicy applies to it, so a sidecar cannot protect it. Remove hostNetwork or annotation ${INJECT_ANNOTATION}.`)
  }
  if (metadata?.annotations?.[MIRROR_ANNOTATION] !== undefined) {
    return refuse(`The pod is the mirror of a static pod (annotation ${MIRROR_ANNOTATION}): the kubelet has started it from a file of its node, without a sidecar, and takes no change from here. `
      + `Run the app as a DaemonSet or Deployment, or set annotation ${INJECT_ANNOTATION}: "false" in that file.`)
  }
  if (spec.os?.name === 'windows' || spec.nodeSelector?.['kubernetes.io/os'] === 'windows') {
    return refuse(`The pod runs on Windows; the sidecar is a Linux container. Remove annotation ${INJECT_ANNOTATION}.`)
  }
  if ([...spec.containers, ...spec.initContainers ?? []].some(({ name }) => name === 'istio-proxy')) {
    return refuse('The pod has Istio\'s sidecar, which uses the same ports 15000, 15001 and 15020. Give the pod one of the two: annotation sidegate.dev/inject: "false" or label sidecar.istio.io/inject: "false".')
  }
  if (interception === 'redirect' && settings.redirect.image === null) {
    return refuse(`Interception "redirect" is switched off in this cluster. Use ${INTERCEPTION_ANNOTATION}: "port" or "loopback", or have the chart's value sidecar.redirect.allowed set to true.`)
  }
  if (interception === 'port' && !settings.portAllowed) {
    return refuse('Interception "port" is switched off in this cluster: with the chart\'s value networkPolicy.mode "off" nothing keeps other pods from the app\'s own port. '
      + `Use ${INTERCEPTION_ANNOTATION}: "loopback" or "redirect", or have networkPolicy.mode set to "manage".`)
  }
  return undefined
}

const portStart = (spec: PodSpec) => spec.securityContext?.sysctls?.find(({ name }) => name === UNPRIVILEGED_START)

/** @returns why the sidecar could not listen on the app's low port, if so: the pod has a say in that, too */
export function portStartProblem(spec: PodSpec, { interception }: Choices, ports: readonly ProtectedPort[]): Refusal | undefined {
  const value = portStart(spec)?.value
  const low = ports.find(({ listen }) => listen < FIRST_UNPRIVILEGED)?.listen
  if (interception !== 'loopback' || low === undefined || value === undefined || Number(value) <= low) return undefined
  return refuse(`Sysctl ${UNPRIVILEGED_START} of the pod is ${JSON.stringify(value)}, so the sidecar could not listen on port ${low}. Lower it to ${low}, or remove it.`)
}

/** In `loopback` the sidecar, which is nobody in particular, must bind the app's port even when that is below 1024. A safe sysctl allows it. */
export function neededSysctls(spec: PodSpec, { interception }: Choices, ports: readonly ProtectedPort[]): readonly { name: string; value: string }[] {
  const lowest = Math.min(...ports.map(({ listen }) => listen))
  if (interception !== 'loopback' || lowest >= FIRST_UNPRIVILEGED || portStart(spec)) return []
  return [{ name: UNPRIVILEGED_START, value: String(lowest) }]
}

/** What its author should know about a pod that is injected: outages and surprises, and what the app itself has to do. Holes are refused. */
export function podWarnings({ metadata, spec }: Pod, { interception }: Choices, ports: readonly ProtectedPort[], settings: InjectorSettings): readonly string[] {
  const warnings = [...orderWarning(spec, interception, settings), ...scrapeWarning(metadata?.annotations ?? {}, interception, ports), ...portRangeWarning(spec, ports)]
  const listenFor = new Map(ports.map(({ app, listen }) => [app, listen]))
  for (const container of appContainers(spec)) {
    for (const port of container.ports ?? []) {
      const what = `port ${port.name ? `${port.name} (${port.containerPort})` : port.containerPort} of container ${container.name}`
      const listen = listenFor.get(port.containerPort)
      if (!isTcp(port) || listen === undefined) warnings.push(unprotectedWarning(what, port.protocol ?? 'TCP', interception))
      else if (interception === 'port' && !port.name) warnings.push(`${what} has no name, so no Service can follow it to the sidecar: name it, and use the name as the Service's targetPort.`)
    }
  }
  return warnings
}

/**
 * A native sidecar listens before the app starts, and an app that wants its port on every address cannot have it. Beside a regular one such an
 * app may be first: the kubelet starts it without waiting. Then it answers everybody, and the sidecar, which cannot listen, ends.
 */
function orderWarning(spec: PodSpec, interception: Choices['interception'], settings: InjectorSettings): readonly string[] {
  if (interception !== 'loopback' || isNative(spec, settings)) return []
  return ['interception loopback with a regular sidecar: the app must listen on 127.0.0.1 only. On 0.0.0.0 it may take its port before the sidecar and answer without a token; the sidecar then exits and the pod is not ready.']
}

/** The annotations by which many Prometheus installations find pods. */
function scrapeWarning(annotations: Readonly<Record<string, string>>, interception: Choices['interception'], ports: readonly ProtectedPort[]): readonly string[] {
  const port = Number(annotations['prometheus.io/port'])
  if (annotations['prometheus.io/scrape'] !== 'true' || !(port > 0) || port >= FIRST_PROTECTED_PORT && port <= HEALTH_PORT) return []
  const isProtected = ports.some(({ app }) => app === port)
  if (interception === 'loopback' && !isProtected) return []
  const why = isProtected && interception !== 'port' ? 'needs a token now' : 'is closed to other pods now'
  return [`Prometheus is told to scrape port ${port} (prometheus.io/port), which ${why}. Allow the path anonymously and point it at the sidecar's port, or scrape the sidecar (${HEALTH_PORT}).`]
}

/** A wider range of outgoing ports than the kernel's own may hold a port of the sidecar's when it restarts. */
function portRangeWarning(spec: PodSpec, ports: readonly ProtectedPort[]): readonly string[] {
  const range = spec.securityContext?.sysctls?.find(({ name }) => name === 'net.ipv4.ip_local_port_range')
  const highest = Math.max(HEALTH_PORT, ...ports.map(({ listen }) => listen))
  if (!range || Number.parseInt(range.value, 10) > highest) return []
  return [`Sysctl ${range.name} of the pod (${range.value}) lets outgoing connections take the sidecar's ports: begin it above ${highest}.`]
}

function unprotectedWarning(what: string, protocol: string, interception: Choices['interception']): string {
  const why = protocol === 'TCP' ? 'is not among the protected ports' : `is ${protocol}, which carries no token`
  if (interception === 'loopback') return `${what} ${why}: it stays open to whoever the network lets through.`
  return `${what} ${why}: it is closed to other pods by ${interception === 'port' ? 'the NetworkPolicy' : 'the pod\'s own rules'}.`
}
