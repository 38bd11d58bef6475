/**
 * The source of configuration, as the cluster has it now: read, compile, accept or refuse. A refused one changes nothing: the last accepted goes on, after a
 * restart too, because it is kept in a ConfigMap of its own. What happened is said on the source itself: an annotation and an event.
 */
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { ensure, type Kube } from '../kube/client.ts'
import { isRefusedObject } from '../kube/kube-error.ts'
import type { ConfigMap } from '../kube/types.ts'
import type { Events } from './events.ts'
import { MANAGED_BY, MANAGED_BY_LABEL } from './names.ts'
import { hasOwner, ownedBy, type Owner } from './owners.ts'
import { joinKept, removedBy, splitKept, stillNeeded, type RemovedProfiles } from './removed-profiles.ts'
import { compileSource, sourceHash, type Accepted } from './source-config.ts'

/** On the source ConfigMap: JSON {@link SourceStatus}. */
const STATUS_ANNOTATION = 'sidegate.dev/status'

export interface SourceStatus {
  readonly state: 'accepted' | 'refused'
  /** Of the content judged. */
  readonly hash: string
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
}

export interface Source {
  /** In force; undefined while there never was a usable one. */
  accepted(): Accepted | undefined
  /** Profiles that pods use though the accepted configuration has them no more. */
  removed(): RemovedProfiles
  /** Why the source as it is now is not in force; empty when it is. */
  problems(): readonly string[]
  /** Whether the source has been judged once since the start. */
  readonly judged: boolean
  /** Looks at the source as given and draws the consequences. Rejects when they cannot be written down; call again. */
  settle(current: ConfigMap | undefined): Promise<void>
}

export interface SourceOptions {
  readonly kube: Kube
  readonly namespace: string
  /** Names of the source and of the ConfigMap with the last accepted one. */
  readonly source: string
  readonly acceptedName: string
  /** Of the ConfigMap with the last accepted one. */
  readonly owner: Owner
  /** The profiles that pods use; undefined while it is not known for sure. */
  readonly inUse: () => ReadonlySet<string> | undefined
  /** How long what is unused stays, milliseconds. */
  readonly keepMs: number
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly events: Events
  /** Called when another configuration comes into force. */
  readonly onAccepted: (accepted: Accepted) => void
}

// An annotation has room for 256 KiB together; people read the first few.
const MAX_SAID = 20

