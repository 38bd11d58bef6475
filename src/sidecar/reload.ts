/** The configuration file over time: opened once at the start, then watched; a good change is put in force, a bad one refused and the old kept. */
import { loadConfig, parseConfig, type Overlay } from '../config/load.ts'
import { mergePodOverlay, type PodOverlay } from '../config/pod-overlay.ts'
import { formatProblem } from '../config/problem.ts'
import type { Checked } from '../config/validate.ts'
import { watchFile } from '../lib/watch-file.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Sidecar } from './sidecar.ts'

export interface ConfigFile {
  /** Path of the configuration. */
  readonly config: string
  readonly pod: PodOverlay | undefined
}

/** Reads and validates the file once. Never rejects: what is wrong is among the problems. */
export function openConfig(file: ConfigFile): Promise<Checked> {
  return loadConfig(file.config, overlayOf(file))
}

function overlayOf({ pod }: ConfigFile): Overlay | undefined {
  return pod === undefined ? undefined : (raw) => mergePodOverlay(raw, pod)
}

interface WatchOptions {
  readonly log: Log
  readonly metrics: Metrics
  /** Milliseconds between looks at the file. */
  readonly interval?: number
}

/**
 * Watches the file, through every symlink (Kubernetes swaps `..data`), and applies each change whole.
 * @param inForce the configuration that the sidecar runs with
 * @returns stops watching
 */
export function watchConfig(file: ConfigFile, inForce: Checked, sidecar: Pick<Sidecar, 'apply'>, { log, metrics, interval = 250 }: WatchOptions): () => void {
  let latest = JSON.stringify(inForce.config)
  let version = 0
  const said = { file: file.config }
  const counted = (result: 'applied' | 'refused' | 'unchanged') => { metrics.series('sidegate_config_reload_total', result).value++ }

  function refuse(problems: readonly string[]): void {
    counted('refused')
    log.error('configuration refused; the old one stays in force', { ...said, problems })
  }

  async function take(text: string): Promise<void> {
    version++
    const mine = version
    const checked = await parseConfig(text, overlayOf(file))
    if (mine !== version) return // a newer text overtook this one
    if (checked.config === undefined) return refuse(checked.problems.map((problem) => formatProblem(problem)))
    const next = JSON.stringify(checked.config)
    if (next === latest) return mine === 1 ? undefined : counted('unchanged') // the first look sees what the sidecar started with
    const problems = await sidecar.apply(checked.config)
    if (problems.length > 0) return refuse(problems)
    latest = next
    counted('applied')
    log.info('configuration in force', { ...said, warnings: checked.warnings.map((problem) => formatProblem(problem)) })
  }

  return watchFile(file.config, (content) => {
    if ('error' in content) return refuse([`cannot be read: ${content.error.message}`])
    take(content.text).catch((error: unknown) => refuse([`internal error: ${String(error)}`]))
  }, { interval })
}
