/**
 * The real sidecar for tests: in this process ({@link startSidecar}) or as a process of its own ({@link spawnSidecar}). Real transport, real
 * keys, real sockets on free ports of 127.0.0.1.
 */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseConfig } from '../../src/config/load.ts'
import { formatProblem } from '../../src/config/problem.ts'
import type { Config } from '../../src/config/schema.ts'
import { parseAddress } from '../../src/config/values.ts'
import type { Address, StartTransport } from '../../src/http/contract.ts'
import { startEngine as defaultTransport } from '../../src/http/engine/start.ts'
import { startSidecar as start, type Sidecar } from '../../src/sidecar/sidecar.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts'

/** A configuration as a file would hold it. `listeners` may be left out when `app` is given. */
export type RawConfig = Readonly<Record<string, unknown>>
export type LogLine = Readonly<Record<string, unknown>> & { readonly level: string, readonly msg: string }

/** What every test wants: free ports, quick shutdown. */
function complete(config: RawConfig, app?: Address): RawConfig {
  return {
    ...app !== undefined && { listeners: [{ bind: '127.0.0.1:0', upstream: `${app.host}:${app.port}` }] },
    admin: { bind: '127.0.0.1:0' },
    health: { bind: '127.0.0.1:0' },
    shutdown: { delay: '0', grace: '2s' },
    ...config,
  }
}

/** Validates a configuration. @throws an Error with all its problems */
export async function parsed(config: RawConfig): Promise<Config> {
  const checked = await parseConfig(JSON.stringify(config))
  if (checked.config === undefined) throw new Error(checked.problems.map((problem) => formatProblem(problem)).join('\n'))
  return checked.config
}

export interface TestSidecar {
  /** The first protected listener. */
  readonly address: Address
  readonly url: string
  readonly healthUrl: string
  readonly adminUrl: string
  readonly sidecar: Sidecar
  readonly metrics: Metrics
  /** Log lines so far. */
  readonly lines: readonly LogLine[]
  /** The configuration it was started with. */
  readonly config: () => Config
  /** Puts another configuration in force, on the same addresses. @returns the problems */
  readonly apply: (config: RawConfig) => Promise<readonly string[]>
  /** Waits until /readyz would say so. @throws after `timeoutMs` with the reasons */
  readonly ready: (timeoutMs?: number) => Promise<void>
  /** One value of the metrics page: a whole series name such as `sidegate_keys{issuer="corp"}`; 0 when it is not there. */
  readonly metric: (series: string) => number
  readonly close: () => Promise<void>
}

/**
 * Starts the real sidecar in this process and waits until it is ready.
 * @param config as a file would hold it; see {@link complete} for what is filled in
 * @param options app: where the app is; transport: another one; wait: false to return before there are keys
 */
export async function startSidecar(config: RawConfig, options: { app?: Address, transport?: StartTransport, wait?: boolean } = {}): Promise<TestSidecar> {
  const lines: LogLine[] = []
  const log = createLog({
    level: 'debug',
    sink: (bytes, done) => {
      lines.push(...bytes.toString().trimEnd().split('\n').map((line) => JSON.parse(line) as LogLine))
      setImmediate(done, null, bytes.length)
    },
  })
  const metrics = createMetrics()
  const started = await parsed(complete(config, options.app))
  const sidecar = await start(started, { log, metrics, startTransport: options.transport ?? defaultTransport })
  const address = sidecar.listeners[0]!
  const service = (at: Address | undefined) => at === undefined ? '' : `http://127.0.0.1:${at.port}`
  const running: TestSidecar = {
    address,
    url: `http://${address.host}:${address.port}`,
    healthUrl: service(sidecar.health),
    adminUrl: service(sidecar.admin),
    sidecar, metrics, lines,
    config: () => started,
    apply: async (next) => sidecar.apply(await parsed(complete(next, options.app))),
    ready: (timeoutMs = 5_000) => until(() => sidecar.unready().length === 0, timeoutMs, () => `not ready: ${sidecar.unready().join('; ')}`),
    metric: (series) => metricOf(metrics.render(), series),
    close: async () => {
      await sidecar.close(0, 500)
      await log.flush()
    },
  }
  if (options.wait !== false) await running.ready()
  return running
}

/** One value out of a metrics page; 0 when it is not there. */
export function metricOf(page: string, series: string): number {
  const line = page.split('\n').find((each) => each.startsWith(`${series} `))
  return line === undefined ? 0 : Number(line.slice(series.length + 1))
}

/** Waits for something to become true. @throws after `timeoutMs` */
export async function until(test: () => boolean | Promise<boolean>, timeoutMs = 5_000, why: () => string = () => 'waited in vain'): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; !await test(); await sleep(10)) {
    if (Date.now() > deadline) throw new Error(why())
  }
}

