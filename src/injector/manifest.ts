/** Injection of whole files: YAML with any number of documents and comments, or JSON. */
import { inject, type InjectOptions } from './inject.ts'
import type { InjectorSettings } from './settings.ts'
import { uninject } from './uninject.ts'
import { findPods, type Path, type Place } from './workload.ts'
import { editDocument, parseKubernetesYaml } from './yaml-edit.ts'

/** What became of one pod or pod template. */
export interface PodResult {
  /** Such as `Deployment shop/web`. */
  readonly object: string
  readonly did: 'injected' | 'uninjected' | 'unchanged' | 'refused'
  /** The refusal, or why nothing was to do. */
  readonly sentence?: string
  readonly warnings: readonly string[]
}

export interface ManifestResult {
  /** The file with its pods changed; documents without any change are byte for byte as they were. */
  readonly text: string
  readonly results: readonly PodResult[]
}

type Change = (place: Place) => { readonly pod?: unknown; readonly result: PodResult }

/**
 * Adds the sidecar to every pod and pod template of a file that asks for it.
 * @throws an Error naming the document that is neither YAML nor JSON
 */
export function injectManifest(text: string, settings: InjectorSettings, options: InjectOptions = {}): ManifestResult {
  return changeManifest(text, ({ pod, object, warnings }) => {
    const outcome = inject(pod, settings, options)
    if ('refused' in outcome) return { result: { object, did: 'refused', sentence: outcome.refused, warnings } }
    if ('unchanged' in outcome) return { result: { object, did: 'unchanged', sentence: outcome.unchanged, warnings } }
    return { pod: outcome.pod, result: { object, did: 'injected', warnings: [...warnings, ...outcome.warnings.map((warning) => `${object}: ${warning}`)] } }
  })
}

/**
 * Removes the sidecar from every pod and pod template of a file.
 * @throws an Error naming the document that is neither YAML nor JSON
 */
export function uninjectManifest(text: string): ManifestResult {
  return changeManifest(text, ({ pod, object }) => {
    const outcome = uninject(pod)
    if ('refused' in outcome) return { result: { object, did: 'refused', sentence: outcome.refused, warnings: [] } }
    if ('unchanged' in outcome) return { result: { object, did: 'unchanged', sentence: outcome.unchanged, warnings: [] } }
    return { pod: outcome.pod, result: { object, did: 'uninjected', warnings: [] } }
  })
}

function changeManifest(text: string, change: Change): ManifestResult {
  const json = asJson(text)
  if (json) {
    const { value, changed, results } = changeObject(json.value, change)
    return { text: changed ? `${JSON.stringify(value, null, /\n( +|\t)/.exec(text)?.[1])}\n` : text, results }
  }
  let line = 0
  const parts = splitDocuments(text).map((part, index) => {
    const changed = changeDocument(part, { index, line }, change)
    line += part.split('\n').length - 1
    return changed
  })
  return { text: parts.map((part) => part.text).join(''), results: parts.flatMap((part) => part.results) }
}

function asJson(text: string): { value: unknown } | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

/** At each line that begins with `---`: inside a document YAML allows none there, block scalars included. */
function splitDocuments(text: string): readonly string[] {
  return text.split(/^(?=---(?:\s|$))/m)
}

/** @param at the document's place in the file: how many documents and lines are before it */
function changeDocument(text: string, at: { readonly index: number; readonly line: number }, change: Change): ManifestResult {
  try {
    const document = parseKubernetesYaml(text)
    const before: unknown = document.toJS()
    const { value, changed, results } = changeObject(before, change)
    if (!changed) return { text, results }
    return { text: editDocument(document, text, before, value), results }
  } catch (error) {
    const message = (error as Error).message.replace(/at line (\d+)/, (_, number) => `at line ${Number(number) + at.line}`)
    throw new Error(`document ${at.index + 1} is not valid YAML: ${message}`, { cause: error })
  }
}

function changeObject(document: unknown, change: Change): { value: unknown; changed: boolean; results: readonly PodResult[] } {
  let value = document
  const results = findPods(document).map((place) => {
    const { pod, result } = change(place)
    if (pod !== undefined) value = setPath(value, place.path, pod)
    return result
  })
  return { value, changed: value !== document, results }
}

/** A copy with one value replaced; everything else is shared. */
function setPath(target: unknown, [key, ...rest]: Path, value: unknown): unknown {
  if (key === undefined) return value
  if (Array.isArray(target)) return target.map((item: unknown, index) => (index === key ? setPath(item, rest, value) : item))
  const record = target as Record<string, unknown>
  return { ...record, [key]: setPath(record[key], rest, value) }
}
