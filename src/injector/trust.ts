/** Tells the API server which certificates to trust for the webhook: `caBundle` in the MutatingWebhookConfiguration, which the chart never renders. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Kube } from '../kube/client.ts'
import { isConflict, KubeError } from '../kube/kube-error.ts'
import type { KubeObject } from '../kube/types.ts'

interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly { readonly name: string, readonly clientConfig: { readonly caBundle?: string } }[]
}

const ATTEMPTS = 8
const refTo = (name: string) => ({ resource: 'mutatingwebhookconfigurations', name }) as const
const isBundle = (text: string | undefined): text is string => text !== undefined && text !== ''
/** A failed `test` of a JSON Patch is 422: somebody was faster. */
const lostRace = (error: unknown): boolean => isConflict(error) || (error instanceof KubeError && error.status === 422)

/**
 * What the API server trusts now.
 * @returns PEM; undefined when the configuration is missing, has no webhooks, or its webhooks do not all trust the same
 */
export async function publishedBundle(kube: Kube, name: string): Promise<string | undefined> {
  const bundles = (await kube.get<WebhookConfiguration>(refTo(name)))?.webhooks?.map(({ clientConfig }) => clientConfig.caBundle) ?? []
  const first = bundles[0]
  return isBundle(first) && bundles.every((bundle) => bundle === first) ? Buffer.from(first, 'base64').toString('utf8') : undefined
}

/**
 * Writes the bundle into every webhook of the configuration.
 * @param bundle reads what should be trusted. Called after the configuration was read: if another replica rotates in between, either its
 *   patch comes after ours or ours fails its test, so an older bundle never overwrites a newer one
 * @returns false when there is no configuration (not installed yet, or uninstalled)
 * @throws KubeError when the API server refuses
 */
export async function publishTrust(kube: Kube, name: string, bundle: () => Promise<string>): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    const configuration = await kube.get<WebhookConfiguration>(refTo(name))
    if (!configuration?.webhooks?.length) return false
    const wanted = Buffer.from(await bundle()).toString('base64')
    const stale = configuration.webhooks.flatMap(({ clientConfig }, index) => clientConfig.caBundle === wanted ? [] : [index])
    if (stale.length === 0) return true
    try {
      await kube.patch(refTo(name), 'json', [
        { op: 'test', path: '/metadata/resourceVersion', value: configuration.metadata.resourceVersion },
        ...stale.map((index) => ({ op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value: wanted })),
      ])
      return true
    } catch (error) {
      if (!lostRace(error) || attempt === ATTEMPTS) throw error
      await sleep(Math.random() * 50 * attempt)
    }
  }
}
