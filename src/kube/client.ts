/**
 * A thin client of the API server: JSON in, the same JSON out. Nothing is dropped that this code does not know, so that writing back
 * what was read cannot lose a field of a newer Kubernetes.
 */
import { request } from 'undici'
import type { Connection } from './connection.ts'
import { isConflict, isNotFound, KubeError } from './kube-error.ts'
import { collectionPath, describeRef, objectPath, RESOURCES, type Ref, type Resource } from './resource.ts'
import type { KubeObject, List } from './types.ts'

export interface Selection {
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** Ask for metadata only: smaller, and specs stay where they are. */
  readonly metadataOnly?: boolean | undefined
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: KubeObject & { readonly code?: number, readonly reason?: string, readonly message?: string }
}

/** Whom a watch tells. */
export interface Watcher {
  /** The server has taken the request: what changes from its version on will be told. */
  opened(): void
  event(event: WatchEvent): void
}

export type PatchKind = 'json' | 'merge'

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

/** Every method throws {@link KubeError} for an answer that is not success, and a plain Error when there was no answer. */
export interface Kube {
  readonly server: string
  readonly namespace: string
  /** @returns the object, or undefined when there is none */
  get<T extends KubeObject>(ref: Ref, options?: CallOptions): Promise<T | undefined>
  /** All of them, page by page. */
  list<T extends KubeObject>(resource: Resource, selection?: Selection, options?: CallOptions): Promise<List<T>>
  create<T extends KubeObject>(resource: Resource, object: T, options?: CallOptions & { readonly dryRun?: boolean }): Promise<T>
  /** Writes the whole object; with a resourceVersion in it only if it has not changed since. */
  replace<T extends KubeObject>(resource: Resource, object: T, options?: CallOptions): Promise<T>
  patch<T extends KubeObject>(ref: Ref, kind: PatchKind, body: unknown, options?: CallOptions): Promise<T>
  /** Deletes, if it is still the one that was seen. One that is gone already is no error. */
  remove(ref: Ref, seen?: { readonly uid?: string | undefined, readonly resourceVersion?: string | undefined }, options?: CallOptions): Promise<void>
  /** Streams changes until the server or the signal ends it. */
  watch(resource: Resource, selection: Selection, resourceVersion: string, watcher: Watcher, signal: AbortSignal): Promise<void>
  /** An unstructured GET, such as `/version`. */
  raw(path: string, options?: CallOptions): Promise<unknown>
  close(): Promise<void>
}

interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly body?: unknown
  readonly contentType?: string
  readonly accept?: string
  readonly signal?: AbortSignal | undefined
}

const METADATA_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1'
const METADATA_ONE = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'
const PATCH_TYPES: Record<PatchKind, string> = { json: 'application/json-patch+json', merge: 'application/merge-patch+json' }
const PAGE = '500'
/** For one call that is not a watch. */
const TIMEOUT_MS = 15_000

async function failure(status: number, text: string): Promise<KubeError> {
  try {
    const body = JSON.parse(text) as { reason?: string, message?: string }
    return new KubeError(status, body.reason ?? '', body.message ?? `status ${status}`)
  } catch {
    return new KubeError(status, '', `status ${status}: ${text.slice(0, 200)}`)
  }
}

/**
 * Makes a client.
 * @param connection where and as whom
 */
