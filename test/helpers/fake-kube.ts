/**
 * An API server in memory, as far as optimistic concurrency and watches go: versions, conflicts, preconditions, JSON Patch with tests. It knows
 * no patch but JSON's and merge's, no label selector but `name=value`. Not for what only a real one knows.
 */
import { randomUUID } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { applyPatch, type Operation } from 'rfc6902'
import type { Kube, PatchKind, Selection, WatchEvent } from '../../src/kube/client.ts'
import { KubeError } from '../../src/kube/kube-error.ts'
import type { Ref, Resource } from '../../src/kube/resource.ts'
import type { KubeObject } from '../../src/kube/types.ts'

export interface FakeKube extends Kube {
  /** Objects by resource, namespace and name. */
  readonly objects: Map<string, KubeObject>
  /** Writes that reached it, refused ones included. */
  readonly writes: readonly string[]
  /** Called before each call; throw to fail it, or make it wait. */
  trouble: (method: string, ref: Ref) => void | Promise<void>
}

const keyOf = ({ resource, namespace, name }: Ref): string => `${resource}/${namespace ?? ''}/${name}`
const conflict = (message: string) => new KubeError(409, 'Conflict', message)

export function createFakeKube(): FakeKube {
  const objects = new Map<string, KubeObject>()
  const writes: string[] = []
  const watchers = new Set<(resource: Resource, event: WatchEvent) => void>()
  let version = 0

  const refOf = (resource: Resource, { metadata: { name, namespace } }: KubeObject): Ref => ({ resource, name, namespace })
  const copy = <T>(value: T): T => structuredClone(value)

  /** Other callers run while a call is on its way. */
  async function travel(method: string, ref: Ref): Promise<void> {
    await turn()
    if (method !== 'get') writes.push(`${method} ${keyOf(ref)}`)
    await fake.trouble(method, ref)
  }

  function store(ref: Ref, object: KubeObject, uid: string): KubeObject {
    const kept = copy({ ...object, metadata: { ...object.metadata, uid, resourceVersion: String(++version) } })
    tell(objects.has(keyOf(ref)) ? 'MODIFIED' : 'ADDED', ref, kept)
    objects.set(keyOf(ref), kept)
    return copy(kept)
  }

  function tell(type: WatchEvent['type'], { resource }: Ref, object: KubeObject): void {
    for (const watcher of watchers) watcher(resource, { type, object: copy(object) })
  }

  function selected({ metadata: { namespace, name, labels = {} } }: KubeObject, selection: Selection): boolean {
    const [label, value] = selection.labelSelector?.split('=') ?? []
    return (selection.namespace === undefined || selection.namespace === namespace)
      && (selection.fieldSelector === undefined || selection.fieldSelector === `metadata.name=${name}`)
      && (label === undefined || labels[label] === value)
  }

  function existing(ref: Ref): KubeObject {
    const object = objects.get(keyOf(ref))
    if (!object) throw new KubeError(404, 'NotFound', `${keyOf(ref)} not found`)
    return object
  }

  const fake: FakeKube = {
    objects, writes, trouble: () => {}, server: 'fake', namespace: 'default',
    async get<T extends KubeObject>(ref: Ref) {
      await travel('get', ref)
      return copy(objects.get(keyOf(ref))) as T | undefined
    },
    async create<T extends KubeObject>(resource: Resource, object: T) {
      const ref = refOf(resource, object)
      await travel('create', ref)
      if (objects.has(keyOf(ref))) throw new KubeError(409, 'AlreadyExists', `${keyOf(ref)} already exists`)
      return store(ref, object, randomUUID()) as T
    },
    async replace<T extends KubeObject>(resource: Resource, object: T) {
      const ref = refOf(resource, object)
      await travel('replace', ref)
      const { metadata } = existing(ref)
      if (object.metadata.resourceVersion !== undefined && object.metadata.resourceVersion !== metadata.resourceVersion) throw conflict('the object has been modified')
      return store(ref, object, metadata.uid!) as T
    },
    async patch<T extends KubeObject>(ref: Ref, kind: PatchKind, body: unknown) {
      await travel('patch', ref)
      const object = copy(existing(ref))
      if (kind === 'merge') return store(ref, merge(object, body as Partial<KubeObject>), object.metadata.uid!) as T
      const failed = applyPatch(object, body as Operation[]).find((error) => error !== null)
      if (failed) throw new KubeError(422, 'Invalid', failed.message)
      return store(ref, object, object.metadata.uid!) as T
    },
    async remove(ref, seen = {}) {
      await travel('remove', ref)
      const object = objects.get(keyOf(ref))
      if (!object) return
      if (seen.resourceVersion !== undefined && seen.resourceVersion !== object.metadata.resourceVersion) throw conflict('the precondition failed')
      objects.delete(keyOf(ref))
      tell('DELETED', ref, object)
    },
    async list<T extends KubeObject>(resource: Resource, selection: Selection = {}) {
      await turn()
      const items = [...objects].filter(([key, object]) => key.startsWith(`${resource}/`) && selected(object, selection)).map(([, object]) => copy(object) as T)
      return { metadata: { resourceVersion: String(version) }, items }
    },
    watch: (resource, selection, _version, listener, signal) => new Promise((_resolve, reject) => {
      const watcher = (changed: Resource, event: WatchEvent): void => {
        if (changed === resource && selected(event.object, selection)) setImmediate(() => { if (!signal.aborted) listener.event(event) })
      }
      watchers.add(watcher)
      setImmediate(() => { listener.opened() })
      signal.addEventListener('abort', () => {
        watchers.delete(watcher)
        reject(signal.reason as Error)
      }, { once: true })
    }),
    raw: (path) => path === '/version' ? Promise.resolve({ major: '1', minor: '34' }) : Promise.reject(new Error(`${path} is not in this fake`)),
    close: () => Promise.resolve(),
  }
  return fake
}

/** RFC 7396, for objects. */
function merge<T extends object>(into: T, patch: object): T {
  const merged: Record<string, unknown> = Object.fromEntries(Object.entries(into))
  for (const [name, value] of Object.entries(patch) as [string, unknown][]) {
    const old = merged[name]
    if (value === null) delete merged[name]
    else merged[name] = typeof value === 'object' && !Array.isArray(value) ? merge(typeof old === 'object' && old !== null ? old : {}, value) : value
  }
  return merged as T
}
