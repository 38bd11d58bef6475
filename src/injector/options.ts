/** The controller's own file and flags: Options -> validate -> complete. docs/controller.md says what each field means. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import * as v from 'valibot'
import { parse as parseYaml } from 'yaml'
import { parseAddress, parseDuration } from '../config/values.ts'
import { LOG_LEVELS } from '../telemetry/log.ts'
import { SOURCE_CONFIG } from './names.ts'
import { injectorSettingsSchema } from './settings.ts'

const text = v.pipe(v.string(), v.nonEmpty('must not be empty'))
const duration = (fallback: string) => v.pipe(
  v.optional(v.string(), fallback),
  v.check((value) => (parseDuration(value) ?? 0) > 0, 'write a duration such as 500ms, 30s, 10m, 24h or 365d'),
  v.transform((value) => parseDuration(value)!),
)
/** `:8443` is every address of the pod, IPv6 too where there is any. */
const bind = (fallback: string) => v.pipe(
  v.optional(v.string(), fallback),
  v.transform((value) => value.startsWith(':') ? `[::]${value}` : value),
  v.check((value) => parseAddress(value) !== undefined, 'write :port or host:port'),
  v.transform((value) => parseAddress(value)!),
)
const peers = v.optional(v.array(v.looseObject({})), [])

/** The controller's file. */
export const controllerSchema = v.strictObject({
  namespace: v.optional(text),
  webhook: v.optional(v.strictObject({
    bind: bind(':8443'),
    configuration: v.optional(text, 'sidegate'),
    service: v.optional(text, 'sidegate-webhook'),
    extraNames: v.optional(v.array(text), []),
  }), {}),
  health: v.optional(v.strictObject({ bind: bind(':8081') }), {}),
  certificates: v.optional(v.strictObject({
    mode: v.optional(v.picklist(['self', 'cert-manager', 'provided']), 'self'),
    secret: v.optional(text, 'sidegate-ca'),
    directory: v.optional(text, '/etc/sidegate/tls'),
    caValidity: duration('365d'),
    leafValidity: duration('24h'),
    overlap: duration('1h'),
  }), {}),
  source: v.optional(v.strictObject({ configMap: v.optional(text, SOURCE_CONFIG) }), {}),
  networkPolicy: v.optional(v.strictObject({
    mode: v.optional(v.picklist(['manage', 'require', 'off']), 'manage'),
    from: peers,
    healthFrom: peers,
    egress: v.optional(v.nullable(v.array(v.looseObject({}))), null),
  }), {}),
  cleanup: v.optional(v.strictObject({ after: duration('10m') }), {}),
  admission: v.optional(v.strictObject({ deadline: duration('3s') }), {}),
  shutdown: v.optional(v.strictObject({ delay: duration('5s'), grace: duration('20s') }), {}),
  owners: v.optional(v.strictObject({
    clusterRole: v.optional(text, 'sidegate-controller'),
    serviceAccount: v.optional(text, 'sidegate-controller'),
  }), {}),
  events: v.optional(v.boolean(), true),
  log: v.optional(v.strictObject({ level: v.optional(v.picklist(LOG_LEVELS), 'info') }), {}),
  sidecar: injectorSettingsSchema,
})

export type ControllerOptions = v.InferOutput<typeof controllerSchema>

/** What the controller was started with, complete. */
export interface Completed {
  readonly options: ControllerOptions
  /** Release namespace. */
  readonly namespace: string
  /** Name of this replica, for events. */
  readonly replica: string
  readonly kubeconfig: string | undefined
  /** Whether `nativeSidecar` was left for the API server's version to decide. */
  readonly nativeByVersion: boolean
  readonly checkOnly: boolean
}

/** Problems of the flags or the file; each one sentence. */
export class OptionsError extends Error {
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

const FLAGS = '--config FILE, --kubeconfig FILE, --check, --help'

export const HELP = `usage: controller [--config FILE] [--kubeconfig FILE] [--check]

  --config       the controller's file, YAML or JSON (docs/controller.md); default /etc/sidegate/controller.json
  --kubeconfig   reach the API server by this file; default: as the pod's service account
  --check        validate the file and exit
  --help         this text`

function parseFlags(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        config: { type: 'string', default: '/etc/sidegate/controller.json' },
        kubeconfig: { type: 'string' },
        check: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    throw new OptionsError([`${(error as Error).message.replace(/\.?$/, '.')} Known flags: ${FLAGS}.`])
  }
}

function readRaw(file: string): unknown {
  try {
    return parseYaml(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new OptionsError([`${file} cannot be read: ${(error as Error).message}. Name the controller's file with --config.`])
  }
}

/** Rotation works only when a leaf and two overlaps fit well into an authority's last third. */
function checkLives({ caValidity, leafValidity, overlap }: ControllerOptions['certificates']): string[] {
  return caValidity / 3 >= leafValidity + overlap ? []
    : ['certificates: caValidity must be at least three times leafValidity and overlap together, so that the next authority is trusted before the old one ends.']
}

/**
 * Reads flags and file.
 * @throws OptionsError with every problem
 */
export function completeOptions(argv: readonly string[], env: NodeJS.ProcessEnv): Completed {
  const flags = parseFlags(argv)
  const raw = readRaw(flags.config)
  const parsed = v.safeParse(controllerSchema, raw)
  if (!parsed.success) {
    throw new OptionsError(parsed.issues.map((issue) => `${flags.config}: ${v.getDotPath(issue) ?? 'the file'}: ${issue.message}`))
  }
  const options = parsed.output
  const namespace = options.namespace ?? env['POD_NAMESPACE']
  const problems = checkLives(options.certificates)
  if (namespace === undefined) problems.push('namespace: the release namespace is not known; set it in the file or set POD_NAMESPACE.')
  if (problems.length > 0) throw new OptionsError(problems.map((problem) => `${flags.config}: ${problem}`))
  return {
    options,
    namespace: namespace!,
    replica: env['POD_NAME'] ?? 'sidegate-controller',
    kubeconfig: flags.kubeconfig,
    nativeByVersion: (raw as { sidecar: { nativeSidecar?: boolean } }).sidecar.nativeSidecar === undefined,
    checkOnly: flags.check,
  }
}
