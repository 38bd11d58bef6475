/**
 * Keeps a namespace with injected pods provided for: its configuration copy and its NetworkPolicy. Level-triggered and idempotent; every replica
 * does it, none leads: two that write the same thing at once meet in a conflict, read again and find nothing left to do.
 */
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import { ensure, type Kube } from '../kube/client.ts'
import { isRefusedObject } from '../kube/kube-error.ts'
import type { Informer } from '../kube/informer.ts'
import type { ConfigMap, KubeObject, NetworkPolicy } from '../kube/types.ts'
import { planCopy, profilesOf, type CopyPlan } from './copies.ts'
import { isDisputedCopy, isDisputedPolicy } from './dispute.ts'
import { CONFIG_COPY, DEFAULT_PROFILE, NETWORK_POLICY, PROFILE_ANNOTATION } from './names.ts'
import { hasOwner, ownedBy, type Owner } from './owners.ts'
import { isSamePolicy, networkPolicy, type NetworkPolicyOptions } from './network-policy.ts'
import type { Turn } from './reconcile-queue.ts'
import type { RemovedProfiles } from './removed-profiles.ts'
import type { Accepted } from './source-config.ts'

export interface GuaranteeOptions {
  /** For admissions. */
  readonly kube: Kube
  /** The same for `reconcile`: it may refuse to write while admissions go on. */
  readonly background: Kube
  readonly copies: Informer<ConfigMap>
  /** Undefined with mode `off`. */
  readonly policies: Informer<NetworkPolicy> | undefined
  /** Injected pods, metadata only. */
  readonly pods: Informer<KubeObject>
  readonly accepted: () => Accepted | undefined
  readonly removed: () => RemovedProfiles
  readonly owner: Owner
  readonly policy: NetworkPolicyOptions & { readonly mode: 'manage' | 'require' | 'off' }
  /** How long what is unused stays, milliseconds. */
  readonly keepMs: number
  /** For one try at admission, milliseconds. */
  readonly deadlineMs: number
  readonly clock: Clock
  readonly log: Log
}

export interface Guarantee {
  /**
   * Before a pod with this profile is admitted: copy and policy are there when this resolves. Without a call to the API server when fresh
   * caches show them; otherwise admissions of the same namespace and profile share one try.
   * @throws Error with a clause when they cannot be put in place within the deadline
   */
  admit(namespace: string, profile: string): Promise<void>
  /** Repairs, updates and cleans up one namespace. @param mayDispute whether to write over what another version of this controller may have written */
  reconcile(namespace: string, mayDispute: boolean): Promise<Turn>
  /** Namespaces that have a copy or injected pods. */
  namespaces(): ReadonlySet<string>
}

/** The profile of an injected pod. */
export function profileOfPod(pod: KubeObject): string {
  return pod.metadata.annotations?.[PROFILE_ANNOTATION] ?? DEFAULT_PROFILE
}

const isFrozen = (copy: ConfigMap | undefined): boolean => (copy as { immutable?: boolean } | undefined)?.immutable === true

