/** Where the pods are in what people write: every built-in workload kind, and lists of them. */
import { PREFIX } from './names.ts'

export type Path = readonly (string | number)[]

/** A pod or pod template inside an object. */
export interface Place {
  /** From the document's root. */
  readonly path: Path
  readonly pod: unknown
  /** Such as `Deployment shop/web`. */
  readonly object: string
  /** Sentences about the object around it. */
  readonly warnings: readonly string[]
}

const TEMPLATES: Readonly<Record<string, Path>> = {
  Pod: [],
  PodTemplate: ['template'],
  Deployment: ['spec', 'template'],
  StatefulSet: ['spec', 'template'],
  DaemonSet: ['spec', 'template'],
  ReplicaSet: ['spec', 'template'],
  ReplicationController: ['spec', 'template'],
  Job: ['spec', 'template'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template'],
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isBuiltIn = (apiVersion: unknown) => apiVersion === undefined || (typeof apiVersion === 'string' && /^(v1$|apps\/|batch\/|extensions\/)/.test(apiVersion))

/**
 * Finds every pod and pod template in a parsed document; none in kinds that are not workloads.
 * @param path where the document itself is, for lists
 */
export function findPods(document: unknown, path: Path = [], listKind?: string): readonly Place[] {
  if (!isObject(document)) return []
  // Items of a PodList need not say their kind.
  const kind = document['kind'] ?? listKind
  const { items } = document
  if (typeof kind !== 'string') return []
  if (kind.endsWith('List') && Array.isArray(items)) return items.flatMap((item, index) => findPods(item, [...path, 'items', index], kind.slice(0, -4)))
  const template = Object.hasOwn(TEMPLATES, kind) && isBuiltIn(document['apiVersion']) ? TEMPLATES[kind] : undefined
  const pod = template?.reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), document)
  if (!template || pod === undefined) return []
  const object = objectName(document, kind)
  return [{ path: [...path, ...template], pod, object, warnings: template.length > 0 ? misplaced(document, object) : [] }]
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined)

/** Such as `Deployment shop/web`. */
function objectName(object: Record<string, unknown>, kind = textOf(object['kind']) ?? 'Pod'): string {
  const metadata = isObject(object['metadata']) ? object['metadata'] : {}
  const namespace = textOf(metadata['namespace'])
  return `${kind} ${namespace ? `${namespace}/` : ''}${textOf(metadata['name']) ?? textOf(metadata['generateName']) ?? '(unnamed)'}`
}

function misplaced(document: Record<string, unknown>, object: string): readonly string[] {
  const { annotations } = isObject(document['metadata']) ? document['metadata'] : {}
  const keys = isObject(annotations) ? Object.keys(annotations).filter((key) => key.startsWith(PREFIX)) : []
  return keys.map((key) => `${object}: annotation ${key} is on the workload itself, where it does nothing. Move it to the pod template's metadata.`)
}
