/** What a pod asks for, read from its annotations. A bad value or unknown key is refused with the fix, never ignored. */
import {
  DEFAULT_PROFILE, INJECT_ANNOTATION, INTERCEPTION_ANNOTATION, MAX_PROTECTED_PORTS, MODE_ANNOTATION, ORIGINAL_ANNOTATION, PORTS_ANNOTATION, PREFIX, PROFILE_ANNOTATION,
} from './names.ts'
import { isRefusal, refuse, type Pod, type Refusal } from './pod.ts'
import { parseQuantity } from './quantity.ts'
import { INTERCEPTIONS, overLimit, type InjectorSettings, type Interception } from './settings.ts'

/** A pod's choices, defaults filled in. */
export interface Choices {
  readonly profile: string
  readonly interception: Interception
  /** Undefined: the profile's. */
  readonly mode?: 'enforce' | 'audit'
  /** Port names and numbers to protect. Undefined: every declared TCP port. */
  readonly ports?: readonly (string | number)[]
  readonly resources: InjectorSettings['resources']
}

const RESOURCE_ANNOTATIONS = {
  'sidegate.dev/cpu-request': ['requests', 'cpu'],
  'sidegate.dev/cpu-limit': ['limits', 'cpu'],
  'sidegate.dev/memory-request': ['requests', 'memory'],
  'sidegate.dev/memory-limit': ['limits', 'memory'],
} as const

/** Every annotation that a user may set on a pod. */
export const POD_ANNOTATIONS: readonly string[] = [
  INJECT_ANNOTATION, PROFILE_ANNOTATION, PORTS_ANNOTATION, INTERCEPTION_ANNOTATION, MODE_ANNOTATION, ...Object.keys(RESOURCE_ANNOTATIONS),
]

const quote = (text: string) => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text)
const oneOf = (words: readonly string[]) => words.map((word) => `"${word}"`).join(' or ')

/**
 * Whether the pod wants the sidecar.
 * @param optIn whether its namespace is labelled `sidegate.dev/inject: enabled`
 */
export function asksForSidecar(pod: Pod, optIn: boolean): boolean | Refusal {
  const value = pod.metadata?.annotations?.[INJECT_ANNOTATION]
  if (value === undefined) return optIn
  if (value === 'true' || value === 'false') return value === 'true'
  return refuse(`Annotation ${INJECT_ANNOTATION} is ${quote(value)}; it must be "true" or "false" (quoted in YAML).`)
}

/**
 * Reads the pod's choices.
 * @param pod without anything of the injector's own
 * @returns them, or the first thing wrong as a refusal
 */
export function readChoices(pod: Pod, settings: InjectorSettings): Choices | Refusal {
  const annotations = pod.metadata?.annotations ?? {}
  const unknown = Object.keys(annotations).find((key) => key.startsWith(PREFIX) && key !== ORIGINAL_ANNOTATION && !POD_ANNOTATIONS.includes(key))
  if (unknown !== undefined) return unknownAnnotation(unknown)
  const label = Object.keys(pod.metadata?.labels ?? {}).find((key) => key.startsWith(PREFIX))
  if (label !== undefined) return unknownLabel(label)
  const profile = readProfile(annotations[PROFILE_ANNOTATION] ?? DEFAULT_PROFILE, settings)
  if (isRefusal(profile)) return profile
  const interception = pick(INTERCEPTION_ANNOTATION, annotations[INTERCEPTION_ANNOTATION] ?? settings.interception, INTERCEPTIONS)
  if (isRefusal(interception)) return interception
  const mode = annotations[MODE_ANNOTATION] === undefined ? undefined : pick(MODE_ANNOTATION, annotations[MODE_ANNOTATION], ['enforce', 'audit'] as const)
  if (isRefusal(mode)) return mode
  const ports = annotations[PORTS_ANNOTATION] === undefined ? undefined : readPorts(annotations[PORTS_ANNOTATION])
  if (isRefusal(ports)) return ports
  const resources = readResources(annotations, settings)
  if (isRefusal(resources)) return resources
  return { profile, interception, resources, ...(mode && { mode }), ...(ports && { ports }) }
}

