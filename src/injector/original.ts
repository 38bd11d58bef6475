/**
 * The annotation `sidegate.dev/original`: what cannot be read off an injected pod and is needed to make it the original again. It is the
 * memory for uninject, for a second call of the webhook, and for a newer injector that finds an older one's work. It is never trusted:
 * whatever it says, the result of an injection is an injection of a pod that its author could have submitted.
 */
import * as v from 'valibot'
import { ORIGINAL_ANNOTATION } from './names.ts'
import { networkActions, refuse, type Handler, type Pod, type Refusal } from './pod.ts'

const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))
const targetShape = v.strictObject(networkActions)
/** As strict as a pod that its author wrote, for it is injected again; and the very same object, its fields in their order. */
const target = v.custom<Pick<Handler, 'httpGet' | 'tcpSocket' | 'grpc'>>((value) => v.is(targetShape, value))

const originalSchema = v.strictObject({
  /** Sidecar's port to the app's, for the entries of interception `port`. */
  ports: v.optional(v.array(v.strictObject({ listen: port, app: port })), []),
  /** Interception `port`: container -> kind -> the port's name that became a number. Only that: the API server fills in the rest. */
  portNames: v.optional(v.record(v.string(), v.strictObject({
    liveness: v.optional(v.string()), readiness: v.optional(v.string()), startup: v.optional(v.string()), postStart: v.optional(v.string()), preStop: v.optional(v.string()),
  })), {}),
  /** The others: container -> kind -> the handler's action as it was before it moved to the sidecar. */
  handlers: v.optional(v.record(v.string(), v.strictObject({
    liveness: v.optional(target), readiness: v.optional(target), startup: v.optional(target), postStart: v.optional(target), preStop: v.optional(target),
  })), {}),
  /** Part of the paths of hooks that moved: kept, so that a second call makes the same pod. */
  hookKey: v.optional(v.pipe(v.string(), v.regex(/^[\w-]{16,64}$/))),
  /** Names the injector added to lists and maps that may have held others' before. */
  labels: v.optional(v.array(v.string()), []),
  annotations: v.optional(v.array(v.string()), []),
  pullSecrets: v.optional(v.array(v.string()), []),
  sysctls: v.optional(v.array(v.string()), []),
  /** Lists and maps that were not there at all: they go again when they are empty. */
  absent: v.optional(v.array(v.picklist(['metadata', 'labels', 'annotations', 'initContainers', 'volumes', 'imagePullSecrets', 'securityContext', 'sysctls'])), []),
})

export type Original = v.InferOutput<typeof originalSchema>
export type Absent = Original['absent'][number]

/** The annotation's text; empty parts are left out. */
export function writeOriginal(original: Original): string {
  return JSON.stringify(Object.fromEntries(Object.entries(original).filter(([, value]) => value !== undefined && value.length !== 0 && Object.keys(value).length > 0)))
}

/** Reads the annotation. @returns undefined when there is none, a refusal when it is not what the injector writes */
export function readOriginal(pod: Pod): Original | Refusal | undefined {
  const text = pod.metadata?.annotations?.[ORIGINAL_ANNOTATION]
  if (text === undefined) return undefined
  try {
    return v.parse(originalSchema, JSON.parse(text))
  } catch {
    return refuse(`Annotation ${ORIGINAL_ANNOTATION} is not what the injector wrote. Remove the annotation, or restore the manifest from before the injection.`)
  }
}