export interface SpawnedSidecar {
  readonly process: ChildProcess
  readonly address: Address
  readonly url: string
  readonly healthUrl: string
  readonly adminUrl: string
  /** Log lines on stdout so far. */
  readonly lines: readonly LogLine[]
  /** stderr so far. */
  readonly errors: () => string
  /** Waits for the process to end. @returns its exit code, or the signal that ended it */
  readonly ended: () => Promise<number | NodeJS.Signals>
  /** Ends it, if it still runs. */
  readonly kill: () => Promise<void>
}

const ENTRY = fileURLToPath(new URL('../../cmd/sidecar.ts', import.meta.url))

/**
 * Starts Node as a user would. tap puts its loaders into NODE_OPTIONS of every child, whatever environment it is given; `env` takes them out again and becomes
 * the program, so that pid and signals are the program's.
 */
export function plainNode(args: readonly string[], stdio: StdioOptions, env: Readonly<Record<string, string>> = {}): ChildProcess {
  return spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, ...args], { stdio, env: { ...process.env, NODE_COMPILE_CACHE, ...env } })
}

/** Stripping types costs a second on a busy machine, the first time. */
const NODE_COMPILE_CACHE = join(tmpdir(), 'sidegate-test-compile-cache')

/** Runs the sidecar as a process with these arguments, to its end. */
export async function runSidecar(args: readonly string[]): Promise<{ code: number | null, stdout: string, stderr: string }> {
  const child = plainNode([ENTRY, ...args], ['ignore', 'pipe', 'pipe'])
  const out = collect(child.stdout!)
  const err = collect(child.stderr!)
  const [code] = await once(child, 'close') as [number | null]
  return { code, stdout: out(), stderr: err() }
}

/**
 * Starts the sidecar as a process of its own and waits for its ready line.
 * @param configFile path of its configuration; see {@link writeConfig}
 * @throws when it ends instead
 */
export async function spawnSidecar(configFile: string, { args = [], node = [], env = {}, entry = ENTRY, ...silent }: SpawnOptions = {}): Promise<SpawnedSidecar> {
  const child = plainNode([...node, entry, '--config', configFile, ...args], ['ignore', silent.stdout ?? 'pipe', 'pipe'], env)
  const errors = collect(child.stderr!)
  const lines: LogLine[] = []
  let rest = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n')
    rest = parts.pop()!
    lines.push(...parts.map((line) => JSON.parse(line) as LogLine))
  })
  const end = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals)
  const readyLine = () => lines.find(({ msg }) => msg === 'ready') as unknown as ReadyLine | undefined
  const started = silent.started ?? (() => readyLine() !== undefined)
  await Promise.race([
    until(async () => { try { return await started() } catch { return false } }, 20_000, () => `no ready line: ${errors()}`),
    end.then((code) => { throw new Error(`the sidecar ended with ${code}: ${errors()}`) }),
  ])
  const { listeners, health, admin } = readyLine() ?? { listeners: [{ bind: '0.0.0.0:0' }], health: undefined, admin: undefined }
  return {
    process: child,
    address: parseAddress(listeners[0]!.bind)!,
    url: `http://${listeners[0]!.bind}`,
    healthUrl: `http://${health?.bind}`,
    adminUrl: `http://${admin?.bind}`,
    lines, errors,
    ended: () => end,
    kill: async () => {
      child.kill('SIGKILL')
      await end
    },
  }
}

interface SpawnOptions {
  /** Further arguments of the sidecar. */
  readonly args?: readonly string[]
  /** Arguments of Node. */
  readonly node?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Another program: the built one. */
  readonly entry?: string
  /** A file descriptor instead of a pipe. Then nobody sees a ready line: it is waited for `started`, and the addresses are unknown. */
  readonly stdout?: number
  readonly started?: () => Promise<boolean>
}

interface ReadyLine {
  readonly listeners: readonly { readonly bind: string }[]
  readonly health: { readonly bind: string } | undefined
  readonly admin: { readonly bind: string } | undefined
}

function collect(stream: Readable): () => string {
  let text = ''
  stream.on('data', (chunk: Buffer) => { text += chunk.toString() })
  return () => text
}

export interface ConfigFile {
  readonly path: string
  readonly directory: string
  /** Replaces the file at once, by a rename. */
  write(config: RawConfig | string): void
  remove(): void
}

/** Writes a configuration, completed as for {@link startSidecar}, into a directory of its own. */
export function writeConfig(config: RawConfig | string, app?: Address): ConfigFile {
  const directory = mkdtempSync(join(tmpdir(), 'sidegate-test-'))
  const path = join(directory, 'config.json')
  const write = (next: RawConfig | string) => {
    writeFileSync(`${path}.new`, typeof next === 'string' ? next : JSON.stringify(complete(next, app)))
    renameSync(`${path}.new`, path)
  }
  write(config)
  return { path, directory, write, remove: () => rmSync(directory, { recursive: true, force: true }) }
}
