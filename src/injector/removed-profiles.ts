/**
 * Profiles that were removed from the source while pods use them. They are kept with the last accepted configuration, in the release namespace: the copy in the
 * pods' own namespace can be edited by its users.
 */
import { filesOf, type Accepted, type SourceData } from './source-config.ts'

export interface RemovedProfile {
  readonly text: string
  /** The files that it names, as they were. */
  readonly files: Readonly<Record<string, string>>
  /** When it was removed, Unix milliseconds. */
  readonly at: number
}

export type RemovedProfiles = ReadonlyMap<string, RemovedProfile>

/** In the ConfigMap with the last accepted configuration. No file of a source may have a name that ends in ".json". */
const KEY = 'removed.json'

function isRemovedProfile(value: unknown): value is RemovedProfile {
  const { text, files, at } = (value ?? {}) as Partial<Record<keyof RemovedProfile, unknown>>
  return typeof text === 'string' && typeof files === 'object' && files !== null && typeof at === 'number'
}

/** From the kept ConfigMap's data: the source as it was, and the profiles removed from it before. */
export function splitKept(data: SourceData = {}): { readonly source: SourceData, readonly removed: RemovedProfiles } {
  const { [KEY]: text = '{}', ...source } = data
  try {
    const entries = Object.entries(JSON.parse(text) as Record<string, unknown>)
    return { source, removed: new Map(entries.filter((entry): entry is [string, RemovedProfile] => isRemovedProfile(entry[1]))) }
  } catch {
    return { source, removed: new Map() }
  }
}

/** The kept ConfigMap's data. The same profiles make the same text. */
export function joinKept(source: SourceData, removed: RemovedProfiles): SourceData {
  const sorted = [...removed].sort(([a], [b]) => a < b ? -1 : 1)
  return removed.size === 0 ? source : { ...source, [KEY]: JSON.stringify(Object.fromEntries(sorted)) }
}

/** What is removed once `after` comes into force. */
export function removedBy(before: Accepted | undefined, after: Accepted, known: RemovedProfiles, now: number): RemovedProfiles {
  const filesFor = (text: string) => Object.fromEntries(filesOf(text).flatMap((name) => before?.files.has(name) ? [[name, before.files.get(name)!]] : []))
  const had = [...before?.profiles ?? []].map(([name, text]) => [name, { text, files: filesFor(text), at: now }] as const)
  return new Map([...known, ...had].filter(([name]) => !after.profiles.has(name)))
}

/** Those that are in use, or may be: a pod that is admitted at the moment of the removal is not in anybody's cache yet. @param used undefined: not known for sure */
export function stillNeeded(removed: RemovedProfiles, used: ReadonlySet<string> | undefined, now: number, keepMs: number): RemovedProfiles {
  return new Map([...removed].filter(([name, { at }]) => !used || used.has(name) || now < at + keepMs))
}
