/** Which of a pod's ports are protected, and where the sidecar listens for each. */
import type { Choices } from './annotations.ts'
import {
  ADMIN_PORT, FIRST_EPHEMERAL_PORT, FIRST_PROTECTED_PORT, HEALTH_PORT, INTERCEPTION_ANNOTATION, MAX_PROTECTED_PORTS, PORTS_ANNOTATION, REDIRECT_CONTAINER, SIDECAR_CONTAINER,
} from './names.ts'
import { refuse, type Container, type ContainerPort, type Pod, type PodSpec, type Refusal } from './pod.ts'

/** One protected port: the sidecar listens on `listen`, the app on 127.0.0.1 (or anywhere) on `app`. The same in `loopback`. */
export interface ProtectedPort {
  readonly listen: number
  readonly app: number
}

interface Declared {
  readonly container: string
  readonly port: ContainerPort
}

/** The containers that run as long as the pod does, ours aside: regular ones and native sidecars (KEP-753) of others. */
export function appContainers(spec: PodSpec): readonly Container[] {
  const natives = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  return [...spec.containers, ...natives].filter(({ name }) => name !== SIDECAR_CONTAINER && name !== REDIRECT_CONTAINER)
}

export const isTcp = ({ protocol }: ContainerPort) => (protocol ?? 'TCP') === 'TCP'

/**
 * Decides the protected ports.
 * @returns them in the pod's order (or the annotation's), or why it cannot be done
 */
export function planPorts(pod: Pod, choices: Choices): readonly ProtectedPort[] | Refusal {
  const declared = appContainers(pod.spec).flatMap(({ name, ports }) => (ports ?? []).map((port) => ({ container: name, port })))
  const problem = reservedPort(declared) ?? duplicateName(declared)
  if (problem) return problem
  const tcp = declared.filter(({ port }) => isTcp(port))
  const numbers = choices.ports ? chosen(choices.ports, declared, choices) : [...new Set(tcp.map(({ port }) => port.containerPort))]
  if (!Array.isArray(numbers)) return numbers as Refusal
  if (numbers.length === 0) {
    return refuse(`No container of the pod declares a TCP port, so there is nothing to protect. Add the app's port to its container: ports: [{ name: http, containerPort: 8080 }].`)
  }
  if (numbers.length > MAX_PROTECTED_PORTS) {
    return refuse(`The pod has ${numbers.length} TCP ports; Sidegate protects at most ${MAX_PROTECTED_PORTS}. Name the ones to protect in annotation ${PORTS_ANNOTATION}; the others are closed.`)
  }
  return assign(numbers, choices)
}

function assign(numbers: readonly number[], { interception }: Choices): readonly ProtectedPort[] | Refusal {
  if (interception !== 'loopback') return numbers.map((app, index) => ({ app, listen: FIRST_PROTECTED_PORT + index }))
  const high = numbers.find((port) => port >= FIRST_EPHEMERAL_PORT)
  if (high === undefined) return numbers.map((app) => ({ app, listen: app }))
  return refuse(`Port ${high} lies in the kernel's range for outgoing connections (from ${FIRST_EPHEMERAL_PORT}): one of them may hold it when the sidecar starts. `
    + `Move the app to a lower port, or use another ${INTERCEPTION_ANNOTATION} than "loopback".`)
}

function reservedPort(declared: readonly Declared[]): Refusal | undefined {
  const clash = declared.find(({ port }) => isTcp(port) && port.containerPort >= ADMIN_PORT && port.containerPort <= HEALTH_PORT)
  return clash && refuse(`Container "${clash.container}" declares port ${clash.port.containerPort}; ${ADMIN_PORT} to ${HEALTH_PORT} are Sidegate's own. Move the app to another port.`)
}

/** The API server refuses these, too, but without saying what Sidegate has to do with it. Across containers they are allowed. */
function duplicateName(declared: readonly Declared[]): Refusal | undefined {
  const seen = new Set<string>()
  for (const { container, port } of declared) {
    const key = `${container}/${port.name}`
    if (port.name && seen.has(key)) return refuse(`Container "${container}" has two ports named "${port.name}". Give each port its own name.`)
    seen.add(key)
  }
  return undefined
}

function chosen(ports: readonly (string | number)[], declared: readonly Declared[], choices: Choices): readonly number[] | Refusal {
  const numbers = new Set<number>()
  for (const port of ports) {
    const found = declared.filter((entry) => (typeof port === 'number' ? entry.port.containerPort === port : entry.port.name === port))
    const tcp = found.filter((entry) => isTcp(entry.port))
    if (found.length > 0 && tcp.length === 0) return refuse(`Annotation ${PORTS_ANNOTATION} names ${port}, which is a ${found[0]!.port.protocol} port: only TCP carries HTTP. Leave it out.`)
    if (tcp.length === 0) {
      const problem = undeclared(port, declared, choices)
      if (problem) return problem
    }
    for (const number of tcp.length > 0 ? tcp.map((entry) => entry.port.containerPort) : [port as number]) numbers.add(number)
  }
  return [...numbers]
}

function undeclared(port: string | number, declared: readonly Declared[], { interception }: Choices): Refusal | undefined {
  const names = declared.filter((entry) => isTcp(entry.port)).map((entry) => entry.port.name ?? entry.port.containerPort)
  const known = names.length > 0 ? `It declares ${names.slice(0, 20).join(', ')}.` : 'It declares none.'
  if (typeof port === 'string') return refuse(`Annotation ${PORTS_ANNOTATION} names "${port}", which no container of the pod declares. ${known}`)
  if (port >= ADMIN_PORT && port <= HEALTH_PORT) return refuse(`Annotation ${PORTS_ANNOTATION} names ${port}; ${ADMIN_PORT} to ${HEALTH_PORT} are Sidegate's own. Move the app to another port.`)
  if (interception !== 'port') return undefined
  return refuse(`Annotation ${PORTS_ANNOTATION} names ${port}, which no container of the pod declares. ${known} `
    + `Interception "port" works through the declared port: add ports: [{ name: http, containerPort: ${port} }] to the app's container.`)
}
