/** The command line of the sidecar. */
import { parseArgs } from 'node:util'
import { parsePodOverlay, type PodOverlay } from '../config/pod-overlay.ts'

export interface Options {
  /** Path of the configuration file. */
  readonly config: string
  /** Validate and exit. */
  readonly check: boolean
  /** This pod's own facts, laid over the file at every load. */
  readonly pod: PodOverlay | undefined
}

/** Nothing to run: what to print, and the exit code. */
export interface Message {
  readonly text: string
  readonly code: number
}

const USAGE = `usage: sidecar --config FILE [--check] [--pod JSON]

  --config FILE  the configuration, JSON or YAML; watched, a change takes effect without a restart
  --check        validate the configuration, print every problem, and exit
  --pod JSON     this pod's own addresses and ports; the injector writes it
  --help         this text

SIGTERM drains (shutdown.delay, shutdown.grace) and exits 0; a second one exits at once.`

/**
 * Reads the arguments.
 * @param argv without the program's name
 */
export function readOptions(argv: readonly string[]): Options | Message {
  let values
  try {
    values = parseArgs({
      args: [...argv],
      options: { config: { type: 'string', short: 'c' }, check: { type: 'boolean', default: false }, pod: { type: 'string' }, help: { type: 'boolean', short: 'h', default: false } },
    }).values
  } catch (error) {
    return wrong((error as Error).message)
  }
  if (values.help) return { text: USAGE, code: 0 }
  if (values.config === undefined) return wrong('--config FILE is missing')
  if (values.pod === undefined) return { config: values.config, check: values.check, pod: undefined }
  const parsed = parsePodOverlay(values.pod)
  if ('problems' in parsed) return wrong(parsed.problems.join('\n'))
  return { config: values.config, check: values.check, pod: parsed.overlay }
}

function wrong(problem: string): Message {
  return { text: `sidegate: ${problem}\n\n${USAGE}`, code: 2 }
}