function unknownAnnotation(key: string): Refusal {
  const near = POD_ANNOTATIONS.find((known) => distance(known, key) <= 2)
  return refuse(`Annotation ${quote(key)} is not one of Sidegate's${near ? `; did you mean ${near}?` : `. Known: ${POD_ANNOTATIONS.join(', ')}.`} Correct or remove it.`)
}

function unknownLabel(key: string): Refusal {
  if (POD_ANNOTATIONS.includes(key)) return refuse(`${key} is a label of the pod; it must be an annotation. Move it from metadata.labels to metadata.annotations.`)
  return refuse(`Label ${quote(key)} is not one of Sidegate's. Remove it; what a pod may say, it says in annotations: ${POD_ANNOTATIONS.join(', ')}.`)
}

function readProfile(profile: string, { profiles }: InjectorSettings): string | Refusal {
  // The profile becomes a key of a ConfigMap and part of a path.
  if (!/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,60}[A-Za-z0-9])?$/.test(profile)) {
    return refuse(`Annotation ${PROFILE_ANNOTATION} is ${quote(profile)}; a profile's name has letters, digits, "-", "_" and "." only.`)
  }
  if (!profiles || profiles.includes(profile)) return profile
  const known = profiles.length > 0 ? `Profiles: ${profiles.slice(0, 20).join(', ')}.` : 'There are none yet.'
  return refuse(`There is no profile ${quote(profile)}. ${known} Correct annotation ${PROFILE_ANNOTATION}, or add the profile to the chart's values.`)
}

function pick<T extends string>(key: string, value: string, words: readonly T[]): T | Refusal {
  return words.find((word) => word === value) ?? refuse(`Annotation ${key} is ${quote(value)}; it must be ${oneOf(words)}.`)
}

function readPorts(value: string): readonly (string | number)[] | Refusal {
  const ports: (string | number)[] = []
  const parts = value.split(',', MAX_PROTECTED_PORTS + 1)
  if (parts.length > MAX_PROTECTED_PORTS) return refuse(`Annotation ${PORTS_ANNOTATION} names more than ${MAX_PROTECTED_PORTS} ports, the most that Sidegate protects. Name fewer.`)
  for (const part of parts) {
    const port = readPort(part.trim())
    if (isRefusal(port)) return port
    if (ports.includes(port)) return refuse(`Annotation ${PORTS_ANNOTATION} names ${port} twice. Name each port once.`)
    ports.push(port)
  }
  return ports
}

function readPort(word: string): string | number | Refusal {
  if (/^\d{1,5}$/.test(word) && Number(word) >= 1 && Number(word) <= 65_535) return Number(word)
  if (/^(?=.*[a-z])[a-z0-9](-?[a-z0-9])*$/.test(word) && word.length <= 15) return word
  return refuse(`Annotation ${PORTS_ANNOTATION} has ${quote(word)}; write port names or numbers (1 to 65535) of this pod, separated by commas, such as "http,8081".`)
}

function readResources(annotations: Readonly<Record<string, string>>, settings: InjectorSettings): Choices['resources'] | Refusal {
  const resources = { requests: { ...settings.resources.requests }, limits: { ...settings.resources.limits } }
  for (const [key, [kind, name]] of Object.entries(RESOURCE_ANNOTATIONS)) {
    const value = annotations[key]
    if (value === undefined) continue
    if (!((parseQuantity(value) ?? 0) > 0)) return refuse(`Annotation ${key} is ${quote(value)}; write a quantity such as ${name === 'cpu' ? '"100m" or "0.5"' : '"64Mi"'}.`)
    resources[kind][name] = value
  }
  const name = overLimit(resources)
  if (name === undefined) return resources
  return refuse(`The sidecar's ${name} request ${resources.requests[name]} is more than its limit ${resources.limits[name]}. Set sidegate.dev/${name}-request and sidegate.dev/${name}-limit together.`)
}

/** Edit distance, for "did you mean"; words longer than any of ours are not looked at. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 3
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]!
}
