/** The containers that the injector adds. Every default of the API server is written out, so that it has nothing to fill in. */
import { isDeepStrictEqual } from 'node:util'
import type { PodOverlay } from '../config/pod-overlay.ts'
import type { Choices } from './annotations.ts'
import { CONFIG_DIRECTORY, CONFIG_VOLUME, HEALTH_PORT, SIDECAR_CONTAINER, profileKey } from './names.ts'
import type { Container, Handler, PodSpec } from './pod.ts'
import type { ProtectedPort } from './ports.ts'
import type { ProbeTargets } from './probes.ts'
import { parseQuantity } from './quantity.ts'
import type { InjectorSettings } from './settings.ts'

/** Passes through the kubelet's expansion of $(NAME) unchanged. */
const literal = (text: string) => text.replaceAll('$', '$$$$')

/**
 * The `--pod` argument (src/config/pod-overlay.ts).
 * @param probes targets of the probes that moved to the sidecar
 */
export function podArgument(ports: readonly ProtectedPort[], choices: Choices, probes: ProbeTargets): string {
  const overlay: Omit<PodOverlay, 'ips'> = {
    listeners: ports.map(({ listen, app }) => ({ port: listen, on: choices.interception === 'loopback' ? 'pod' : 'any', upstream: `127.0.0.1:${app}` })),
    health: HEALTH_PORT,
    ...(choices.mode && { mode: choices.mode }),
    ...(Object.keys(probes).length > 0 && { probes }),
    // There an app on 0.0.0.0 is as it should be: the kernel hands its port to the sidecar.
    ...(choices.interception === 'redirect' && { exposure: { check: false } }),
  }
  return `{"ips":"$(SIDEGATE_POD_IPS)",${literal(JSON.stringify(overlay).slice(1))}`
}

/** PodSecurity `restricted`, read-only root, no way up. */
function restricted(settings: InjectorSettings): Record<string, unknown> {
  return {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    privileged: false,
    readOnlyRootFilesystem: true,
    runAsNonRoot: true,
    ...(settings.runAsUser !== null && { runAsGroup: settings.runAsUser, runAsUser: settings.runAsUser }),
    seccompProfile: { type: 'RuntimeDefault' },
  }
}

/** Whether the sidecar is native. A pod that is to end gets such a one on every supported version: a regular one would keep it from ending. */
export function isNative({ restartPolicy }: PodSpec, { nativeSidecar }: InjectorSettings): boolean {
  return nativeSidecar || restartPolicy === 'OnFailure' || restartPolicy === 'Never'
}

const probe = (path: string, periodSeconds: number, failureThreshold: number): Handler => ({
  failureThreshold,
  httpGet: { path, port: HEALTH_PORT, scheme: 'HTTP' },
  periodSeconds,
  successThreshold: 1,
  timeoutSeconds: 3,
})

/**
 * The sidecar.
 * @param native as an init container with restartPolicy Always (KEP-753), else a regular one that outlives the app's own preStop
 */
export function sidecarContainer(argument: string, choices: Choices, spec: PodSpec, settings: InjectorSettings, native: boolean): Container {
  return {
    name: SIDECAR_CONTAINER,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    ...(settings.command.length > 0 && { command: [...settings.command] }),
    args: ['--config', `${CONFIG_DIRECTORY}/${profileKey(choices.profile)}`, '--pod', argument],
    env: [{ name: 'SIDEGATE_POD_IPS', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'status.podIPs' } } }],
    ports: [{ containerPort: HEALTH_PORT, name: 'sidegate-health', protocol: 'TCP' }],
    resources: withinPod(ownResources(choices), spec),
    // Started means listening; it never waits for an issuer, or an outage there would stop every pod here.
    startupProbe: probe('/startupz', 1, 60),
    livenessProbe: probe('/livez', 10, 3),
    readinessProbe: probe('/readyz', 5, 3),
    securityContext: restricted(settings),
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [{ mountPath: CONFIG_DIRECTORY, name: CONFIG_VOLUME, readOnly: true }],
    ...(native ? { restartPolicy: 'Always' } : regularLife(spec)),
  }
}

interface Resources { readonly limits: Readonly<Record<string, string>>; readonly requests: Readonly<Record<string, string>> }

function ownResources({ resources: { requests, limits: { cpu, memory } } }: Choices): Resources {
  return { limits: { ...(cpu !== null && { cpu }), memory }, requests: { ...requests } }
}

/**
 * What a container of ours asks for and may use in a pod that has resources of its own (KEP-2837): the user's sum for all containers, to which the API
 * server holds each of us. It takes no limit above the pod's, so ours is the smaller of the two; without any the sidecar would not know how much
 * it may keep. It takes no requests that are together above the pod's, which it has filled in from the app's before a webhook sees
 * the pod, so we request nothing; in so many words, since a request that is left out becomes the limit.
 */
