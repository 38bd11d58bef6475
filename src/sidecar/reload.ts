/** A changed configuration file: a good one is put in force, a bad one refused, loudly, and the old one kept. */
import { loadConfig, type Overlay } from '../config/load.ts'
import { mergePodOverlay, type PodOverlay } from '../config/pod-overlay.ts'
import { formatProblem } from '../config/problem.ts'
import type { Checked } from '../config/validate.ts'
import { watchConfig } from '../config/watch.ts'
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

function overlayOf({ pod }: ConfigFile): Overlay {
  return (raw) => pod === undefined ? raw : mergePodOverlay(raw, pod)
}

interface ReloadOptions {
  readonly log: Log
  readonly metrics: Metrics
  /** Milliseconds between looks at the file. */
  readonly interval?: number
}

/**
 * Watches the file and applies each change whole.
 * @param inForce what the sidecar runs with
 * @returns stops watching
 */
export function reloadOnChange(file: ConfigFile, inForce: Checked, sidecar: Pick<Sidecar, 'apply'>, { log, metrics, interval = 250 }: ReloadOptions): () => void {
  let latest = JSON.stringify(inForce.config)
  let first = true
  const counted = (result: 'applied' | 'refused' | 'unchanged') => { metrics.series('sidegate_config_reload_total', result).value++ }

  function refuse(problems: readonly string[]): void {
    counted('refused')
    log.error('configuration refused; the old one stays in force', { file: file.config, problems })
  }

  async function take(checked: Checked): Promise<void> {
    const written = (problems: Checked['problems'] | Checked['warnings']) => problems.map((problem) => formatProblem(problem, file.config))
    if (checked.config === undefined) return refuse(written(checked.problems))
    const next = JSON.stringify(checked.config)
    const unchanged = next === latest
    // The first look sees what the sidecar was started with.
    if (unchanged) return first ? undefined : counted('unchanged')
    const problems = await sidecar.apply(checked.config)
    if (problems.length > 0) return refuse(problems)
    latest = next
    counted('applied')
    log.info('configuration in force', { file: file.config, warnings: written(checked.warnings) })
  }

  return watchConfig(file.config, (checked) => {
    void take(checked)
    first = false
  }, { overlay: overlayOf(file), interval })
}
