/** What the ConfigMap copy of one namespace should hold: a function of what it holds, what is in use there, and what is accepted. */
import type { ConfigMap, OwnerReference } from '../kube/types.ts'
import { filesOf, type Accepted } from './source-config.ts'
import type { RemovedProfiles } from './removed-profiles.ts'
import { hasOwner, ownedBy } from './owners.ts'
import { CONFIG_COPY, MANAGED_BY, MANAGED_BY_LABEL, profileKey } from './names.ts'

/** On the copy: JSON, profile to the time (RFC 3339) since when no pod of the namespace uses it. */
export const UNUSED_ANNOTATION = 'sidegate.dev/unused-since'

export interface CopyNeeds {
  readonly namespace: string
  /** Profiles of the injected pods there, and that of a pod being admitted. */
  readonly used: ReadonlySet<string>
  readonly accepted: Accepted | undefined
  /** Profiles that were removed from the source and may be in use. */
  readonly removed?: RemovedProfiles
  /** Unix milliseconds. */
  readonly now: number
  /** How long an unused profile stays: a pod that another replica admits at this moment is not in anybody's cache yet. */
  readonly keepMs: number
  readonly owner?: OwnerReference | undefined
  /** Only what is known and used now, and nothing of what others added: for a copy that the API server would not take otherwise. */
  readonly bare?: boolean
}

export type CopyPlan =
  | { readonly kind: 'right' }
  | { readonly kind: 'write', readonly copy: ConfigMap }
  | { readonly kind: 'delete' }

function readUnused(copy: ConfigMap | undefined): Record<string, string> {
  try {
    const value: unknown = JSON.parse(copy?.metadata.annotations?.[UNUSED_ANNOTATION] ?? '{}')
    return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value).filter(([, time]) => Number.isFinite(Date.parse(String(time))))) : {}
  } catch {
    return {}
  }
}

const profileOf = (key: string): string | undefined => key.endsWith('.json') ? key.slice(0, -'.json'.length) : undefined

/** The profiles that a copy holds. */
export function profilesOf(copy: ConfigMap | undefined): string[] {
  return Object.keys(copy?.data ?? {}).flatMap((key) => profileOf(key) ?? [])
}

/** Profiles to keep, and since when the unused among them are unused. What is neither used nor known goes at once: anybody may have put it there. */
function keep(current: ConfigMap | undefined, { used, accepted, removed, now, keepMs, bare = false }: CopyNeeds): { profiles: string[], unused: Record<string, string> } {
  const marks = readUnused(current)
  const unused: Record<string, string> = {}
  const isKnown = (profile: string) => accepted?.profiles.has(profile) || removed?.has(profile)
  const profiles = [...used].filter((profile) => isKnown(profile) || (!bare && current?.data?.[profileKey(profile)] !== undefined))
  for (const profile of bare ? [] : profilesOf(current)) {
    if (used.has(profile) || (accepted && !isKnown(profile))) continue
    const since = marks[profile] ?? new Date(now).toISOString()
    if (Date.parse(since) + keepMs <= now) continue
    profiles.push(profile)
    unused[profile] = since
  }
  return { profiles: profiles.sort(), unused }
}

/** The profiles' texts and the files that they name. */
function dataOf(profiles: readonly string[], current: ConfigMap | undefined, { accepted, removed }: CopyNeeds): Record<string, string> {
  const texts = profiles.map((profile) => [profileKey(profile), accepted?.profiles.get(profile) ?? removed?.get(profile)?.text ?? current!.data![profileKey(profile)]!] as const)
  const removedFiles = Object.assign({}, ...profiles.map((profile) => removed?.get(profile)?.files ?? {})) as Record<string, string>
  const files = [...new Set(texts.flatMap(([, text]) => filesOf(text)))].flatMap((name) => {
    const content = accepted?.files.get(name) ?? removedFiles[name] ?? current?.data?.[name]
    return content === undefined ? [] : [[name, content] as const]
  })
  return Object.fromEntries([...texts, ...files])
}

const sameFields = (a: Readonly<Record<string, string>> = {}, b: Readonly<Record<string, string>> = {}): boolean =>
  Object.keys(a).length === Object.keys(b).length && Object.entries(a).every(([key, value]) => b[key] === value)

/**
 * Plans the copy of one namespace.
 *
 * A profile that was removed from the source while pods use it keeps its last text: a sidecar that restarts must find what it ran with. Only where
 * that text is not known, because it was removed before this was kept, the copy's own is taken.
 */
export function planCopy(current: ConfigMap | undefined, needs: CopyNeeds): CopyPlan {
  const { profiles, unused } = keep(current, needs)
  if (profiles.length === 0) return current ? { kind: 'delete' } : { kind: 'right' }
  const data = dataOf(profiles, current, needs)
  // Annotations of others are not kept: they have room for 256 KiB.
  const annotations: Record<string, string> = Object.keys(unused).length === 0 ? {} : { [UNUSED_ANNOTATION]: JSON.stringify(unused) }
  const labels = { ...needs.bare ? {} : current?.metadata.labels, [MANAGED_BY_LABEL]: MANAGED_BY }
  const right = current && sameFields(current.data, data) && sameFields(current.metadata.annotations, annotations) && sameFields(current.metadata.labels, labels)
    && !('binaryData' in current) && hasOwner(current, needs.owner)
  if (right) return { kind: 'right' }
  return {
    kind: 'write',
    copy: {
      apiVersion: 'v1', kind: 'ConfigMap', data,
      metadata: { ...(current ? identity(current) : {}), name: CONFIG_COPY, namespace: needs.namespace, labels, annotations, ...ownedBy(needs.owner) },
    },
  }
}

function identity({ metadata: { uid, resourceVersion } }: ConfigMap): { uid?: string, resourceVersion?: string } {
  return { ...uid !== undefined && { uid }, ...resourceVersion !== undefined && { resourceVersion } }
}
