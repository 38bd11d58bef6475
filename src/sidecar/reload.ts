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

/** What was refused for a reason outside of the file (a deny-list that is not there yet) is tried again. Milliseconds. */
const RETRY = 5_000

/**
 * Watches the file, through every symlink (Kubernetes swaps `..data`), and applies each change whole.
 * @param inForce what the sidecar runs with
 * @returns stops watching
 */
export function reloadOnChange(file: ConfigFile, inForce: Checked, sidecar: Pick<Sidecar, 'apply'>, { log, metrics, interval = 250 }: ReloadOptions): () => void {
  let applied = JSON.stringify(inForce.config)
  let latest: FileContent | undefined
  let retry: NodeJS.Timeout | undefined
  let taking = Promise.resolve()
  /** The problems of the content at hand. */
  let told = ''
  // All from the start: an increase from nothing to 1 is none to Prometheus.
  for (const result of RESULTS) metrics.series('sidegate_config_reload_total', result)
  const counted = (result: (typeof RESULTS)[number]) => { metrics.series('sidegate_config_reload_total', result).value++ }

  function refuse(problems: readonly string[]): void {
    const text = problems.join('\n')
    if (text === told) return // tried again, and nothing new
    told = text
    counted('refused')
    log.error('configuration refused; the old one stays in force', { file: file.config, problems })
  }

  async function take(content: FileContent, isFirst: boolean): Promise<void> {
    if (content !== latest) return // a newer text overtook this one
    if ('error' in content) return refuse([`${file.config} cannot be read: ${content.error.message}`])
    const checked = await parseConfig(content.text, overlayOf(file))
    const written = (problems: Checked['problems'] | Checked['warnings']) => problems.map((problem) => formatProblem(problem, file.config))
    if (checked.config === undefined) return refuse(written(checked.problems))
    const next = JSON.stringify(checked.config)
    // The first look sees what the sidecar was started with.
    if (next === applied) return isFirst ? undefined : counted('unchanged')
    const problems = await sidecar.apply(checked.config)
    if (problems.length > 0) {
      retry = setTimeout(() => { queue(content) }, RETRY).unref()
      return refuse(problems)
    }
    applied = next
    counted('applied')
    log.info('configuration in force', { file: file.config, warnings: written(checked.warnings) })
  }

  /** One after the other: what is compared with is what is in force then. */
  function queue(content: FileContent, isFirst = false): void {
    taking = taking.then(() => take(content, isFirst)).catch((error: unknown) => { refuse([(error as Error).message]) })
  }

  const stop = watchFile(file.config, (content) => {
    const isFirst = latest === undefined
    latest = content
    told = ''
    clearTimeout(retry)
    queue(content, isFirst)
  }, { interval })
  return () => {
    stop()
    clearTimeout(retry)
    latest = undefined
  }
}
