/**
 * A running sidecar: the protected listeners, the health and admin services, and the one reference to the configuration in force.
 * Started by `run` as a process and by the tests in theirs.
 */
import { createHash } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import { formatAddress } from '../config/values.ts'
import type { Address, Handler, Listener, StartTransport, Transport, TransportLimits } from '../http/contract.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { createAdmin } from './admin.ts'
import { watchExposure } from './exposure.ts'
import { createHealth } from './health.ts'
import { createProbes } from './probe.ts'
import { collectRuntime } from './runtime-metrics.ts'
import { compileRuntime, type Runtime } from './runtime.ts'
import { createIssuerPool } from './issuer-pool.ts'

export interface Sidecar {
  /** The protected listeners as bound, in the order of the configuration. */
  readonly listeners: readonly Address[]
  readonly health: Address | undefined
  readonly admin: Address | undefined
  /** Why it is not ready, one clause each; empty when it is. */
  unready(): readonly string[]
  /**
   * Puts another configuration in force: built whole, then swapped by one assignment. What is in flight ends under the old one.
   * @returns the problems for which it was refused; then the old configuration goes on
   */
  apply(config: Config): Promise<readonly string[]>
  /**
   * Drains and stops. Unready at once; goes on accepting for `delay`, then waits up to `grace` for what is in flight (both ms).
   * Defaults: the configuration's `shutdown`.
   */
  close(delay?: number, grace?: number): Promise<void>
}

export interface SidecarOptions {
  readonly log: Log
  readonly metrics: Metrics
  readonly startTransport: StartTransport
  readonly clock?: Clock
}

/** Health and admin are small: their requests, limits and connection counts are, too. */
const SERVICE_LIMITS: TransportLimits = {
  headerBytes: 16 * 1024, headerCount: 100, targetBytes: 2 * 1024, headerTimeout: 5_000, idleTimeout: 60_000,
  upstreamTimeout: 0, connectTimeout: 1_000, connections: 200, upstreamConnections: 1,
}

/**
 * Starts a sidecar. When it returns, all its addresses are bound; keys may still be on their way (see `unready`).
 * @throws an Error with a sentence for people when an address cannot be bound; nothing is left running then
 */
export async function startSidecar(config: Config, { log, metrics, startTransport, clock }: SidecarOptions): Promise<Sidecar> {
  const pool = createIssuerPool({ log, ...(clock && { clock }) })
  const listeners: Listener[] = config.listeners.map(({ bind, upstream }) => ({ bind, upstream }))
  const shared = { log, metrics, pool, listeners, current: () => runtime }
  let runtime: Runtime = await compileRuntime(config, shared)
  let applying: Promise<unknown> = Promise.resolve()
  let draining = false
  let wasReady = false
  const open: Transport[] = []
  const own: Address[] = []
  const appPorts = () => runtime.config.exposure.check ? runtime.config.listeners.map(({ upstream }) => upstream.port) : []
  const exposure = watchExposure({ targets: () => ({ appPorts: appPorts(), own }), log, metrics })

  async function bind(what: string, on: readonly Listener[], handler: Handler, limits: TransportLimits): Promise<Transport> {
    try {
      const transport = await startTransport(on, handler, limits)
      open.push(transport)
      return transport
    } catch (error) {
      exposure.stop()
      await Promise.all(open.map((transport) => transport.close(0, 0)))
      runtime.dispose()
      throw bindError(what, error as NodeJS.ErrnoException)
    }
  }

  function unready(): readonly string[] {
    if (draining) return ['draining']
    const why = wasReady ? [] : runtime.keysMissing()
    // Once ready, an issuer that fails does not take the pod out of its Service: its tokens are refused, the others' pass.
    if (why.length === 0) wasReady = true
    const open = runtime.config.exposure.unready ? exposure.exposed : []
    return open.length === 0 ? why : [...why, `the app listens beyond loopback on ${open.map(formatAddress).join(', ')}`]
  }

  const main = await bind('listeners', listeners, runtime.handler, config.limits)
  own.push(...main.bound)
  let probes = createProbes(config.probes)
  const health = config.health === false ? undefined : await bind('health.bind', [service(config.health.bind)],
    createHealth({ unready, started: () => true, metrics, probe: (name) => probes(name) }), SERVICE_LIMITS)
  const admin = config.admin === false ? undefined : await bind('admin.bind', [service(config.admin.bind)],
    createAdmin({ config: () => runtime.config, keys: () => runtime.keyStates(), log }), SERVICE_LIMITS)
  const stopCollecting = collectRuntime(metrics, () => runtime)
  announce(config)

  function announce(next: Config): void {
    metrics.clear('sidegate_config_info')
    metrics.series('sidegate_config_info', createHash('sha256').update(JSON.stringify(next)).digest('hex').slice(0, 12)).value = 1
    metrics.series('sidegate_config_loaded_timestamp_seconds').value = Math.round(Date.now() / 1000)
  }

  async function swap(next: Config): Promise<readonly string[]> {
    const problems = needsRestart(runtime.config, next)
    if (problems.length > 0) return problems
    let fresh: Runtime
    try {
      fresh = await compileRuntime(next, shared, runtime)
    } catch (error) {
      return [(error as Error).message]
    }
    const old = runtime
    // From here on every new request is judged by the new configuration, whole; what is in flight keeps the verdict it has.
    runtime = fresh
    main.use(fresh.handler, next.limits)
    probes = createProbes(next.probes)
    if (old.config.log.level !== next.log.level) log.setLevel(next.log.level)
    announce(next)
    old.dispose()
    return []
  }

  return {
    listeners: main.bound,
    health: health?.bound[0],
    admin: admin?.bound[0],
    unready,
    apply(next) {
      // One after the other, so that the last one asked for is the one that stays.
      const applied = applying.then(() => swap(next))
      applying = applied
      return applied
    },
    async close(delay = runtime.config.shutdown.delay, grace = runtime.config.shutdown.grace) {
      draining = true
      await main.close(delay, grace)
      exposure.stop()
      stopCollecting()
      await Promise.all([health?.close(0, 1_000), admin?.close(0, 0)])
      runtime.dispose()
    },
  }
}

/** A listener of a service that never forwards. */
function service(bind: Address): Listener {
  return { bind, upstream: bind }
}

/** What a reload cannot change: the addresses are bound once, so that no request ever meets a port that is half of each configuration. */
function needsRestart(old: Config, next: Config): string[] {
  const addressOf = (part: { bind: Address } | false) => part === false ? 'off' : formatAddress(part.bind)
  const binds = (config: Config) => config.listeners.map(addressOf).join(', ')
  const changed = (field: string, before: string, after: string) =>
    before === after ? [] : [`${field}: changed from ${before} to ${after}, which needs a restart; change it back or restart the sidecar`]
  return [
    ...changed('listeners', binds(old), binds(next)),
    ...changed('health.bind', addressOf(old.health), addressOf(next.health)),
    ...changed('admin.bind', addressOf(old.admin), addressOf(next.admin)),
  ]
}

const BIND_HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there; stop it or choose another port (port 0 takes a free one)',
  EADDRNOTAVAIL: 'this machine has no such address; use one it has, such as 127.0.0.1 or 0.0.0.0',
  EACCES: 'not permitted; ports below 1024 need a privilege, choose a higher one',
}

function bindError(what: string, error: NodeJS.ErrnoException): Error {
  const hint = BIND_HINTS[error.code ?? '']
  return hint === undefined ? error : new Error(`${what}: cannot listen: ${error.message}: ${hint}.`, { cause: error })
}
