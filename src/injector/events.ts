/** Events (core/v1) about what became of a pod, on its owner: said in the background, never more often than is useful, never in the way of an admission. */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import type { Kube } from '../kube/client.ts'
import type { KubeObject, OwnerReference } from '../kube/types.ts'

/** What an event is about. */
export interface Involved {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly namespace: string
  readonly uid?: string
}

export interface Events {
  /** @param message a sentence; cut at 1024 characters */
  say(type: 'Normal' | 'Warning', reason: string, about: Involved, message: string): void
}

// The same thing about the same object: once in five minutes. A Deployment that cannot start tries every few seconds.
const REPEAT_MS = 5 * 60_000
const MAX_REMEMBERED = 4_096
const BURST = 50
const PER_SECOND = 5

const OBJECT_NAME = /^[-a-z0-9.:]{1,253}$/i
const API_VERSION = /^[-a-z0-9./]{1,253}$/i
const KIND = /^[a-z0-9]{1,63}$/i

/** Whether it can be an object of the namespace: the review may be forged. A node's own pods name the node as their owner. */
function isPlausible({ apiVersion, kind, name, uid = 'none' }: Involved): boolean {
  const fits = (value: unknown, pattern: RegExp): boolean => typeof value === 'string' && pattern.test(value)
  return fits(apiVersion, API_VERSION) && fits(kind, KIND) && fits(name, OBJECT_NAME) && fits(uid, OBJECT_NAME) && kind !== 'Node'
}

/**
 * Whom an event about a pod should be on: the controller that owns it, else the pod itself where it has a name.
 * @param pod as at admission: often without a name, never with a uid
 */
export function ownerOf(pod: { readonly metadata?: object }, namespace: string): Involved | undefined {
  const metadata = (pod.metadata ?? {}) as { ownerReferences?: readonly (OwnerReference | null)[], name?: string }
  const owners = Array.isArray(metadata.ownerReferences) ? metadata.ownerReferences : []
  const owner = owners.find((one) => one?.controller === true) ?? owners[0]
  const about: Involved = owner ? { apiVersion: owner.apiVersion, kind: owner.kind, name: owner.name, uid: owner.uid, namespace }
    : { apiVersion: 'v1', kind: 'Pod', name: metadata.name ?? '', namespace }
  return isPlausible(about) ? about : undefined
}

/** Events that go nowhere. */
export const noEvents: Events = { say: () => {} }

export function createEvents(kube: Kube, clock: Clock, log: Log, instance = hostname()): Events {
  const said = new Map<string, number>()
  let tokens = BURST
  let refilled = clock.monotonic()

  function take(): boolean {
    const now = clock.monotonic()
    tokens = Math.min(BURST, tokens + (now - refilled) / 1000 * PER_SECOND)
    refilled = now
    if (tokens < 1) return false
    tokens -= 1
    return true
  }

  function repeated(key: string): boolean {
    const now = clock.monotonic()
    if (now - (said.get(key) ?? -Infinity) < REPEAT_MS) return true
    said.delete(key)
    said.set(key, now)
    if (said.size > MAX_REMEMBERED) said.delete(said.keys().next().value!)
    return false
  }

  return {
    say(type, reason, about, message) {
      if (repeated(JSON.stringify([about.uid ?? `${about.namespace}/${about.kind}/${about.name}`, reason, message]))) return
      if (!take()) return
      const time = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z')
      const event = {
        metadata: { name: `${about.name.slice(0, 200)}.${randomBytes(8).toString('hex')}`, namespace: about.namespace },
        involvedObject: about, type, reason, message: message.slice(0, 1024), count: 1, firstTimestamp: time, lastTimestamp: time,
        source: { component: 'sidegate' }, reportingComponent: 'sidegate.dev/controller', reportingInstance: instance.slice(0, 128),
      }
      kube.create('events', event as KubeObject).catch((error: Error) => { log.debug('event not said', { reason, error: error.message }) })
    },
  }
}
