/** A local, eventually true copy of a collection: list once, then watch; on any trouble back off and go on from where it was. */
import { createBackoff } from '../lib/backoff.ts'
import { systemClock, type Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import type { Kube, Selection, WatchEvent } from './client.ts'
import { isGone, KubeError } from './kube-error.ts'
import type { Resource } from './resource.ts'
import type { KubeObject } from './types.ts'

export interface Informer<T extends KubeObject> {
  get(name: string, namespace?: string): T | undefined
  /** All objects, or those of one namespace. */
  list(namespace?: string): readonly T[]
  /** Whether the copy may be believed: listed once, watched now, and heard from the server within the last two minutes (bookmarks come every minute). */
  fresh(): boolean
  /** Resolves after the first list. */
  readonly synced: Promise<void>
  stop(): void
}

export interface InformerOptions<T> {
  /** Called after the copy has changed: the object as it is, or as it was last when it is gone. */
  readonly onChange?: (object: T, gone: boolean) => void
  readonly log?: Log
  readonly clock?: Clock
}

const STALE_MS = 120_000
const SHORTEST_WATCH_MS = 1_000

const keyOf = (namespace: string | undefined, name: string): string => `${namespace ?? ''}/${name}`

/**
 * Starts an informer.
 * @returns at once; see `synced`
 */
export function startInformer<T extends KubeObject>(
  kube: Kube, resource: Resource, selection: Selection = {}, { onChange = () => {}, log, clock = systemClock }: InformerOptions<T> = {},
): Informer<T> {
  const spaces = new Map<string, Map<string, T>>()
  const aborter = new AbortController()
  const backoff = createBackoff(500, 30_000)
  const { promise: synced, resolve: markSynced } = Promise.withResolvers<void>()
  let version: string | undefined
  /** A watch is open. */
  let connected = false
  /** The last watch ended with 410. */
  let gone = false
  let heard = -Infinity

  function set(object: T): void {
    const space = object.metadata.namespace ?? ''
    const objects = spaces.get(space) ?? new Map<string, T>()
    spaces.set(space, objects)
    const old = objects.get(object.metadata.name)
    objects.set(object.metadata.name, object)
    if (old?.metadata.resourceVersion !== object.metadata.resourceVersion) onChange(object, false)
  }

  function drop(object: T): void {
    const space = object.metadata.namespace ?? ''
    const objects = spaces.get(space)
    objects?.delete(object.metadata.name)
    if (objects?.size === 0) spaces.delete(space)
    onChange(object, true)
  }

  async function relist(): Promise<void> {
    const { metadata, items } = await kube.list<T>(resource, selection, { signal: aborter.signal })
    const listed = new Set(items.map((item) => keyOf(item.metadata.namespace, item.metadata.name)))
    for (const objects of spaces.values()) {
      for (const object of objects.values()) if (!listed.has(keyOf(object.metadata.namespace, object.metadata.name))) drop(object)
    }
    for (const item of items) set(item)
    version = metadata.resourceVersion ?? ''
    heard = clock.monotonic()
    markSynced()
  }

  function onEvent({ type, object }: WatchEvent): void {
    if (type === 'ERROR') throw new KubeError(object.code ?? 500, object.reason ?? '', object.message ?? 'watch error')
    heard = clock.monotonic()
    version = object.metadata.resourceVersion ?? version
    if (type === 'BOOKMARK') return
    if (type === 'DELETED') drop(object as unknown as T)
    else set(object as unknown as T)
  }

  async function turn(): Promise<void> {
    if (version === undefined) await relist()
    const started = clock.monotonic()
    const lasted = () => clock.monotonic() - started >= SHORTEST_WATCH_MS
    try {
      await kube.watch(resource, selection, version!, { opened: () => { connected = true }, event: onEvent }, aborter.signal)
      // The server ends watches after minutes. One that ends at once, again and again, must not become a busy loop.
      if (!lasted()) throw new Error('the watch ended at once')
    } finally {
      connected = false
      if (lasted()) {
        backoff.reset()
        gone = false
      }
    }
  }

  async function run(): Promise<void> {
    while (!aborter.signal.aborted) {
      try {
        await turn()
      } catch (error) {
        if (aborter.signal.aborted) return
        const again = gone
        gone = isGone(error)
        if (gone) version = undefined
        // To list again is what mends a 410. Where it does not, the server is not to be asked for everything without a pause.
        if (!gone || again) await troubled(error as Error)
      }
    }
  }

  async function troubled(error: Error): Promise<void> {
    // Anything else that the server says about this version: list again, to be sure.
    if (error instanceof KubeError) version = undefined
    log?.warn('watch interrupted', { resource, error: error.message })
    await new Promise<void>((resolve) => { clock.after(backoff.next(), resolve) })
  }

  void run()
  return {
    get: (name, namespace) => spaces.get(namespace ?? '')?.get(name),
    list: (namespace) => namespace === undefined ? [...spaces.values()].flatMap((objects) => [...objects.values()]) : [...spaces.get(namespace)?.values() ?? []],
    fresh: () => connected && clock.monotonic() - heard < STALE_MS,
    synced,
    stop: () => { aborter.abort() },
  }
}
