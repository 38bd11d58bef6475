/** A changed configuration file: a good one is put in force, a bad one refused, loudly, and the old one kept. */
import { loadConfig, parseConfig, type Overlay } from '../config/load.ts'
import { mergePodOverlay, type PodOverlay } from '../config/pod-overlay.ts'
import { formatProblem } from '../config/problem.ts'
import type { Checked } from '../config/validate.ts'
import { watchFile, type FileContent } from '../lib/watch-file.ts'
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

const RESULTS = ['applied', 'refused', 'unchanged'] as const

/** A file that is being written is not judged half-way: it must not change for this long before it is read. Milliseconds. */
const SETTLE = 100

/**
 * Watches the file, through every symlink (Kubernetes swaps `..data`), and applies each change whole.
 * @param inForce what the sidecar runs with
 * @returns stops watching
 */
export function reloadOnChange(file: ConfigFile, inForce: Checked, sidecar: Pick<Sidecar, 'apply'>, { log, metrics, interval = 250 }: ReloadOptions): () => void {
  let applied = JSON.stringify(inForce.config)
  let latest: FileContent | undefined
  let settling: NodeJS.Timeout | undefined
  // All from the start: an increase from nothing to 1 is none to Prometheus.
  for (const result of RESULTS) metrics.series('sidegate_config_reload_total', result)
  const counted = (result: (typeof RESULTS)[number]) => { metrics.series('sidegate_config_reload_total', result).value++ }

  function refuse(problems: readonly string[]): void {
    counted('refused')
    log.error('configuration refused; the old one stays in force', { file: file.config, problems })
  }

  async function take(content: FileContent, isFirst: boolean): Promise<void> {
    if ('error' in content) return refuse([`${file.config} cannot be read: ${content.error.message}`])
    const checked = await parseConfig(content.text, overlayOf(file))
    if (content !== latest) return // a newer text overtook this one
    const written = (problems: Checked['problems'] | Checked['warnings']) => problems.map((problem) => formatProblem(problem, file.config))
    if (checked.config === undefined) return refuse(written(checked.problems))
    const next = JSON.stringify(checked.config)
    // The first look sees what the sidecar was started with.
    if (next === applied) return isFirst ? undefined : counted('unchanged')
    const problems = await sidecar.apply(checked.config)
    if (problems.length > 0) return refuse(problems)
    applied = next
    counted('applied')
    log.info('configuration in force', { file: file.config, warnings: written(checked.warnings) })
  }

  const stop = watchFile(file.config, (content) => {
    const isFirst = latest === undefined
    latest = content
    clearTimeout(settling)
    settling = setTimeout(() => { void take(content, isFirst) }, isFirst ? 0 : SETTLE).unref()
  }, { interval })
  return () => {
    stop()
    clearTimeout(settling)
  }
}
