/**
 * The parts of a pod that the injector reads and writes. Everything else is carried along untouched (index signatures), so that
 * a field of a newer Kubernetes is never lost.
 */
import * as v from 'valibot'

export interface ContainerPort {
  readonly name?: string
  readonly containerPort: number
  readonly protocol?: string
  readonly hostPort?: number
  readonly [field: string]: unknown
}

/** A probe or lifecycle hook: at most one of the three is what we may have to move; exec and sleep are none of our business. */
export interface Handler {
  readonly httpGet?: HttpGet
  readonly tcpSocket?: { readonly port: number | string; readonly host?: string; readonly [field: string]: unknown }
  readonly grpc?: { readonly port: number; readonly service?: string | null; readonly [field: string]: unknown }
  readonly timeoutSeconds?: number
  readonly [field: string]: unknown
}

export interface HttpGet {
  readonly path?: string
  readonly port: number | string
  readonly host?: string
  readonly scheme?: string
  readonly httpHeaders?: readonly { readonly name: string; readonly value: string }[]
  readonly [field: string]: unknown
}

export interface Container {
  readonly name: string
  readonly image?: string
  readonly args?: readonly string[]
  readonly ports?: readonly ContainerPort[]
  readonly livenessProbe?: Handler
  readonly readinessProbe?: Handler
  readonly startupProbe?: Handler
  readonly lifecycle?: { readonly postStart?: Handler; readonly preStop?: Handler; readonly [field: string]: unknown }
  readonly restartPolicy?: string
  readonly [field: string]: unknown
}

export interface PodSpec {
  readonly containers: readonly Container[]
  readonly initContainers?: readonly Container[]
  readonly volumes?: readonly { readonly name: string; readonly [field: string]: unknown }[]
  readonly imagePullSecrets?: readonly { readonly name?: string }[]
  readonly hostNetwork?: boolean
  readonly restartPolicy?: string
  readonly terminationGracePeriodSeconds?: number
  readonly nodeSelector?: Readonly<Record<string, string>>
  readonly os?: { readonly name?: string }
  readonly securityContext?: PodSecurity
  readonly resources?: Readonly<Record<string, unknown>>
  readonly [field: string]: unknown
}

export interface PodSecurity {
  readonly sysctls?: readonly { readonly name: string; readonly value: string }[]
  readonly [field: string]: unknown
}

export interface Metadata {
  readonly name?: string
  readonly generateName?: string
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly [field: string]: unknown
}

/** A Pod, or a workload's pod template (which has no kind). */
export interface Pod {
  readonly metadata?: Metadata
  readonly spec: PodSpec
  readonly [field: string]: unknown
}

/** Why a pod is not admitted: one sentence (what, where, the fix), and the HTTP code the API server answers with. */
export interface Refusal {
  readonly refused: string
  /** 422: the pod or an annotation must be corrected. 403: it uses what belongs to Sidegate. */
  readonly code: 403 | 422
}

/** @param refused the sentence: what is wrong, where, how to fix it */
export function refuse(refused: string, code: Refusal['code'] = 422): Refusal {
  return { refused, code }
}

export function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'refused' in value
}

/** Far above what a kubelet runs; a webhook that looks through 3 MiB of containers keeps everybody else's pods waiting. */
const MAX_CONTAINERS = 500

const LABEL_NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const optional = <S extends v.GenericSchema>(schema: S) => v.optional(v.nullable(schema))
const portNumber = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))
const portReference = v.union([v.string(), portNumber], 'must be a port number or name')
const list = <S extends v.GenericSchema>(schema: S) => optional(v.array(schema))
const strings = optional(v.record(v.string(), v.string('must be a string: put it in quotes')))

/** What a handler may do over the network; annotation sidegate.dev/original holds the same. */
export const networkActions = {
  httpGet: optional(v.looseObject({
    path: optional(v.string()), port: portReference, host: optional(v.string()), scheme: optional(v.string()),
    httpHeaders: list(v.looseObject({ name: v.string(), value: optional(v.string()) })),
  })),
  tcpSocket: optional(v.looseObject({ port: portReference, host: optional(v.string()) })),
  grpc: optional(v.looseObject({ port: portNumber, service: optional(v.string()) })),
}

const handler = optional(v.looseObject({ ...networkActions, timeoutSeconds: optional(v.number()) }))

const container = v.looseObject({
  name: v.pipe(v.string('must be a string: put it in quotes'), v.regex(LABEL_NAME, 'must be a DNS label (lower case letters, digits and "-")')),
  image: optional(v.string()),
  args: list(v.string()),
  ports: list(v.looseObject({ name: optional(v.string()), containerPort: portNumber, protocol: optional(v.string()), hostPort: optional(v.number()) })),
  livenessProbe: handler,
  readinessProbe: handler,
  startupProbe: handler,
  lifecycle: optional(v.looseObject({ postStart: handler, preStop: handler })),
  restartPolicy: optional(v.string()),
})

const podShape = v.looseObject({
  metadata: optional(v.looseObject({ labels: strings, annotations: strings })),
  spec: v.looseObject({
    containers: v.pipe(v.array(container), v.minLength(1, 'must name at least one container')),
    initContainers: list(container),
    volumes: list(v.looseObject({ name: v.string() })),
    imagePullSecrets: list(v.looseObject({ name: optional(v.string()) })),
    hostNetwork: optional(v.boolean()),
    restartPolicy: optional(v.string()),
    terminationGracePeriodSeconds: optional(v.number()),
    nodeSelector: strings,
    os: optional(v.looseObject({ name: optional(v.string()) })),
    securityContext: optional(v.looseObject({ sysctls: list(v.looseObject({ name: v.string(), value: v.string() })) })),
    resources: optional(v.looseObject({})),
  }),
})

/**
 * Checks the shape of what claims to be a pod, as far as the injector looks at it. The API server has done so before a webhook sees
 * it; a file has not been seen by anyone.
 * @returns the very same object, or a refusal that names the field
 */
export function asPod(value: unknown): Pod | Refusal {
  const spec = (value as Partial<Pod> | null | undefined)?.spec
  const count = (list: unknown) => (Array.isArray(list) ? list.length : 0)
  if (count(spec?.containers) + count(spec?.initContainers) > MAX_CONTAINERS) {
    return refuse(`The pod has more than ${MAX_CONTAINERS} containers. Sidegate does not look at such pods; remove annotation sidegate.dev/inject.`)
  }
  const result = v.safeParse(podShape, value, { abortEarly: true, abortPipeEarly: true })
  if (result.success) return value as Pod
  const [issue] = result.issues
  return refuse(`The pod is not valid: ${v.getDotPath(issue) ?? 'the document'}: ${issue.message}. Correct it; kubectl apply --dry-run=server shows such errors, too.`)
}
