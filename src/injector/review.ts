/** AdmissionReview in, AdmissionReview out (admission.k8s.io/v1). No side effects: a dry run is answered like any other. */
import { inject, type InjectOptions } from './inject.ts'
import type { Choices } from './annotations.ts'
import { INJECT_ANNOTATION } from './names.ts'
import { podPatch } from './patch.ts'
import { isRefusal, type Pod, type Refusal } from './pod.ts'
import type { ProtectedPort } from './ports.ts'
import type { InjectorSettings } from './settings.ts'

/** What became of the pod: for the event, the metric and the controller's own work. */
export type Outcome =
  /** `pod` is with the sidecar; `original` as it came, ours to describe the owner. */
  | { readonly kind: 'injected'; readonly pod: Pod; readonly original: Pod; readonly choices: Choices; readonly ports: readonly ProtectedPort[] }
  | { readonly kind: 'unchanged'; readonly original: Pod; readonly choices: Choices; readonly ports: readonly ProtectedPort[] }
  | { readonly kind: 'refused'; readonly original: Pod; readonly sentence: string; readonly code: number }
  /** Not a pod being created, or one that did not ask. */
  | { readonly kind: 'skipped' }

export interface AdmissionResponse {
  readonly apiVersion: 'admission.k8s.io/v1'
  readonly kind: 'AdmissionReview'
  readonly response: {
    readonly uid: string
    readonly allowed: boolean
    readonly patchType?: 'JSONPatch'
    /** Base64 of the JSON Patch. */
    readonly patch?: string
    readonly warnings?: readonly string[]
    readonly status?: { readonly code: number; readonly message: string; readonly reason: string }
  }
}

export interface Reviewed {
  readonly body: AdmissionResponse
  readonly outcome: Outcome
  /** Where the pod is to be; the pod itself may not say (`metadata.namespace` is often empty at admission). */
  readonly namespace: string
  /** Change nothing outside when set. */
  readonly dryRun: boolean
}

interface Request {
  readonly uid: string
  readonly operation?: unknown
  readonly subResource?: unknown
  readonly namespace?: unknown
  readonly dryRun?: unknown
  readonly resource?: { readonly group?: unknown; readonly resource?: unknown }
  readonly object?: unknown
}

/**
 * Answers one review.
 * @param body the request's JSON, parsed
 * @returns the answer and what became of the pod; or `malformed`, a sentence for a 400, when the body is not an AdmissionReview v1
 */
export function review(body: unknown, settings: InjectorSettings, options: InjectOptions = {}): Reviewed | { readonly malformed: string } {
  const request = readRequest(body)
  if (!request) return { malformed: 'The body is not an AdmissionReview request of admission.k8s.io/v1 with a uid.' }
  const facts = { namespace: typeof request.namespace === 'string' ? request.namespace : '', dryRun: request.dryRun === true }
  if (!isPodCreation(request)) return { ...facts, body: allow(request.uid), outcome: { kind: 'skipped' } }
  const result = inject(request.object, settings, options)
  const original = request.object as Pod
  if (isRefusal(result)) {
    return { ...facts, body: denyReview(request.uid, result), outcome: { kind: 'refused', original, sentence: result.refused, code: result.code } }
  }
  if ('unchanged' in result) {
    const outcome: Outcome = result.unchanged === 'not asked' ? { kind: 'skipped' } : { kind: 'unchanged', original, choices: result.choices, ports: result.ports }
    return { ...facts, body: allow(request.uid), outcome }
  }
  const { pod, choices, ports, warnings } = result
  const patch = Buffer.from(JSON.stringify(podPatch(original, pod))).toString('base64')
  return {
    ...facts,
    body: withWarnings({ ...allow(request.uid), response: { uid: request.uid, allowed: true, patchType: 'JSONPatch', patch } }, warnings),
    outcome: { kind: 'injected', pod, original, choices, ports },
  }
}

/**
 * The same answer with warnings added. The API server cuts them at 4096 characters together and asks for at most 256 each.
 * @param warnings sentences without a prefix
 */
export function withWarnings(body: AdmissionResponse, warnings: readonly string[]): AdmissionResponse {
  if (warnings.length === 0) return body
  const all = [...body.response.warnings ?? [], ...warnings.map((warning) => `sidegate: ${warning}`)]
  return { ...body, response: { ...body.response, warnings: [...new Set(all)].slice(0, 15).map((text) => (text.length > 256 ? `${text.slice(0, 253)}...` : text)) } }
}

/**
 * A denial for a reason outside the pod, such as configuration that could not be put in place in time.
 * @param code HTTP status; 500 and above lets the workload's controller try again soon
 */
export function denied(uid: string, code: number, message: string): AdmissionResponse {
  const reasons: Readonly<Record<number, string>> = { 403: 'Forbidden', 422: 'Invalid', 503: 'ServiceUnavailable' }
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, allowed: false, status: { code, message, reason: reasons[code] ?? 'InternalError' } } }
}

const denyReview = (uid: string, { refused, code }: Refusal) =>
  denied(uid, code, `${refused} (Sidegate: the pod asks for the sidecar by ${INJECT_ANNOTATION}.)`)

function allow(uid: string): AdmissionResponse {
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, allowed: true } }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

function readRequest(body: unknown): Request | undefined {
  if (!isObject(body) || body['apiVersion'] !== 'admission.k8s.io/v1' || body['kind'] !== 'AdmissionReview') return undefined
  const { request } = body
  return isObject(request) && typeof request['uid'] === 'string' && request['uid'] !== '' ? request as unknown as Request : undefined
}

function isPodCreation({ operation, resource, subResource }: Request): boolean {
  return operation === 'CREATE' && (resource?.group ?? '') === '' && resource?.resource === 'pods' && !subResource
}
