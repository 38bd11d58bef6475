/** Gauges about the configuration in force, read when somebody scrapes. */
import { ledger } from '../http/engine/ledger.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Runtime } from './runtime.ts'

/**
 * Adds the metrics about keys, cache and deny-list.
 * @param current the configuration in force
 * @returns a function that removes them
 */
export function collectRuntime(metrics: Metrics, current: () => Runtime): () => void {
  return metrics.collect(() => {
    const runtime = current()
    const { cache } = runtime
    // An issuer that a reload removed must not be shown for ever.
    for (const name of ['sidegate_keys', 'sidegate_keys_age_seconds', 'sidegate_keys_ready', 'sidegate_keys_skipped'] as const) metrics.clear(name)
    for (const [issuer, { keys, skipped, usable, ageMs, loads, failures }] of Object.entries(runtime.keyStates())) {
      metrics.series('sidegate_keys', issuer).value = keys
      metrics.series('sidegate_keys_ready', issuer).value = usable ? 1 : 0
      metrics.series('sidegate_keys_skipped', issuer).value = skipped.length
      if (ageMs !== undefined) metrics.series('sidegate_keys_age_seconds', issuer).value = ageMs / 1000
      metrics.series('sidegate_keys_fetches_total', issuer, 'ok').value = loads
      metrics.series('sidegate_keys_fetches_total', issuer, 'error').value = failures
    }
    metrics.series('sidegate_token_cache_hits_total').value = cache.hits
    metrics.series('sidegate_token_cache_misses_total').value = cache.misses
    metrics.series('sidegate_token_cache_entries').value = cache.size
    metrics.series('sidegate_kept_bytes').value = ledger.total
    metrics.series('sidegate_kept_bytes_max').value = ledger.most
    metrics.series('sidegate_connections').value = ledger.clients
    metrics.series('sidegate_shed_total', 'stalled').value = ledger.shed
    metrics.series('sidegate_shed_total', 'idle').value = ledger.sentAway
    metrics.series('sidegate_denylist_entries').value = runtime.denylist().entries
  })
}
