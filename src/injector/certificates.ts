/**
 * The webhook's certificate, kept right: `self` keeps an authority in a Secret together with the other replicas and signs its own leaf; `provided`
 * and `cert-manager` read a mounted Secret. In `self` and `provided` the API server is told whom to trust (caBundle) before we serve under it.
 */
import { X509Certificate } from 'node:crypto'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import { issueLeaf, type KeyPair } from '../pki/authority.ts'
import { advance, bundleHas, canSign, decodeState, encodeState, trustBundle, type AuthorityState, type RotationPolicy } from '../pki/rotation.ts'
import { ensure, type Kube } from '../kube/client.ts'
import type { Secret } from '../kube/types.ts'
import { MANAGED_BY, MANAGED_BY_LABEL } from './names.ts'
import { hasOwner, ownedBy, type Owner } from './owners.ts'
import { publishTrust, publishedBundle } from './trust.ts'

/** Keeps a certificate; `settle` is idempotent and level-triggered: call it as often as you like. */
export interface CertificateKeeper {
  /** Brings authority, caBundle and leaf to where they should be now. Rejects when the cluster cannot be asked; the leaf in use stays. */
  settle(): Promise<void>
  /** Whether a leaf is in place that is valid now, and the API server has been told to trust it. */
  ready(): boolean
  /** When the leaf in use ends, Unix milliseconds. */
  expires(): number | undefined
  /** Milliseconds after which to settle again without any event. */
  readonly interval: number
}

export interface SelfSignedOptions {
  readonly kube: Kube
  readonly namespace: string
  /** Name of the authority's Secret. */
  readonly secret: string
  /** Name of the MutatingWebhookConfiguration. */
  readonly configuration: string
  /** DNS names and IPs for the leaf. */
  readonly names: readonly string[]
  readonly policy: RotationPolicy
  /** Of the Secret. */
  readonly owner: Owner
  readonly clock: Clock
  readonly log: Log
  readonly onLeaf: (leaf: KeyPair) => void
}

interface Leaf {
  readonly pair: KeyPair
  /** The authority it is under. */
  readonly authority: string
  /** Not valid before. */
  readonly from: number
  readonly renewAt: number
  readonly until: number
}

/** Keeps an authority of our own in a Secret shared with the other replicas, and one leaf in memory. */
export function keepSelfSigned(options: SelfSignedOptions): CertificateKeeper {
  const { kube, namespace, secret, configuration, names, policy, owner, clock, log, onLeaf } = options
  const ref = { resource: 'secrets', namespace, name: secret } as const
  let known: AuthorityState | undefined
  let leaf: Leaf | undefined
  let published = false

  /** The authority as all replicas agree on it. */
  async function agree(bundle: string | undefined): Promise<AuthorityState> {
    const object = await ensure<Secret>(kube, ref, async (current) => {
      const stored = decodeState(current?.data)
      // A Secret that was deleted or spoilt is written again as we knew it: what trusts the old authority goes on doing so.
      if (current && !stored) log.error('the authority\'s Secret was not usable and is written anew', { secret })
      // Not what is of no use now: it was made by a clock that was ahead, this one's perhaps.
      const now = clock.now()
      const usable = [stored, known].find((state) => state && canSign(state, now))
      if (stored && usable !== stored) log.error('the authority is not valid now; the clock of a replica was wrong, or nobody looked for a long time', { secret })
      const next = await advance(usable ?? stored, now, policy, (cert) => bundle !== undefined && bundleHas(bundle, cert))
      if (stored && current && next === stored && hasOwner(current, owner.current())) return undefined
      log.info('webhook authority changed', { secret, rotating: next.next !== undefined, previous: next.previous.length })
      return {
        ...current, type: current?.type ?? 'Opaque', data: encodeState(next),
        metadata: { ...current?.metadata, name: secret, namespace, labels: { ...current?.metadata.labels, [MANAGED_BY_LABEL]: MANAGED_BY }, ...ownedBy(owner.current()) },
      }
    })
    return decodeState(object?.data)!
  }

  async function renewLeaf(authority: KeyPair): Promise<void> {
    const now = clock.now()
    if (leaf && leaf.authority === authority.cert && now >= leaf.from && now < leaf.renewAt) return
    const validityMs = Math.min(policy.leafValidityMs, new X509Certificate(authority.cert).validToDate.getTime() - now)
    const pair = await issueLeaf(authority, names, { now, validityMs })
    onLeaf(pair)
    leaf = { pair, authority: authority.cert, from: new X509Certificate(pair.cert).validFromDate.getTime(), renewAt: now + validityMs / 2, until: now + validityMs }
    log.info('webhook certificate renewed', { until: new Date(leaf.until).toISOString() })
  }

  return {
    async settle() {
      await owner.refresh()
      known = await agree(await publishedBundle(kube, configuration))
      // Trust first, serve after.
      published = await publishTrust(kube, configuration, async () => {
        const object = await kube.get<Secret>(ref)
        return trustBundle(decodeState(object?.data) ?? known!)
      })
      await renewLeaf(known.active)
    },
    ready: () => published && leaf !== undefined && clock.now() >= leaf.from && clock.now() < leaf.until,
    expires: () => leaf?.until,
    interval: Math.max(250, Math.min(30_000, policy.overlapMs / 4, policy.leafValidityMs / 8)),
  }
}
