/**
 * Who owns what the controller makes, so that Kubernetes' garbage collector removes it with the release: nothing of ours runs any more that could.
 * Cluster-wide objects of the chart may own namespaced ones.
 */
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import type { Kube } from '../kube/client.ts'
import { describeRef, RESOURCES, type Ref } from '../kube/resource.ts'
import type { KubeObject, OwnerReference } from '../kube/types.ts'

export interface Owner {
  /** As it was when last looked at; undefined where there is none: then what is made stays after an uninstall. */
  current(): OwnerReference | undefined
  /** Looks again, unless that was done a moment ago. Never rejects. */
  refresh(): Promise<void>
}

// An owner made anew has a new uid, and what names the old one is collected: before anything is written again the owner is looked at again.
const FRESH_MS = 1_000

/** Keeps track of one owner. */
export function trackOwner(kube: Kube, ref: Ref, clock: Clock, log: Log): Owner {
  let owner: OwnerReference | undefined
  let looked = -Infinity
  let said = false
  return {
    current: () => owner,
    async refresh() {
      if (clock.monotonic() - looked < FRESH_MS) return
      looked = clock.monotonic()
      try {
        const object = await kube.get<KubeObject>(ref)
        const { apiVersion, kind } = RESOURCES[ref.resource]
        owner = object && { apiVersion, kind, name: ref.name, uid: object.metadata.uid! }
      } catch (error) {
        if (!said) log.warn('the owner of what this controller makes cannot be read; an uninstall will leave it behind', { owner: describeRef(ref), error: (error as Error).message })
        said = true
      }
    },
  }
}

/** Whether an object's owners are exactly the wanted one. Without a wanted one, any will do. */
export function hasOwner({ metadata: { ownerReferences } }: KubeObject, owner: OwnerReference | undefined): boolean {
  return owner === undefined || (ownerReferences?.length === 1 && ownerReferences[0]!.uid === owner.uid && ownerReferences[0]!.name === owner.name)
}

/** For an object's metadata. */
export function ownedBy(owner: OwnerReference | undefined): { ownerReferences?: readonly OwnerReference[] } {
  return owner === undefined ? {} : { ownerReferences: [owner] }
}
