/** What happens to the app's own containers: port entries and probes. */
import type { Choices } from './annotations.ts'
import type { Original } from './original.ts'
import { isRefusal, type Container, type PodSpec, type Refusal } from './pod.ts'
import { appContainers, isTcp, type ProtectedPort } from './ports.ts'
import { moveToSidecar, numberNamedPorts, targetOf, type ProbeTargets } from './probes.ts'

export interface Rewritten {
  readonly containers: readonly Container[]
  readonly initContainers: readonly Container[] | undefined
  /** What uninject needs of them, by container. */
  readonly originals: Pick<Original, 'portNames' | 'handlers'>
  readonly targets: ProbeTargets
}

/** Whether any hook moves to the sidecar: then a key is needed. */
export function hasMovingHooks(spec: PodSpec, { interception }: Choices): boolean {
  return interception !== 'port' && appContainers(spec).some(({ lifecycle }) => targetOf(lifecycle?.postStart) ?? targetOf(lifecycle?.preStop))
}

/**
 * Rewrites every app container (native sidecars of others included) for the interception chosen.
 * @param hookKey see moveToSidecar
 */
export function rewriteContainers(spec: PodSpec, { interception }: Choices, ports: readonly ProtectedPort[], hookKey: string): Rewritten | Refusal {
  const apps = new Set(appContainers(spec))
  const originals: Pick<Original, 'portNames' | 'handlers'> = { portNames: {}, handlers: {} }
  const targets: Record<string, ProbeTargets[string]> = {}
  const listenFor = new Map(ports.map(({ app, listen }) => [app, listen]))
  let problem: Refusal | undefined
  const rewrite = (container: Container): Container => {
    if (!apps.has(container)) return container
    const result = interception === 'port' ? throughPort(container, listenFor) : moveToSidecar(container, spec.terminationGracePeriodSeconds ?? 30, hookKey)
    if (isRefusal(result)) {
      problem ??= result
      return container
    }
    if ('portNames' in result && Object.keys(result.portNames).length > 0) originals.portNames[container.name] = result.portNames
    if ('originals' in result && Object.keys(result.originals).length > 0) originals.handlers[container.name] = result.originals
    if ('targets' in result) Object.assign(targets, result.targets)
    return result.container
  }
  const containers = spec.containers.map(rewrite)
  const initContainers = spec.initContainers?.map(rewrite)
  return problem ?? { containers, initContainers, originals, targets }
}

/** Interception `port`: the entry keeps its name and gets the sidecar's number. Probes first, while the names still mean the app's. */
function throughPort(container: Container, listenFor: ReadonlyMap<number, number>): ReturnType<typeof numberNamedPorts> {
  const numbered = numberNamedPorts(container, new Set(listenFor.keys()))
  const isProtected = (port: { containerPort: number; protocol?: string }) => isTcp(port) && listenFor.has(port.containerPort)
  if (!container.ports?.some(isProtected)) return numbered
  const ports = container.ports.map((port) => (isProtected(port) ? { ...port, containerPort: listenFor.get(port.containerPort)! } : port))
  return { ...numbered, container: { ...numbered.container, ports } }
}
