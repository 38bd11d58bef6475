/** The API server for work that must not outlast something. */
import type { Kube } from './client.ts'
import type { KubeObject } from './types.ts'

/**
 * The same API server, which refuses every write from the moment `ended` is aborted on; what is on its way then arrives. Reading goes on.
 * @param ended its reason is what the refused calls reject with
 */
export function writesUntil(kube: Kube, ended: AbortSignal): Kube {
  async function unlessEnded<R>(write: () => Promise<R>): Promise<R> {
    ended.throwIfAborted()
    return write()
  }
  return {
    ...kube,
    create: (resource, object, options) => unlessEnded(() => kube.create(resource, object, options)),
    replace: (resource, object, options) => unlessEnded(() => kube.replace(resource, object, options)),
    patch: <T extends KubeObject>(...call: Parameters<Kube['patch']>) => unlessEnded(() => kube.patch<T>(...call)),
    remove: (ref, seen, options) => unlessEnded(() => kube.remove(ref, seen, options)),
  }
}