export function createGuarantee({ kube, background, copies, policies, pods, accepted, removed, owner, policy, keepMs, deadlineMs, clock, log }: GuaranteeOptions): Guarantee {
  const copyRef = (namespace: string) => ({ resource: 'configmaps', namespace, name: CONFIG_COPY }) as const
  const policyRef = (namespace: string) => ({ resource: 'networkpolicies', namespace, name: NETWORK_POLICY }) as const

  function plan(namespace: string, current: ConfigMap | undefined, admitting?: string, bare = false): CopyPlan {
    const used = new Set(pods.list(namespace).map(profileOfPod))
    // While it is not known for sure which pods there are, nothing is unused.
    if (!pods.fresh()) for (const profile of profilesOf(current)) used.add(profile)
    if (admitting !== undefined) used.add(admitting)
    return planCopy(current, { namespace, used, accepted: accepted(), removed: removed(), now: clock.now(), keepMs, owner: owner.current(), bare })
  }

  /** Somebody froze it: it can only be made anew. A finalizer would keep it. */
  async function removeFrozen(by: Kube, namespace: string, frozen: ConfigMap, signal: AbortSignal | undefined): Promise<void> {
    const bound = (frozen.metadata as { finalizers?: readonly string[] }).finalizers?.length
    const free = bound ? await by.replace('configmaps', { ...frozen, metadata: { ...frozen.metadata, finalizers: [] } } as ConfigMap, { signal }) : frozen
    await by.remove(copyRef(namespace), free.metadata, { signal })
  }

  async function writeCopy(by: Kube, namespace: string, admitting: string | undefined, signal: AbortSignal | undefined, known?: ConfigMap): Promise<void> {
    const write = (seen: ConfigMap | undefined, bare: boolean) => ensure<ConfigMap>(by, copyRef(namespace), (current) => {
      const next = plan(namespace, current, admitting, bare)
      return next.kind === 'write' ? next.copy : undefined
    }, { signal, known: seen })
    try {
      if (!isFrozen(known)) return void await write(known, false)
      await removeFrozen(by, namespace, known!, signal)
      await write(undefined, false)
    } catch (error) {
      if (!isRefusedObject(error)) throw error
      log.warn('the API server refuses the configuration copy; only what is wanted is written', { namespace, error: (error as Error).message })
      const current = await by.get<ConfigMap>(copyRef(namespace), { signal })
      if (isFrozen(current)) await removeFrozen(by, namespace, current!, signal)
      await write(undefined, true)
    }
  }

  const policyIsRight = (namespace: string, current: NetworkPolicy | undefined): boolean =>
    current !== undefined && isSamePolicy(current.spec, networkPolicy(namespace, policy).spec) && (policy.mode === 'require' || hasOwner(current, owner.current()))

  async function writePolicy(by: Kube, namespace: string, signal?: AbortSignal, known?: NetworkPolicy): Promise<void> {
    const wanted = networkPolicy(namespace, policy)
    await ensure<NetworkPolicy>(by, policyRef(namespace), (current) => {
      if (policyIsRight(namespace, current)) return undefined
      return { ...wanted, metadata: { ...current?.metadata, ...wanted.metadata, labels: { ...current?.metadata.labels, ...wanted.metadata.labels }, ...ownedBy(owner.current()) } }
    }, { signal, known })
  }

  async function requirePolicy(namespace: string, signal: AbortSignal): Promise<void> {
    const current = await kube.get<NetworkPolicy>(policyRef(namespace), { signal })
    if (current === undefined) {
      throw new Error(`NetworkPolicy ${namespace}/${NETWORK_POLICY} is missing and networkPolicy.mode is "require"; apply the one of manifests/ there first`)
    }
    if (!policyIsRight(namespace, current)) {
      throw new Error(`NetworkPolicy ${namespace}/${NETWORK_POLICY} is not what it must be and networkPolicy.mode is "require"; apply the one of manifests/ again`)
    }
  }

  async function admitPolicy(namespace: string, signal: AbortSignal): Promise<void> {
    if (policies === undefined) return
    if (policies.fresh() && policyIsRight(namespace, policies.get(NETWORK_POLICY, namespace))) return
    if (policy.mode === 'require') await requirePolicy(namespace, signal)
    else await writePolicy(kube, namespace, signal)
  }

  async function reconcileCopy(namespace: string, copy: ConfigMap | undefined, mayDispute: boolean): Promise<Turn> {
    const next = plan(namespace, copy)
    if (next.kind === 'right') return 'right'
    if (next.kind === 'delete') {
      // Only as it was seen: another replica that admits a pod at this moment has changed it, and this fails.
      await background.remove(copyRef(namespace), copy!.metadata)
      log.info('configuration copy removed: no injected pods left', { namespace })
      return 'written'
    }
    const disputed = copy !== undefined && isDisputedCopy(copy, next.copy)
    if (disputed && !mayDispute) return 'left'
    await writeCopy(background, namespace, undefined, undefined, copy)
    log.info('configuration copy written', { namespace, profiles: Object.keys(next.copy.data ?? {}) })
    return disputed ? 'disputed' : 'written'
  }

  async function reconcilePolicy(namespace: string, mayDispute: boolean): Promise<Turn> {
    if (policies === undefined || policy.mode !== 'manage') return 'right'
    const current = policies.get(NETWORK_POLICY, namespace)
    const wanted = copies.get(CONFIG_COPY, namespace) !== undefined || pods.list(namespace).length > 0
    if (wanted && !policyIsRight(namespace, current)) {
      const disputed = current !== undefined && isDisputedPolicy(current, networkPolicy(namespace, policy))
      if (disputed && !mayDispute) return 'left'
      await writePolicy(background, namespace)
      log.info('network policy written', { namespace, repaired: current !== undefined })
      return disputed ? 'disputed' : 'written'
    }
    if (wanted || current === undefined || !pods.fresh() || !copies.fresh()) return 'right'
    await background.remove(policyRef(namespace), current.metadata)
    log.info('network policy removed: no injected pods left', { namespace })
    return 'written'
  }

  async function put(namespace: string, profile: string, known: ConfigMap | undefined): Promise<void> {
    const signal = AbortSignal.timeout(deadlineMs)
    try {
      // Nothing is written where the pod will be refused anyway.
      if (policy.mode === 'require') await admitPolicy(namespace, signal)
      if (known === undefined || plan(namespace, known, profile).kind !== 'right') await writeCopy(kube, namespace, profile, signal, known)
      if (policy.mode === 'manage') await admitPolicy(namespace, signal)
    } catch (error) {
      if (signal.aborted) throw new Error(`the API server did not answer within ${deadlineMs} ms`, { cause: error })
      throw error
    }
  }

  // A Deployment's first hundred pods come at once.
  const flights = new Map<string, Promise<void>>()
  async function share(key: string, work: () => Promise<void>): Promise<void> {
    const flight = flights.get(key) ?? work().finally(() => { flights.delete(key) })
    flights.set(key, flight)
    return flight
  }

  return {
    async admit(namespace, profile) {
      const known = copies.fresh() ? copies.get(CONFIG_COPY, namespace) : undefined
      const inPlace = known !== undefined && plan(namespace, known, profile).kind === 'right'
        && (policies === undefined || (policies.fresh() && policyIsRight(namespace, policies.get(NETWORK_POLICY, namespace))))
      if (!inPlace) await share(`${namespace}/${profile}`, () => put(namespace, profile, known))
    },
    async reconcile(namespace, mayDispute) {
      const copy = copies.get(CONFIG_COPY, namespace)
      if (plan(namespace, copy).kind !== 'right' || !policyIsRight(namespace, policies?.get(NETWORK_POLICY, namespace))) await owner.refresh()
      const did = [await reconcileCopy(namespace, copy, mayDispute), await reconcilePolicy(namespace, mayDispute)]
      return (['left', 'disputed', 'written'] as const).find((turn) => did.includes(turn)) ?? 'right'
    },
    namespaces: () => new Set([
      ...copies.list().map(({ metadata }) => metadata.namespace!),
      ...pods.list().map(({ metadata }) => metadata.namespace!),
      ...policies?.list().flatMap(({ metadata }) => metadata.name === NETWORK_POLICY ? [metadata.namespace!] : []) ?? [],
    ]),
  }
}
