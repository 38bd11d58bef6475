/**
 * Probes and lifecycle hooks, whose requests come from the kubelet to the pod's address. Interception `port` leaves them at the app's
 * true port (the kubelet is exempt from NetworkPolicy), so a port's name becomes its number. In `loopback` and `redirect` that port
 * is the sidecar's, so they move to the sidecar, which asks the app over loopback: targets fixed here, nobody can steer them.
 */
import { ADMIN_PORT, HEALTH_PORT } from './names.ts'
import { isTcp } from './ports.ts'
import { isRefusal, refuse, type Container, type Handler, type Refusal } from './pod.ts'
import { describeHttp } from './probe-request.ts'

/** The field of each kind in a container; the last part of /probe/<container>/<kind>. */
const PROBES = { liveness: 'livenessProbe', readiness: 'readinessProbe', startup: 'startupProbe' } as const
const HOOKS = ['postStart', 'preStop'] as const
export const PROBE_KINDS = [...Object.keys(PROBES), ...HOOKS] as readonly ProbeKind[]
export type ProbeKind = keyof typeof PROBES | (typeof HOOKS)[number]

type Target = Pick<Handler, 'httpGet' | 'tcpSocket' | 'grpc'>
/** A container's handlers as they were before they moved. */
export type OriginalHandlers = { readonly [kind in ProbeKind]?: Target }
/** The port names of a container's handlers before they became numbers. */
export type PortNames = { readonly [kind in ProbeKind]?: string }
/** `probes` of the sidecar's configuration, as written in a file. */
export type ProbeTargets = Readonly<Record<string, Readonly<Record<string, unknown>>>>

const ACTIONS = ['httpGet', 'tcpSocket', 'grpc'] as const

const isHook = (kind: ProbeKind): kind is (typeof HOOKS)[number] => kind === 'postStart' || kind === 'preStop'

/** The action a handler has for the network, if any. */
function networkAction(handler: Handler | undefined | null): Target | undefined {
  const action = ACTIONS.find((name) => handler?.[name])
  return handler && action ? { [action]: handler[action] } : undefined
}

/** The same, if it is for this pod: a `host` means another machine, which the sidecar does not ask. */
export function targetOf(handler: Handler | undefined | null): Target | undefined {
  const target = networkAction(handler)
  return (target?.httpGet ?? target?.tcpSocket)?.host ? undefined : target
}

export function handlerOf(container: Container, kind: ProbeKind): Handler | undefined | null {
  return isHook(kind) ? container.lifecycle?.[kind] : container[PROBES[kind]]
}

/** A copy of the container with a handler's action replaced, in the same place among its fields. */
export function withTarget(container: Container, kind: ProbeKind, target: Target): Container {
  const handler = handlerOf(container, kind)
  if (!handler) return container
  const changed = replaceAction(handler, target)
  if (isHook(kind)) return { ...container, lifecycle: { ...container.lifecycle, [kind]: changed } }
  return { ...container, [PROBES[kind]]: changed }
}

/** A copy of the container with the port of a handler's action replaced. */
export function withPort(container: Container, kind: ProbeKind, port: number | string): Container {
  const target = networkAction(handlerOf(container, kind))
  if (target?.httpGet) return withTarget(container, kind, { httpGet: { ...target.httpGet, port } })
  return target?.tcpSocket ? withTarget(container, kind, { tcpSocket: { ...target.tcpSocket, port } }) : container
}

function replaceAction(handler: Handler, target: Target): Handler {
  const isAction = (name: string) => (ACTIONS as readonly string[]).includes(name)
  if (!Object.keys(handler).some(isAction)) return { ...target, ...handler }
  return Object.fromEntries(Object.entries(handler).flatMap(([name, value]) => (isAction(name) ? Object.entries(target) : [[name, value]])))
}

/** The number a probe's port means, as the kubelet resolves it: a name of the same container first, then digits. */
function portNumber(container: Container, port: number | string): number | undefined {
  if (typeof port === 'number') return port
  const named = (container.ports ?? []).find(({ name }) => name === port)
  if (named) return named.containerPort
  return /^\d{1,5}$/.test(port) ? Number(port) : undefined
}

