/** What around an injected pod undermines its protection or no longer leads to it, from what the caches know now. */
import type { Informer } from '../kube/informer.ts'
import type { NetworkPolicy, Service } from '../kube/types.ts'
import type { AdmitOptions } from './admit.ts'
import { exposureFindings } from './warnings.ts'

export interface SurroundingsOptions {
  readonly services: Informer<Service>
  readonly policies: Informer<NetworkPolicy> | undefined
}

/** Never waits: a Service that is not in the cache yet is found by `sidegate check --cluster`. */
export function createSurroundings({ services, policies }: SurroundingsOptions): AdmitOptions['surroundings'] {
  return (namespace, outcome) => {
    const pod = outcome.kind === 'injected' ? outcome.pod : outcome.original
    return exposureFindings(pod, services.list(namespace), policies?.list(namespace) ?? []).map(({ object, problem, fix }) => `${object}: ${problem} ${fix}`)
  }
}