export function createKube(connection: Connection): Kube {
  async function open({ method, path, query = {}, body, contentType = 'application/json', accept = 'application/json', signal }: Call) {
    const { dispatcher, headers } = await connection.credentials()
    const url = new URL(connection.server + path)
    for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(key, value)
    const response = await request(url, {
      method,
      dispatcher,
      headers: { 'user-agent': 'sidegate', accept, ...headers, ...body === undefined ? {} : { 'content-type': contentType } },
      body: body === undefined ? null : JSON.stringify(body),
      ...signal && { signal },
    })
    if (response.statusCode >= 400) throw await failure(response.statusCode, await response.body.text())
    return response.body
  }

  async function call(options: Call): Promise<unknown> {
    const deadline = AbortSignal.timeout(TIMEOUT_MS)
    const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline
    return (await open({ ...options, signal })).json()
  }

  async function list<T extends KubeObject>(resource: Resource, selection: Selection = {}, options: CallOptions = {}): Promise<List<T>> {
    const items: T[] = []
    let at: string | undefined
    for (;;) {
      const page = await call({
        method: 'GET',
        path: collectionPath(resource, selection.namespace),
        query: { labelSelector: selection.labelSelector, fieldSelector: selection.fieldSelector, limit: PAGE, continue: at },
        ...selection.metadataOnly && { accept: METADATA_LIST },
        signal: options.signal,
      }) as List<T>
      // Go writes an empty list of metadata as null.
      items.push(...(page as { items: readonly T[] | null }).items ?? [])
      at = page.metadata.continue
      if (at === undefined || at === '') return { metadata: page.metadata, items }
    }
  }

  async function watch(resource: Resource, selection: Selection, resourceVersion: string, watcher: Watcher, signal: AbortSignal) {
    const body = await open({
      method: 'GET',
      path: collectionPath(resource, selection.namespace),
      query: {
        watch: 'true', allowWatchBookmarks: 'true', resourceVersion, timeoutSeconds: '300',
        labelSelector: selection.labelSelector, fieldSelector: selection.fieldSelector,
      },
      ...selection.metadataOnly && { accept: METADATA_ONE },
      signal,
    })
    watcher.opened()
    let rest = ''
    const decoder = new TextDecoder()
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = lines.pop()!
      for (const line of lines) if (line !== '') watcher.event(JSON.parse(line) as WatchEvent)
    }
  }

  const identity = (resource: Resource, object: KubeObject): Ref => ({ resource, name: object.metadata.name, namespace: object.metadata.namespace })
  const typed = (resource: Resource, object: KubeObject) => ({ apiVersion: RESOURCES[resource].apiVersion, kind: RESOURCES[resource].kind, ...object })

  return {
    server: connection.server,
    namespace: connection.namespace,
    async get<T extends KubeObject>(ref: Ref, options: CallOptions = {}) {
      try {
        return await call({ method: 'GET', path: objectPath(ref), signal: options.signal }) as T
      } catch (error) {
        if (isNotFound(error)) return undefined
        throw error
      }
    },
    list,
    create: async <T extends KubeObject>(resource: Resource, object: T, { signal, dryRun }: CallOptions & { readonly dryRun?: boolean } = {}) =>
      await call({
        method: 'POST', path: collectionPath(resource, object.metadata.namespace), query: { dryRun: dryRun ? 'All' : undefined }, body: typed(resource, object), signal,
      }) as T,
    replace: async <T extends KubeObject>(resource: Resource, object: T, options: CallOptions = {}) =>
      await call({ method: 'PUT', path: objectPath(identity(resource, object)), body: typed(resource, object), signal: options.signal }) as T,
    patch: async <T extends KubeObject>(ref: Ref, kind: PatchKind, body: unknown, options: CallOptions = {}) =>
      await call({ method: 'PATCH', path: objectPath(ref), body, contentType: PATCH_TYPES[kind], signal: options.signal }) as T,
    async remove(ref, seen = {}, options = {}) {
      const preconditions = { uid: seen.uid, resourceVersion: seen.resourceVersion }
      try {
        await call({ method: 'DELETE', path: objectPath(ref), body: { apiVersion: 'v1', kind: 'DeleteOptions', preconditions }, signal: options.signal })
      } catch (error) {
        if (!isNotFound(error)) throw error
      }
    },
    watch,
    raw: (path, options = {}) => call({ method: 'GET', path, signal: options.signal }),
    close: () => connection.close(),
  }
}

const ATTEMPTS = 6

/**
 * Brings one object to the wanted state by optimistic concurrency: read, compare, write only what differs; somebody else's faster write
 * means reading again.
 * @param known the object as a fresh cache has it (saves the first read), or undefined to read it
 * @param want from the object as it is (undefined: not there) to what should be written, or undefined when it is right already
 * @returns the object as it is now
 * @throws KubeError when the server refuses, or after several lost races in a row
 */
export async function ensure<T extends KubeObject>(
  kube: Kube, ref: Ref, want: (current: T | undefined) => T | undefined | Promise<T | undefined>, options: CallOptions & { readonly known?: T | undefined } = {},
): Promise<T | undefined> {
  let current = options.known
  for (let attempt = 1; ; attempt++) {
    if (current === undefined || attempt > 1) current = await kube.get<T>(ref, options)
    const wanted = await want(current)
    if (wanted === undefined) return current
    try {
      return current === undefined
        ? await kube.create(ref.resource, wanted, options)
        : await kube.replace(ref.resource, { ...wanted, metadata: { ...wanted.metadata, resourceVersion: current.metadata.resourceVersion! } }, options)
    } catch (error) {
      const lost = isConflict(error) || (isNotFound(error) && current !== undefined)
      if (!lost) throw error
      if (attempt === ATTEMPTS) throw new Error(`lost ${ATTEMPTS} races in a row for ${describeRef(ref)}`, { cause: error })
    }
  }
}
