/**
 * A running sidecar: the protected listeners, the health and admin services, and the one reference to the configuration in force.
 * Started by `run` as a process and by the tests in theirs.
 */
import { createHash } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import { formatAddress } from '../config/values.ts'
import type { Address, Listener, StartTransport } from '../http/contract.ts'
import { systemClock, type Clock } from '../lib/clock.ts'
import { createLineLimit } from '../telemetry/line-limit.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { createBinder, needsRestart } from './addresses.ts'
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

/**
 * Starts a sidecar. When it returns, all its addresses are bound; keys may still be on their way (see `unready`).
 * @throws an Error with a sentence for people when an address cannot be bound; nothing is left running then
 */
export async function startSidecar(config: Config, { log, metrics, startTransport, clock = systemClock }: SidecarOptions): Promise<Sidecar> {
  const pool = createIssuerPool({ log, clock })
  const limit = createLineLimit({ log, metrics, clock })
  const listeners: Listener[] = config.listeners.map(({ bind, upstream }) => ({ bind, upstream }))
  const shared = { log, limit, metrics, clock, pool, listeners, current: () => runtime }
  let runtime: Runtime = await compileRuntime(config, shared)
  let applying: Promise<unknown> = Promise.resolve()
  let draining = false
  let wasReady = false
  const own: Address[] = []
  const appPorts = () => runtime.config.exposure.check ? runtime.config.listeners.map(({ upstream }) => upstream.port) : []
  const exposure = watchExposure({ targets: () => ({ appPorts: appPorts(), own }), log, metrics })

  function unready(): readonly string[] {
    if (draining) return ['draining']
    const why = wasReady ? [] : runtime.keysMissing()
    // Once ready, an issuer that fails does not take the pod out of its Service: its tokens are refused, the others' pass.
    if (why.length === 0) wasReady = true
    const open = runtime.config.exposure.unready ? exposure.exposed : []
    return open.length === 0 ? why : [...why, `the app listens beyond loopback on ${open.map(formatAddress).join(', ')}`]
  }

  let probes = createProbes(config.probes)
  const healthService = createHealth({ unready, started: () => true, metrics, probe: (name) => probes(name) })
  const adminService = createAdmin({ config: () => runtime.config, keys: () => runtime.keyStates(), log })
  const { main, health, admin } = await bindAll().catch((error: unknown) => {
    exposure.stop()
    runtime.dispose()
    throw error
  })
  const stopCollecting = collectRuntime(metrics, () => runtime)
  announce(config)

  async function bindAll() {
    const binder = createBinder(startTransport)
    const main = await binder.bind('listeners', listeners, runtime.handler, config.limits)
    own.push(...main.bound)
    return { main, health: await binder.bindService('health.bind', config.health, healthService), admin: await binder.bindService('admin.bind', config.admin, adminService) }
  }

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
      applying = applied.catch(() => {})
      return applied
    },
    async close(delay = runtime.config.shutdown.delay, grace = runtime.config.shutdown.grace) {
      draining = true
      await main.close(delay, grace)
      exposure.stop()
      stopCollecting()
      await Promise.all([health?.close(0, 1_000), admin?.close(0, 0)])
      runtime.dispose()
      limit.tell()
    },
  }
}
