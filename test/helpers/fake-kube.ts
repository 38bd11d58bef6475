/** An API server in memory, as far as optimistic concurrency goes: versions, conflicts, preconditions, JSON Patch with tests. Not for what only a real one knows. */
import { randomUUID } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { applyPatch, type Operation } from 'rfc6902'
import type { Kube } from '../../src/kube/client.ts'
import { KubeError } from '../../src/kube/kube-error.ts'
import type { Ref, Resource } from '../../src/kube/resource.ts'
import type { KubeObject } from '../../src/kube/types.ts'

export interface FakeKube extends Kube {
  /** Objects by resource, namespace and name. */
  readonly objects: Map<string, KubeObject>
  /** Writes that reached it, refused ones included. */
  readonly writes: readonly string[]
  /** Called before each call; throw to fail it. */
  trouble: (method: string, ref: Ref) => void
}

const keyOf = ({ resource, namespace, name }: Ref): string => `${resource}/${namespace ?? ''}/${name}`
const conflict = (message: string) => new KubeError(409, 'Conflict', message)

export function createFakeKube(): FakeKube {
  const objects = new Map<string, KubeObject>()
  const writes: string[] = []
  let version = 0

  const refOf = (resource: Resource, { metadata: { name, namespace } }: KubeObject): Ref => ({ resource, name, namespace })
  const copy = <T>(value: T): T => structuredClone(value)

  /** Other callers run while a call is on its way. */
  async function travel(method: string, ref: Ref): Promise<void> {
    await turn()
    if (method !== 'get') writes.push(`${method} ${keyOf(ref)}`)
    fake.trouble(method, ref)
  }

  function store(ref: Ref, object: KubeObject, uid: string): KubeObject {
    const kept = copy({ ...object, metadata: { ...object.metadata, uid, resourceVersion: String(++version) } })
    objects.set(keyOf(ref), kept)
    return copy(kept)
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
    async patch<T extends KubeObject>(ref: Ref, _kind: string, body: unknown) {
      await travel('patch', ref)
      const object = copy(existing(ref))
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
    },
    list: () => Promise.reject(new Error('not in this fake')),
    watch: () => Promise.reject(new Error('not in this fake')),
    raw: () => Promise.reject(new Error('not in this fake')),
    close: () => Promise.resolve(),
  }
  return fake
}