export function createSource({ kube, namespace, source, acceptedName, owner, inUse, keepMs, clock, log, metrics, events, onAccepted }: SourceOptions): Source {
  const acceptedRef = { resource: 'configmaps', namespace, name: acceptedName } as const
  let accepted: Accepted | undefined
  /** Accepted before this start; undefined until it was looked for. */
  let kept: { readonly accepted: Accepted | undefined } | undefined
  let removed: RemovedProfiles = new Map()
  let problems: readonly string[] = ['it has not been read yet']
  let judged = false
  let lastHash: string | undefined

  function takeEffect(next: Accepted): void {
    if (accepted?.hash === next.hash) return
    removed = removedBy(accepted ?? kept?.accepted, next, removed, clock.now())
    accepted = next
    log.info('configuration accepted', { hash: next.hash, profiles: [...next.profiles.keys()], warnings: next.warnings })
    onAccepted(next)
  }

  /** Looks for what was accepted before this start, once. */
  async function recall(): Promise<void> {
    if (kept !== undefined) return
    const { source: data, removed: before } = splitKept((await kube.get<ConfigMap>(acceptedRef))?.data)
    removed = new Map([...before, ...removed])
    const compiled = await compileSource(data)
    kept = { accepted: 'profiles' in compiled ? compiled : undefined }
    if (accepted) removed = removedBy(kept.accepted, accepted, removed, clock.now())
  }

  /** After a restart with a broken source. */
  async function recallAccepted(): Promise<void> {
    // It may have come since.
    if (!kept?.accepted) kept = undefined
    await recall()
    if (kept?.accepted) takeEffect(kept.accepted)
  }

  async function remember({ data }: ConfigMap): Promise<void> {
    await owner.refresh()
    const write = (gone: (stored: RemovedProfiles) => RemovedProfiles) => ensure<ConfigMap>(kube, acceptedRef, (current) => {
      removed = gone(splitKept(current?.data).removed)
      const wanted = joinKept(data!, removed)
      if (current && sourceHash(current.data ?? {}) === sourceHash(wanted) && hasOwner(current, owner.current())) return undefined
      return { ...current, data: wanted, metadata: { ...current?.metadata, name: acceptedName, namespace, labels: { [MANAGED_BY_LABEL]: MANAGED_BY }, ...ownedBy(owner.current()) } }
    })
    try {
      // What another replica has written first stays: two must not write in turns.
      await write((stored) => stillNeeded(removedBy(undefined, accepted!, new Map([...removed, ...stored]), 0), inUse(), clock.now(), keepMs))
    } catch (error) {
      if (!isRefusedObject(error) || removed.size === 0) throw error
      log.warn('the profiles that were removed while pods use them do not fit beside the configuration', { configMap: acceptedName, profiles: [...removed.keys()] })
      const known = removed
      await write(() => new Map())
      removed = known
    }
  }

  async function sayStatus(current: ConfigMap, status: SourceStatus): Promise<void> {
    const text = JSON.stringify(status)
    if (current.metadata.annotations?.[STATUS_ANNOTATION] === text) return
    await kube.patch({ resource: 'configmaps', namespace, name: source }, 'merge', { metadata: { annotations: { [STATUS_ANNOTATION]: text } } })
  }

  function sayRefused(current: ConfigMap, hash: string): void {
    if (hash === lastHash) return
    log.error('configuration refused, the last accepted one stays in force', { hash, problems, inForce: accepted?.hash ?? 'none' })
    const rest = problems.length > 3 ? ` (and ${problems.length - 3} more: see annotation ${STATUS_ANNOTATION})` : ''
    const about = { apiVersion: 'v1', kind: 'ConfigMap', name: source, namespace, ...current.metadata.uid !== undefined && { uid: current.metadata.uid } }
    events.say('Warning', 'ConfigurationRefused', about, `Refused; ${accepted ? 'the last accepted one stays in force' : 'there is none in force'}. ${problems.slice(0, 3).join(' ')}${rest}`)
  }

  function count(): void {
    metrics.series('sidegate_source_accepted').value = problems.length === 0 ? 1 : 0
    metrics.series('sidegate_source_problems').value = problems.length
  }

  async function settleMissing(): Promise<void> {
    problems = [`ConfigMap ${namespace}/${source} does not exist; install the chart, or create it with the keys issuers and profiles`]
    if (lastHash !== 'missing') log.error('the source of configuration is missing', { configMap: source })
    lastHash = 'missing'
    if (!accepted) await recallAccepted()
  }

  async function judge(current: ConfigMap): Promise<void> {
    const hash = sourceHash(current.data ?? {})
    const compiled = await compileSource(current.data)
    if ('profiles' in compiled) {
      problems = []
      // Without it the configuration comes into force all the same; it is looked for again.
      await recall().catch((error: Error) => { log.warn('what was accepted before cannot be read', { configMap: acceptedName, error: error.message }) })
      takeEffect(compiled)
      await remember(current)
    } else {
      problems = compiled.problems
      if (!accepted) await recallAccepted()
      sayRefused(current, hash)
    }
    const warnings = 'profiles' in compiled ? compiled.warnings.slice(0, MAX_SAID) : []
    await sayStatus(current, { state: problems.length === 0 ? 'accepted' : 'refused', hash, problems: problems.slice(0, MAX_SAID), warnings })
    lastHash = hash
  }

  return {
    accepted: () => accepted,
    removed: () => removed,
    problems: () => problems,
    get judged() { return judged },
    async settle(current) {
      try {
        await (current ? judge(current) : settleMissing())
      } finally {
        judged = true
        count()
      }
    },
  }
}
