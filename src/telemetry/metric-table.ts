/** The one table of metrics: name -> type, labels, help. docs/metrics.md is generated from it; nothing else makes a metric. */

interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** Label names. Each has values from a closed set: the reason table, or names out of the configuration. Never client input. */
  readonly labels: readonly string[]
  readonly help: string
  /** Upper bounds of a histogram's buckets, in the metric's unit. */
  readonly buckets?: readonly number[]
}

const counter = (help: string, ...labels: string[]): MetricRow => ({ type: 'counter', labels, help })
const gauge = (help: string, ...labels: string[]): MetricRow => ({ type: 'gauge', labels, help })

// 25 us to 1 s: what the sidecar adds is tens of microseconds when well, milliseconds when the CPU quota bites.
const ADDED_SECONDS = [0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 1] as const

const rows = {
  sidegate_decisions_total: counter('Requests decided, by verdict (allow, deny, audit), reason and rule. Rule "-": refused before a rule matched. The sum is all requests.', 'verdict', 'reason', 'rule'),
  sidegate_exchange_failures_total: counter('Exchanges that passed and then ended otherwise: the app or the client failed, the token lapsed, the drain ended.', 'reason'),
  sidegate_in_flight: gauge('Requests decided and not over yet; streams and tunnels included.'),
  sidegate_added_seconds: { type: 'histogram', labels: [], help: 'Time the sidecar itself added to a forwarded request.', buckets: ADDED_SECONDS },
  sidegate_identity_stripped_total: counter('Requests that arrived with a header of ours, in any spelling: forged, or sent by a proxy that should not.'),
  sidegate_keys: gauge('Usable keys of an issuer.', 'issuer'),
  sidegate_keys_age_seconds: gauge('Age of the key set of an issuer whose keys are fetched: since the last good fetch. Keys from a file or the configuration do not age.', 'issuer'),
  sidegate_keys_ready: gauge('1 when the issuer has keys that may be used.', 'issuer'),
  sidegate_keys_skipped: gauge('Keys of the issuer\'s set that were not usable and were skipped.', 'issuer'),
  sidegate_keys_fetches_total: counter('Fetches of keys (discovery included), by result (ok, error).', 'issuer', 'result'),
  sidegate_token_cache_hits_total: counter('Tokens answered from the cache of verified tokens.'),
  sidegate_token_cache_misses_total: counter('Tokens that had to be verified.'),
  sidegate_token_cache_entries: gauge('Verified tokens in the cache.'),
  sidegate_denylist_entries: gauge('Entries of the deny-list in force.'),
  sidegate_config_reload_total: counter('Configuration reloads, by result (applied, refused, unchanged).', 'result'),
  sidegate_config_info: gauge('1 for the configuration in force; its SHA-256 begins with this hash.', 'hash'),
  sidegate_config_loaded_timestamp_seconds: gauge('When the configuration in force was loaded.'),
  sidegate_ready: gauge('1 while /readyz says ready.'),
  sidegate_exposed_ports: gauge('App ports that listen beyond loopback, where a client can reach them without the sidecar.'),
  sidegate_kept_bytes: gauge('What clients make the sidecar keep: connections, unfinished heads, what slow readers have not taken, large requests that wait.'),
  sidegate_kept_bytes_max: gauge('The bound of sidegate_kept_bytes, a quarter of the memory limit. Over it clients are ended.'),
  sidegate_connections: gauge('Connections of clients, those of probes and scrapes included.'),
  sidegate_shed_total: counter('Clients ended because memory was short, by kind: stalled (they kept bytes for longest) or idle.', 'kind'),
  sidegate_log_dropped_total: counter('Log lines lost because the reader was too slow or the disk full.'),
  sidegate_log_suppressed_total: counter('Lines about requests that were not written because of log.deniedPerSecond; decisions are counted all the same.', 'reason'),
  sidegate_uncaught_errors_total: counter('Errors that reached the top of the process and were survived. Each is a bug: please report it.'),
  sidegate_admissions_total: counter('Controller: pods seen by the webhook, by outcome (injected, unchanged, skipped, refused, unprepared, malformed).', 'outcome'),
  sidegate_admission_seconds: { type: 'histogram', labels: ['status'], help: 'Controller: time to answer an admission review, by HTTP status.', buckets: [0.001, 0.002_5, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5] },
  sidegate_source_accepted: gauge('Controller: 1 when the source of configuration as it is now is in force, 0 when it is refused or missing.'),
  sidegate_source_problems: gauge('Controller: problems of the source of configuration.'),
  sidegate_reconcile_total: counter('Controller: namespaces looked after, by result (right, written, failed).', 'result'),
  sidegate_namespaces: gauge('Controller: namespaces with injected pods or a configuration copy.'),
  sidegate_certificate_expiry_timestamp_seconds: gauge('Controller: when the webhook certificate in use ends.'),
  sidegate_build_info: gauge('1; the versions of Sidegate and of Node.', 'version', 'node'),
  process_start_time_seconds: gauge('Start of the process, Unix time.'),
  process_cpu_seconds_total: counter('User and system CPU time.'),
  process_resident_memory_bytes: gauge('Resident memory.'),
  process_open_fds: gauge('Open file descriptors.'),
  nodejs_heap_size_used_bytes: gauge('JavaScript heap in use.'),
  nodejs_eventloop_utilization: gauge('Share of time the event loop was busy since the last scrape.'),
} as const satisfies Record<string, MetricRow>

export type MetricName = keyof typeof rows
export const METRICS: Readonly<Record<MetricName, MetricRow>> = rows

/** The table as a page of documentation: docs/metrics.md, which a test holds against it. */
export function metricsPage(): string {
  const cell = (text: string) => text.replaceAll('|', String.raw`\|`)
  const lines = Object.entries(METRICS).map(([name, { type, labels, help }]) =>
    `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${cell(help)} |`)
  return [
    '# Metrics',
    '',
    'Served at `/metrics` on the health address (`:15020` in a pod). Those that begin with "Controller:" are on the controller\'s `:8081`, beside',
    '`sidegate_ready`, `sidegate_build_info`, `sidegate_log_dropped_total`, `process_` and `nodejs_`. Generated from `src/telemetry/metric-table.ts` by `node scripts/docs.mjs`;',
    'do not edit. The values of `reason` are the rows of [reasons.md](reasons.md).',
    '',
    '| metric | type | labels | meaning |',
    '|---|---|---|---|',
    ...lines,
    '',
  ].join('\n')
}
