/** The way back: a pod without the sidecar, as it was before. By structure, not by patch: what others changed since stays. */
import {
  CONFIG_VOLUME, INJECTED_LABEL, INTERCEPTION_LABEL, ORIGINAL_ANNOTATION, REDIRECT_CONTAINER, SIDECAR_CONTAINER,
} from './names.ts'
import { readOriginal, type Absent, type Original } from './original.ts'
import { asPod, isRefusal, refuse, type Container, type Metadata, type Pod, type PodSecurity, type PodSpec, type Refusal } from './pod.ts'
import { isTcp } from './ports.ts'
import { PROBE_KINDS, handlerOf, withPort, withTarget, type OriginalHandlers, type PortNames } from './probes.ts'

export type Uninjection = { readonly pod: Pod } | Refusal | { readonly unchanged: 'not injected' }

/**
 * Removes what {@link inject} added and restores what it changed. Pure.
 * @param value a Pod or pod template
 */
export function uninject(value: unknown): Uninjection {
  const pod = asPod(value)
  if (isRefusal(pod)) return pod
  const before = withoutSidecar(pod)
  if (isRefusal(before)) return before
  return before === pod ? { unchanged: 'not injected' } : { pod: before }
}

/**
 * The pod before injection: the pod itself when it was never injected.
 * @returns a refusal when it holds something of ours that the injector did not put there
 */
export function withoutSidecar(pod: Pod): Pod | Refusal {
  const original = readOriginal(pod)
  if (isRefusal(original)) return original
  const named = allContainers(pod).filter(({ name }) => isOurName(name))
  if (!original || !named.some(looksOurs)) return asNeverInjected(pod, named, original !== undefined)
  const foreign = named.find((container) => !looksOurs(container))
  if (foreign) return nameTaken(foreign)
  return restore(pod, original)
}

const isOurName = (name: unknown) => name === SIDECAR_CONTAINER || name === REDIRECT_CONTAINER

function allContainers({ spec }: Pod): readonly Container[] {
  const ephemeral = Array.isArray(spec['ephemeralContainers']) ? spec['ephemeralContainers'] as Container[] : []
  return [...spec.containers, ...spec.initContainers ?? [], ...ephemeral.filter((entry) => typeof entry?.name === 'string')]
}

/**
 * Whether a container with our name is (a version of) what the injector makes: then it may be replaced by what it makes today. It
 * need not be trusted for that, and the image does not count: an older injector's work, or a registry mirror's, is repaired.
 */
function looksOurs({ name, args }: Container): boolean {
  if (name === REDIRECT_CONTAINER) return args?.length === 1 && args[0]!.startsWith('table inet sidegate\n')
  return args?.[0] === '--config' && args[2] === '--pod' && args.length === 4
}

function nameTaken({ name }: Container): Refusal {
  return refuse(`The pod has its own container named "${name}"; that name is Sidegate's. Rename the container.`, 403)
}

function asNeverInjected(pod: Pod, named: readonly Container[], hasOriginal: boolean): Pod | Refusal {
  if (named[0]) return nameTaken(named[0])
  if (hasOriginal) return refuse(`Annotation ${ORIGINAL_ANNOTATION} is set, but the pod has no sidecar; only the injector sets it. Remove it.`, 403)
  for (const label of [INJECTED_LABEL, INTERCEPTION_LABEL]) {
    if (pod.metadata?.labels?.[label] !== undefined) return refuse(`Label ${label} is set by the injector only. Remove it from the pod's labels.`, 403)
  }
  if ((pod.spec.volumes ?? []).some(({ name }) => name === CONFIG_VOLUME)) return refuse(`The pod has its own volume named "${CONFIG_VOLUME}"; that name is Sidegate's. Rename the volume.`, 403)
  return pod
}

function restore(pod: Pod, original: Original): Pod {
  const metadata = restoreMetadata(pod.metadata ?? {}, original)
  const restored = { ...pod, metadata, spec: restoreSpec(pod.spec, original) }
  if (!original.absent.includes('metadata') || Object.keys(metadata).length > 0) return restored
  const { metadata: _, ...rest } = restored
  return rest
}

function restoreMetadata(metadata: Metadata, original: Original): Metadata {
  const result = withMap(metadata, 'labels', without(metadata.labels, [INJECTED_LABEL, INTERCEPTION_LABEL, ...original.labels]), original.absent)
  return withMap(result, 'annotations', without(metadata.annotations, [ORIGINAL_ANNOTATION, ...original.annotations]), original.absent)
}

function restoreSpec(spec: PodSpec, original: Original): PodSpec {
  const names = (list: readonly { readonly name?: string }[] | undefined, gone: readonly string[]) => {
    const all = new Set(gone)
    return list?.filter(({ name }) => !all.has(name ?? ''))
  }
  const ours = [SIDECAR_CONTAINER, REDIRECT_CONTAINER]
  const containers = (list: readonly Container[] | undefined) => names(list, ours)?.map((container) => restoreContainer(container as Container, original))
  let result: PodSpec = { ...spec, containers: containers(spec.containers) ?? [] }
  result = withMap(result, 'initContainers', containers(spec.initContainers), original.absent)
  result = withMap(result, 'volumes', names(spec.volumes, [CONFIG_VOLUME]), original.absent)
  result = withMap(result, 'imagePullSecrets', names(spec.imagePullSecrets, original.pullSecrets), original.absent)
  if (original.sysctls.length === 0) return result
  const security: PodSecurity = withMap(spec.securityContext ?? {}, 'sysctls', names(spec.securityContext?.sysctls, original.sysctls), original.absent)
  return withMap(result, 'securityContext', security, original.absent)
}

/** Sets a list or map; one that the injector had to make goes when nothing is left in it. */
function withMap<T extends object>(parent: T, key: Absent & keyof T, value: object | undefined | null, absent: readonly Absent[]): T {
  // A file may say null where the API server leaves the field out.
  if (!value || !parent[key]) return parent
  if (Object.keys(value).length > 0 || !absent.includes(key)) return { ...parent, [key]: value }
  const { [key]: _, ...rest } = parent
  return rest as T
}

function without(map: Readonly<Record<string, string>> | undefined, keys: readonly string[]): Record<string, string> | undefined {
  const gone = new Set(keys)
  return map && Object.fromEntries(Object.entries(map).filter(([key]) => !gone.has(key)))
}

function restoreContainer(container: Container, original: Original): Container {
  const numbers = new Map(original.ports.map(({ listen, app }) => [listen, app]))
  const changed = container.ports?.some((port) => isTcp(port) && numbers.has(port.containerPort))
  const ports = changed && container.ports!.map((port) => (isTcp(port) && numbers.has(port.containerPort) ? { ...port, containerPort: numbers.get(port.containerPort)! } : port))
  const result: Container = ports ? { ...container, ports } : container
  const of = <T extends object>(byContainer: Readonly<Record<string, T>>) => (Object.hasOwn(byContainer, container.name) ? byContainer[container.name] : undefined)
  const handlers = of(original.handlers) as OriginalHandlers | undefined
  const portNames = of(original.portNames) as PortNames | undefined
  return PROBE_KINDS.reduce((sum, kind) => {
    if (handlers?.[kind] && handlerOf(sum, kind)) return withTarget(sum, kind, handlers[kind])
    return portNames?.[kind] === undefined ? sum : withPort(sum, kind, portNames[kind])
  }, result)
}
