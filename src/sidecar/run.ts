/** The sidecar as a process: arguments, configuration file, signals, exit code. */
import { inlineKeyProblems } from '../auth/inline-keys.ts'
import type { StartTransport } from '../http/contract.ts'
import { formatProblem } from '../config/problem.ts'
import { formatAddress } from '../config/values.ts'
import { createLog, type Log } from '../telemetry/log.ts'
import { createMetrics, type Metrics } from '../telemetry/metrics.ts'
import { collectProcess } from '../telemetry/process-metrics.ts'
import { readOptions } from './options.ts'
import { openConfig, reloadOnChange } from './reload.ts'
import { startSidecar, type Sidecar } from './sidecar.ts'

const CANNOT_START = 1
const FLUSH_MS = 1_000
const SIGNALS = { SIGTERM: 15, SIGINT: 2 } as const

/**
 * Runs the sidecar until it is told to stop.
 * @param argv arguments without the program's name
 * @returns the exit code: 0 after a drain, 1 when it cannot start, 2 for wrong arguments
 */
export async function run(argv: readonly string[], startTransport: StartTransport): Promise<number> {
  const options = readOptions(argv)
  if ('text' in options) {
    (options.code === 0 ? process.stdout : process.stderr).write(`${options.text}\n`)
    return options.code
  }
  const opened = await openConfig(options)
  const problems = opened.config === undefined ? opened.problems : inlineKeyProblems(opened.config)
  if (opened.config === undefined || problems.length > 0) return complain(problems.map((problem) => formatProblem(problem, options.config)))
  const warnings = opened.warnings.map((problem) => formatProblem(problem, options.config))
  if (options.check) {
    process.stdout.write([...warnings.map((warning) => `warning: ${warning}`), `${options.config}: ok`, ''].join('\n'))
    return 0
  }
  const log = createLog({ level: opened.config.log.level })
  const metrics = createMetrics()
  collectProcess(metrics)
  metrics.collect(() => { metrics.series('sidegate_log_dropped_total').value = log.dropped })
  surviveErrors(log, metrics)
  for (const warning of warnings) log.warn('configuration', { warning })
  const stop = stopSignal(log)
  let sidecar: Sidecar
  try {
    sidecar = await startSidecar(opened.config, { log, metrics, startTransport })
  } catch (error) {
    await flushed(log)
    return complain([(error as Error).message])
  }
  const stopWatching = reloadOnChange(options, opened, sidecar, { log, metrics })
  announce(sidecar, log)
  await drain(await stop, sidecar, log)
  stopWatching()
  await flushed(log)
  return 0
}

/** The line that others wait for: contract "ready". */
function announce(sidecar: Sidecar, log: Log): void {
  const shown = (address: Sidecar['health']) => address === undefined ? undefined : { bind: formatAddress(address) }
  log.notice('ready', { listeners: sidecar.listeners.map(shown), health: shown(sidecar.health), admin: shown(sidecar.admin), pid: process.pid, node: process.version })
}

/** SIGTERM is Kubernetes: endpoints need time to be withdrawn, so the drain's delay counts. SIGINT is a person at a terminal: no delay. */
async function drain(signal: keyof typeof SIGNALS, sidecar: Sidecar, log: Log): Promise<void> {
  log.notice('draining', { signal })
  await sidecar.close(signal === 'SIGINT' ? 0 : undefined)
  log.notice('stopped')
}

/** Resolves with the first signal; a second one ends the process at once. */
function stopSignal(log: Log): Promise<keyof typeof SIGNALS> {
  return new Promise((resolve) => {
    let told = false
    for (const signal of Object.keys(SIGNALS) as (keyof typeof SIGNALS)[]) {
      process.on(signal, () => {
        if (told) {
          log.flushSync()
          process.exit(128 + SIGNALS[signal])
        }
        told = true
        resolve(signal)
      })
    }
  })
}

/**
 * An error that nobody caught is a bug in one exchange, not a reason to cut all others: it is logged, counted and survived. It cannot open a hole,
 * because only a verdict that the pipeline returned lets a request pass, and a throw returns none (decision 0014).
 */
function surviveErrors(log: Log, metrics: Metrics): void {
  const uncaught = metrics.series('sidegate_uncaught_errors_total')
  process.on('uncaughtException', (error: unknown, origin) => {
    uncaught.value++
    log.error('uncaught error: a bug in the sidecar, please report it', { origin, error: error instanceof Error ? error.stack : String(error) })
  })
}

/** Waits for the log, but not for a reader that stopped reading. */
async function flushed(log: Log): Promise<void> {
  await Promise.race([log.flush(), new Promise((resolve) => { setTimeout(resolve, FLUSH_MS).unref() })])
}

function complain(problems: readonly string[]): number {
  for (const problem of problems) process.stderr.write(`sidegate: ${problem}\n`)
  return CANNOT_START
}