export function withinPod(own: Resources, { resources, containers, initContainers }: PodSpec): Partial<Resources> {
  const [most, wanted] = [amounts(resources?.['limits']), amounts(resources?.['requests'])]
  if (Object.keys(most).length === 0 && Object.keys(wanted).length === 0) return own
  // In a manifest, where nothing is filled in yet: of what the pod limits and nobody requests it will request its whole limit. Any word of ours would end that.
  const others = [...containers, ...initContainers ?? []].map((container) => amounts(container['resources'])).flatMap(({ limits, requests }) => [amounts(limits), amounts(requests)])
  const filledIn = (name: string) => most[name] !== undefined && [wanted, ...others].every((list) => list[name] === undefined)
  const smaller = (name: string, ours: string) => ((parseQuantity(String(most[name])) ?? Infinity) < parseQuantity(ours)! ? String(most[name]) : ours)
  const limits = Object.entries(own.limits).filter(([name]) => !filledIn(name)).map(([name, ours]) => [name, smaller(name, ours)] as const)
  const requests = Object.keys(own.requests).filter((name) => !filledIn(name)).map((name) => [name, '0'] as const)
  return { ...(limits.length > 0 && { limits: Object.fromEntries(limits) }), ...(requests.length > 0 && { requests: Object.fromEntries(requests) }) }
}

const amounts = (value: unknown) => (typeof value === 'object' && value !== null ? value as Readonly<Record<string, unknown>> : {})

/**
 * How long a regular sidecar goes on before its SIGTERM: all containers get theirs at once, but the app's comes after its own preStop,
 * during which it still answers. Not more than half the grace period: the rest is for the drain.
 */
function regularLife(spec: PodSpec): Pick<Container, 'lifecycle'> {
  const grace = spec.terminationGracePeriodSeconds ?? 30
  if (grace < 1) return {}
  const hooks = spec.containers.flatMap(({ lifecycle }): readonly Handler[] => (lifecycle?.preStop ? [lifecycle.preStop] : []))
  const sleeps = hooks.map((hook) => Number((hook['sleep'] as { seconds?: unknown } | null | undefined)?.seconds ?? 0)).filter((seconds) => seconds > 0)
  const wanted = Math.max(hooks.length > 0 ? 10 : 2, ...sleeps)
  return { lifecycle: { preStop: { sleep: { seconds: Math.max(1, Math.floor(Math.min(wanted, grace / 2))) } } } }
}

interface Mount { readonly mountPath?: unknown; readonly name?: unknown; readonly readOnly?: unknown }
const SERVICE_ACCOUNT_MOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'

/**
 * What the cluster itself does to a container after us, kept so that it does not count as tampering: API server defaults of newer
 * versions, the ServiceAccount plugin's mount, AlwaysPullImages, LimitRanger's defaults, another spelling of the same quantity.
 * Everything else is as we want it, whatever another webhook did.
 * @param wanted the container as the injector makes it
 * @param found the container as it is in the pod
 */
export function adopt(wanted: Container, found: Container): Container {
  const mounts = Array.isArray(found['volumeMounts']) ? found['volumeMounts'] as (Mount | null)[] : []
  const mount = mounts.filter((entry) => entry?.mountPath === SERVICE_ACCOUNT_MOUNT && entry.readOnly === true && String(entry.name).startsWith('kube-api-access-'))
  const adopted: Container = {
    ...wanted,
    ...(found['resizePolicy'] !== undefined && { resizePolicy: found['resizePolicy'] }),
    ...(found['imagePullPolicy'] === 'Always' && { imagePullPolicy: 'Always' }),
    ...(wanted['resources'] !== undefined && { resources: adoptResources(wanted['resources'], found['resources']) }),
    ...(mount.length === 1 && { volumeMounts: [...(wanted['volumeMounts'] as unknown[] | undefined ?? []), ...mount] }),
  }
  return isDeepStrictEqual(adopted, found) ? found : adopted
}

type Amounts = Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>

function adoptResources(wanted: unknown, found: unknown): unknown {
  if (typeof found !== 'object' || found === null) return wanted
  const result: Record<string, unknown> = { ...(wanted as Amounts) }
  for (const kind of ['limits', 'requests']) {
    const [want, have] = [(wanted as Amounts)[kind], (found as Amounts)[kind]]
    if (typeof have !== 'object' || have === null) continue
    const entries = Object.entries(have).filter(([name, value]) => want?.[name] === undefined || same(want[name], value))
    result[kind] = { ...want, ...Object.fromEntries(entries) }
  }
  return result
}

const same = (a: unknown, b: unknown) => a === b || (parseQuantity(String(a)) !== undefined && parseQuantity(String(a)) === parseQuantity(String(b)))
