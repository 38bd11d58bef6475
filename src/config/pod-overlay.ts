/**
 * What one pod adds to its profile's configuration file: the facts that a ConfigMap shared by many pods cannot hold. The injector
 * writes it as the sidecar's `--pod` argument at admission; the sidecar reads it once and lays it over the file at every load.
 */
import * as v from 'valibot'
import { formatAddress } from './values.ts'

const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))

/** The `--pod` argument, after JSON.parse. `probes` is checked with the rest of the configuration, after the merge. */
const podOverlaySchema = v.strictObject({
  /** The pod's addresses, comma-separated, as `status.podIPs` gives them. */
  ips: v.pipe(
    v.string(),
    v.regex(/^[0-9A-Fa-f:.]+(,[0-9A-Fa-f:.]+)*$/, 'must be the pod\'s IP addresses, comma-separated; is SIDEGATE_POD_IPS set from status.podIPs?'),
  ),
  listeners: v.pipe(v.array(v.strictObject({
    port,
    /** `any`: every address of the pod and loopback; `pod`: the pod's addresses only, so that the app can have the same port on loopback. */
    on: v.picklist(['any', 'pod']),
    upstream: v.string(),
  })), v.minLength(1)),
  health: port,
  mode: v.optional(v.picklist(['enforce', 'audit'])),
  probes: v.optional(v.record(v.string(), v.unknown())),
  exposure: v.optional(v.strictObject({ check: v.boolean() })),
})

export type PodOverlay = v.InferOutput<typeof podOverlaySchema>

/**
 * Reads a `--pod` argument.
 * @returns the overlay, or every problem as one sentence each
 */
export function parsePodOverlay(text: string): { overlay: PodOverlay } | { problems: readonly string[] } {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    return { problems: [`--pod is not JSON: ${(error as Error).message}. The injector writes this argument; do not edit it.`] }
  }
  const parsed = v.safeParse(podOverlaySchema, json)
  if (parsed.success) return { overlay: parsed.output }
  return { problems: parsed.issues.map((issue) => `--pod: ${v.getDotPath(issue) ?? 'the argument'}: ${issue.message}`) }
}

/**
 * Lays a pod's facts over its profile's configuration, before the schema sees it. The pod's listeners, health address and probes
 * replace the file's; `mode` and `exposure.check` only where the pod sets them.
 * @param config the parsed file; anything that is not an object is returned as it is, for the schema to refuse
 */
export function mergePodOverlay(config: unknown, overlay: PodOverlay): unknown {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) return config
  const file = config as Record<string, unknown>
  const ips = overlay.ips.split(',')
  const wildcard = ips.some((ip) => ip.includes(':')) ? '::' : '0.0.0.0'
  const listeners = overlay.listeners.flatMap(({ port, on, upstream }) =>
    (on === 'any' ? [wildcard] : ips).map((host) => ({ bind: formatAddress({ host, port }), upstream })))
  return {
    ...file,
    listeners,
    health: { bind: formatAddress({ host: wildcard, port: overlay.health }) },
    ...(overlay.mode && { mode: overlay.mode }),
    ...(overlay.probes && { probes: overlay.probes }),
    ...(overlay.exposure && { exposure: { ...(file['exposure'] as object | undefined), ...overlay.exposure } }),
  }
}