/**
 * Interception `port`: names of ports that change become numbers, also where a `host` is asked: the kubelet takes the number from the pod.
 * @param container as the user wrote it
 * @param changed the app's ports that get another number
 */
export function numberNamedPorts(container: Container, changed: ReadonlySet<number>): { container: Container; portNames: PortNames } {
  let result = container
  const portNames: { [kind in ProbeKind]?: string } = {}
  for (const kind of PROBE_KINDS) {
    const target = networkAction(handlerOf(container, kind))
    const action = target?.httpGet ?? target?.tcpSocket
    if (typeof action?.port !== 'string') continue
    const entry = (container.ports ?? []).find(({ name }) => name === action.port)
    if (!entry || !isTcp(entry) || !changed.has(entry.containerPort)) continue
    portNames[kind] = action.port
    result = withPort(result, kind, entry.containerPort)
  }
  return { container: result, portNames }
}

/**
 * Interceptions `loopback` and `redirect`: every network probe and hook moves to the sidecar's health port.
 * @param graceSeconds the pod's termination grace period: how long a preStop hook may take
 * @param hookKey part of the hooks' paths. A hook may do anything (/shutdown, say), and in these interceptions the health port is open to
 *   whoever the network lets through: only the kubelet, which has the pod's spec, must be able to call one
 */
export function moveToSidecar(container: Container, graceSeconds: number, hookKey: string): { container: Container; originals: OriginalHandlers; targets: ProbeTargets } | Refusal {
  let result = container
  const originals: { [kind in ProbeKind]?: Target } = {}
  const targets: Record<string, Readonly<Record<string, unknown>>> = {}
  for (const kind of PROBE_KINDS) {
    const handler = handlerOf(container, kind)
    const target = targetOf(handler)
    if (!handler || !target) continue
    const port = targetPort(container, kind, target)
    if (isRefusal(port)) return port
    const described = describe(target, port, whereIs(container, kind))
    if (isRefusal(described)) return described
    const key = `${container.name}/${kind}${isHook(kind) ? `/${hookKey}` : ''}`
    targets[key] = { ...described, timeout: `${seconds(kind, handler, graceSeconds)}s` }
    originals[kind] = target
    result = withTarget(result, kind, { httpGet: { path: `/probe/${key}`, port: HEALTH_PORT, scheme: 'HTTP' } })
  }
  return { container: result, originals, targets }
}

const whereIs = ({ name }: Container, kind: ProbeKind) => `${isHook(kind) ? `lifecycle.${kind}` : PROBES[kind]} of container "${name}"`

function targetPort(container: Container, kind: ProbeKind, target: Target): number | Refusal {
  const named = (target.httpGet ?? target.tcpSocket ?? target.grpc)!.port
  const port = portNumber(container, named)
  const where = whereIs(container, kind)
  if (port === undefined) return refuse(`${where} names port "${named}", which the container does not declare. Declare it, or write its number.`)
  if (port < ADMIN_PORT || port > HEALTH_PORT) return port
  return refuse(`${where} goes to port ${port}; ${ADMIN_PORT} to ${HEALTH_PORT} are Sidegate's own. Point it at the app.`)
}

/** A probe that takes longer than this has no use for its limit. */
const A_DAY = 86_400
/** No timer of the sidecar's runs longer (src/config/values.ts). */
const LONGEST_HOOK = 24 * A_DAY

function seconds(kind: ProbeKind, handler: Handler, grace: number): number {
  if (kind === 'preStop') return Math.min(LONGEST_HOOK, Math.max(1, grace))
  if (kind === 'postStart') return 300
  return Math.min(A_DAY, Math.max(1, handler.timeoutSeconds ?? 1))
}

function describe({ httpGet, grpc }: Target, port: number, where: string): Record<string, unknown> | Refusal {
  const address = `127.0.0.1:${port}`
  if (grpc) return { type: 'grpc', address, ...(grpc.service && { service: grpc.service }) }
  if (!httpGet) return { type: 'tcp', address }
  const request = describeHttp(httpGet, where)
  return isRefusal(request) ? request : { ...request, address }
}
