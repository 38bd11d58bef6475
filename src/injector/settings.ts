/**
 * What the cluster's operator decides about injected sidecars: `sidecar` in the controller's file, flags of `sidegate inject`.
 * The one schema for both.
 */
import * as v from 'valibot'
import { parseQuantity } from './quantity.ts'

export const INTERCEPTIONS = ['port', 'loopback', 'redirect'] as const
export type Interception = (typeof INTERCEPTIONS)[number]

const text = v.pipe(v.string(), v.nonEmpty('must not be empty'))
const quantity = v.pipe(v.string(), v.check((value) => parseQuantity(value) !== undefined, 'write a quantity such as 100m, 0.5 or 64Mi'))
const requests = v.optional(v.strictObject({ cpu: v.optional(quantity, '50m'), memory: v.optional(quantity, '96Mi') }), {})
/** Without a memory limit the sidecar would not know how much it may keep; without a CPU limit it only gets what nobody else wants. */
const limits = v.optional(v.strictObject({ cpu: v.optional(v.nullable(quantity), '1'), memory: v.optional(quantity, '256Mi') }), {})

interface Resources {
  readonly requests: { readonly cpu: string; readonly memory: string }
  readonly limits: { readonly cpu: string | null; readonly memory: string }
}

/** @returns the first of `cpu` and `memory` of which more is requested than the limit allows: no API server takes such a container */
export function overLimit({ requests: wanted, limits: most }: Resources): 'cpu' | 'memory' | undefined {
  return (['cpu', 'memory'] as const).find((name) => parseQuantity(wanted[name])! > (most[name] === null ? Infinity : parseQuantity(most[name])!))
}

export const injectorSettingsSchema = v.strictObject({
  /** Image of the sidecar, best by digest. */
  image: text,
  imagePullPolicy: v.optional(v.picklist(['Always', 'IfNotPresent', 'Never']), 'IfNotPresent'),
  /** Names of Secrets in the pod's namespace; added to the pod's own. */
  imagePullSecrets: v.optional(v.array(text), []),
  /** A CPU limit of null is none. */
  resources: v.optional(v.pipe(
    v.strictObject({ requests, limits }),
    v.check((resources) => overLimit(resources) === undefined, 'a request is more than its limit: raise limits.cpu or limits.memory, or lower the request'),
  ), {}),
  /** Whether the sidecar is an init container with restartPolicy Always: right where the API server is 1.32 or newer. */
  nativeSidecar: v.optional(v.boolean(), true),
  /** How the image starts the sidecar. Empty: by its own entry point. */
  command: v.optional(v.array(text), []),
  /** For pods without sidegate.dev/interception. */
  interception: v.optional(v.picklist(INTERCEPTIONS), 'port'),
  /** false where no NetworkPolicy closes the app's own port (networkPolicy.mode off): interception `port` is refused there. */
  portAllowed: v.optional(v.boolean(), true),
  /** The profiles there are; a pod that names another is refused. Undefined: not known here (offline), any is taken. */
  profiles: v.optional(v.array(text)),
  /** Makes the keys of hooks reproducible (see InjectOptions.random): for manifests that are injected offline again and again. Keep it secret. */
  hookSecret: v.optional(v.pipe(v.string(), v.minLength(16, 'use at least 16 characters'))),
  /** Further labels for injected pods. */
  labels: v.optional(v.record(text, v.string()), {}),
  /** The sidecar's user and group. null where the cluster assigns them (OpenShift). */
  runAsUser: v.optional(v.nullable(v.pipe(v.number(), v.integer(), v.minValue(1))), 65_532),
  redirect: v.optional(v.strictObject({
    /** An image with nft. null: interception `redirect` is refused. Undefined: the sidecar's own image. */
    image: v.optional(v.nullable(text)),
    command: v.optional(v.pipe(v.array(text), v.minLength(1)), ['nft']),
  }), {}),
})

export type InjectorSettings = v.InferOutput<typeof injectorSettingsSchema>
export type InjectorSettingsInput = v.InferInput<typeof injectorSettingsSchema>

/**
 * Settings with every default filled in.
 * @throws an Error that names every bad field
 */
export function injectorSettings(input: InjectorSettingsInput): InjectorSettings {
  const result = v.safeParse(injectorSettingsSchema, input)
  if (result.success) return result.output
  throw new Error(`The injector's settings are not valid: ${result.issues.map((issue) => `${v.getDotPath(issue) ?? 'settings'}: ${issue.message}`).join('; ')}`)
}

/**
 * Whether pods of this API server get native sidecars. They are on from 1.29, but before 1.32 a Job or a probe can still meet
 * their first bugs, so long-running pods get a regular container there (KEP-753).
 * @param version of the API server, as /version says it
 */
export function supportsNativeSidecar(version: { readonly major: string; readonly minor: string }): boolean {
  const major = Number.parseInt(version.major, 10)
  return major > 1 || (major === 1 && Number.parseInt(version.minor, 10) >= 32)
}
