/** The injection: a pod in, a pod with its sidecar out. Pure; shared by the webhook and `sidegate inject`. */
import { createHmac, randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { asksForSidecar, readChoices, type Choices } from './annotations.ts'
import { adopt, isNative, podArgument, sidecarContainer } from './container.ts'
import { CONFIG_COPY, CONFIG_VOLUME, DEFAULT_CONTAINER_ANNOTATION, INJECT_ANNOTATION, INJECTED_LABEL, INTERCEPTION_LABEL, ORIGINAL_ANNOTATION, REDIRECT_CONTAINER, SIDECAR_CONTAINER } from './names.ts'
import { readOriginal, writeOriginal, type Absent, type Original } from './original.ts'
import { asPod, isRefusal, type Container, type Metadata, type Pod, type PodSpec, type Refusal } from './pod.ts'
import { planPorts, type ProtectedPort } from './ports.ts'
import { redirectContainer } from './redirect.ts'
import { hasMovingHooks, rewriteContainers, type Rewritten } from './rewrite.ts'
import type { InjectorSettings } from './settings.ts'
import { neededSysctls, podWarnings, portStartProblem, unsupported } from './unsupported.ts'
import { withoutSidecar } from './uninject.ts'

export type Injection =
  /** `ports`: what the sidecar protects; `warnings`: sentences for the user. */
  | { readonly pod: Pod; readonly choices: Choices; readonly ports: readonly ProtectedPort[]; readonly warnings: readonly string[] }
  | { readonly unchanged: 'not asked' }
  | { readonly unchanged: 'already injected'; readonly choices: Choices; readonly ports: readonly ProtectedPort[] }
  | Refusal

export interface InjectOptions {
  /** The namespace is labelled `sidegate.dev/inject: enabled`: pods that do not say are injected, too. */
  readonly optIn?: boolean
  /** A new key for the paths of hooks that move to the sidecar (16 to 64 letters, digits, - or _). Nobody but the kubelet must be able to guess it. */
  readonly random?: () => string
}

const randomKey = () => randomBytes(16).toString('base64url')

/**
 * Adds the sidecar to a pod that asks for it. Never changes its argument, never throws, and twice is once: a pod that has its sidecar is
 * compared by content with what it should be, and repaired where it differs.
 * @param value a Pod or a workload's pod template, parsed
 */
export function inject(value: unknown, settings: InjectorSettings, { optIn = false, random = randomKey }: InjectOptions = {}): Injection {
  if (!optIn && !saysAnything(value)) return { unchanged: 'not asked' }
  const pod = asPod(value)
  if (isRefusal(pod)) return pod
  const asked = asksForSidecar(pod, optIn)
  if (isRefusal(asked)) return asked
  if (!asked) return { unchanged: 'not asked' }
  const before = withoutSidecar(pod)
  if (isRefusal(before)) return before
  const choices = readChoices(before, settings)
  if (isRefusal(choices)) return choices
  const ports = unsupported(before, choices, settings) ?? planPorts(before, choices)
  if (isRefusal(ports)) return ports
  const previous = previousOriginal(pod)
  const hookKey = hasMovingHooks(before.spec, choices) ? previous?.hookKey ?? newHookKey(before, settings, random) : undefined
  const rewritten = portStartProblem(before.spec, choices, ports) ?? rewriteContainers(before.spec, choices, ports, hookKey ?? '')
  if (isRefusal(rewritten)) return rewritten
  const result = adoptAll(assemble({ before, choices, ports, rewritten, settings, hookKey, absent: previous?.absent ?? [] }), pod)
  if (isDeepStrictEqual(result, pod)) return { unchanged: 'already injected', choices, ports }
  return { pod: result, choices, ports, warnings: podWarnings(before, choices, ports, settings) }
}

/** A pod that does not mention the sidecar is none of our business, even when it is not valid. */
function saysAnything(value: unknown): boolean {
  const annotations = (value as Partial<Pod> | null | undefined)?.metadata?.annotations
  return typeof annotations === 'object' && annotations !== null && Object.hasOwn(annotations, INJECT_ANNOTATION)
}

interface Plan {
  readonly before: Pod
  readonly choices: Choices
  readonly ports: readonly ProtectedPort[]
  readonly rewritten: Rewritten
  readonly settings: InjectorSettings
  readonly hookKey: string | undefined
  readonly absent: readonly Absent[]
}

/** What an earlier injection wrote. `absent` of it counts: others, the ServiceAccount plugin for one, may have made those lists since. */
function previousOriginal(pod: Pod): Original | undefined {
  const original = readOriginal(pod)
  return original && !isRefusal(original) ? original : undefined
}

function newHookKey({ spec }: Pod, { hookSecret }: InjectorSettings, random: () => string): string {
  if (hookSecret === undefined) return random()
  const hooks = spec.containers.map(({ name, lifecycle }) => [name, lifecycle ?? null])
  return createHmac('sha256', hookSecret).update(JSON.stringify(hooks)).digest('base64url').slice(0, 22)
}

function assemble(plan: Plan): Pod {
  const { before, ports, choices, rewritten } = plan
  const added = additions(plan)
  const original: Original = {
    ports: choices.interception === 'port' ? ports.map(({ listen, app }) => ({ listen, app })) : [],
    ...rewritten.originals,
    ...added.names,
    absent: added.absent,
    ...(plan.hookKey !== undefined && { hookKey: plan.hookKey }),
  }
  return { ...before, metadata: withMetadata(before.metadata ?? {}, plan, added, original), spec: withSidecar(plan, added) }
}

interface Additions {
  readonly names: Pick<Original, 'labels' | 'annotations' | 'pullSecrets' | 'sysctls'>
  readonly sysctls: readonly { readonly name: string; readonly value: string }[]
  readonly absent: Absent[]
}

/** What is added beside the containers, and which lists and maps have to be made for it. */
function additions({ before: { metadata, spec }, choices, ports, settings, absent: previous }: Plan): Additions {
  const labels = Object.keys(settings.labels).filter((key) => metadata?.labels?.[key] === undefined)
  const annotations = metadata?.annotations?.[DEFAULT_CONTAINER_ANNOTATION] === undefined ? [DEFAULT_CONTAINER_ANNOTATION] : []
  const pullSecrets = settings.imagePullSecrets.filter((secret) => !(spec.imagePullSecrets ?? []).some(({ name }) => name === secret))
  const sysctls = neededSysctls(spec, choices, ports)
  const absent = [...previous]
  const note = (key: Absent, value: unknown, needed = true) => { if (needed && (value === undefined || value === null) && !absent.includes(key)) absent.push(key) }
  note('metadata', metadata)
  note('labels', metadata?.labels)
  note('annotations', metadata?.annotations)
  note('initContainers', spec.initContainers)
  note('volumes', spec.volumes)
  note('imagePullSecrets', spec.imagePullSecrets, pullSecrets.length > 0)
  note('securityContext', spec.securityContext, sysctls.length > 0)
  note('sysctls', spec.securityContext?.sysctls, sysctls.length > 0)
  return { names: { labels, annotations, pullSecrets, sysctls: sysctls.map(({ name }) => name) }, sysctls, absent }
}

function withMetadata(metadata: Metadata, { before, choices, settings }: Plan, { names }: Additions, original: Original): Metadata {
  const extra = Object.fromEntries(names.labels.map((key) => [key, settings.labels[key]!]))
  return {
    ...metadata,
    labels: { ...metadata.labels, ...extra, [INJECTED_LABEL]: 'true', [INTERCEPTION_LABEL]: choices.interception },
    annotations: {
      ...metadata.annotations,
      ...(names.annotations.length > 0 && { [DEFAULT_CONTAINER_ANNOTATION]: before.spec.containers[0]!.name }),
      [ORIGINAL_ANNOTATION]: writeOriginal(original),
    },
  }
}

function withSidecar({ before: { spec }, choices, ports, rewritten, settings }: Plan, { names, sysctls }: Additions): PodSpec {
  const native = isNative(spec, settings)
  const sidecar = sidecarContainer(podArgument(ports, choices, rewritten.targets), choices, spec, settings, native)
  const first = [...(choices.interception === 'redirect' ? [redirectContainer(ports, spec, settings)] : []), ...(native ? [sidecar] : [])]
  return {
    ...spec,
    ...((first.length > 0 || rewritten.initContainers) && { initContainers: [...first, ...(rewritten.initContainers ?? [])] }),
    containers: native ? rewritten.containers : [sidecar, ...rewritten.containers],
    // The whole directory, not a subPath: only so does a changed ConfigMap reach a running pod.
    volumes: [...(spec.volumes ?? []), { name: CONFIG_VOLUME, configMap: { defaultMode: 420, name: CONFIG_COPY } }],
    ...(names.pullSecrets.length > 0 && { imagePullSecrets: [...(spec.imagePullSecrets ?? []), ...names.pullSecrets.map((name) => ({ name }))] }),
    ...(sysctls.length > 0 && { securityContext: { ...spec.securityContext, sysctls: [...(spec.securityContext?.sysctls ?? []), ...sysctls] } }),
  }
}

/** Keeps what the cluster itself did to our containers since a first call. */
function adoptAll(wanted: Pod, found: Pod): Pod {
  const previous = [...(found.spec.initContainers ?? []), ...found.spec.containers]
  const keep = (container: Container) => {
    const before = container.name === SIDECAR_CONTAINER || container.name === REDIRECT_CONTAINER ? previous.find(({ name }) => name === container.name) : undefined
    return before ? adopt(container, before) : container
  }
  const { initContainers, volumes } = wanted.spec
  return { ...wanted, spec: { ...wanted.spec, ...(initContainers && { initContainers: initContainers.map(keep) }), containers: wanted.spec.containers.map(keep), ...(volumes && { volumes: inPlace(volumes, found.spec.volumes) }) } }
}

type Volumes = NonNullable<PodSpec['volumes']>

/** Our volume where it was: the ServiceAccount plugin appends its own to a pod that was injected before the API server saw it. */
function inPlace(wanted: Volumes, found: Volumes | undefined): Volumes {
  const place = (found ?? []).findIndex(({ name }) => name === CONFIG_VOLUME)
  return place < 0 ? wanted : [...wanted.slice(0, -1).slice(0, place), wanted.at(-1)!, ...wanted.slice(0, -1).slice(place)]
}
