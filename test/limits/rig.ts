/** A sidecar in a memory group of its own, started as the image starts it, before an app of another process. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { memoryGroup, type MemoryUse } from '../helpers/cgroup.ts'
import type { ImageCommand } from '../helpers/image-command.ts'
import { passes } from './clients.ts'
import { createMinter, type Minter } from './keys.ts'
import type { Scenario } from './scenarios.ts'

/** What a scenario gets. */
export interface Stage extends Minter {
  readonly port: number
  readonly token: string
  /** Of the scenario's size: 1 in the test, more in the bench. */
  readonly scale: number
  readonly directory: string
  /** Replaces a file of {@link directory} at once, by a rename. */
  readonly write: (name: string, text: string) => void
}

export interface Outcome {
  /** The most there was, MiB. */
  readonly peak: Pick<MemoryUse, 'anonymous' | 'usage' | 'sockets'>
  /** Anonymous MiB before the first request. */
  readonly idle: number
  readonly oomKills: number
  /** The sidecar did not live to the end: its exit code or signal. */
  readonly died: number | string | undefined
  /** A good request was answered afterwards. */
  readonly passes: boolean
  /** What the scenario has to say of its clients. */
  readonly says: string
  /** What it found wrong. */
  readonly wrong: readonly string[]
}

export interface RigOptions {
  /** How the image starts it: helpers/image-command.ts. */
  readonly command: ImageCommand
  readonly mebibytes: number
  readonly scale: number
  /** Another copy of Node, whose pages are charged to the group. */
  readonly node?: string
}

const SAMPLE_MS = 20

async function startApp(): Promise<{ app: ChildProcess, port: number }> {
  const app = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, fileURLToPath(new URL('app.ts', import.meta.url))], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(app.stdout, 'data') as [Buffer]
  return { app, port: Number(line) }
}

/** Reads a pipe until the sidecar says where it listens; then drains it, or leaves it to fill up. */
async function readyPort(fifo: number, sidecar: ChildProcess, drains: () => boolean): Promise<number> {
  let text = ''
  const bytes = Buffer.alloc(65_536)
  const read = (): string => {
    try {
      return bytes.toString('latin1', 0, readSync(fifo, bytes))
    } catch {
      return ''
    }
  }
  for (const end = Date.now() + 20_000; ; await sleep(10)) {
    text += read()
    const bind = /"msg":"ready","listeners":\[\{"bind":"127\.0\.0\.1:(\d+)"/.exec(text)?.[1]
    if (bind !== undefined) {
      const timer = setInterval(() => { while (drains() && read() !== ''); }, 5)
      sidecar.once('exit', () => { clearInterval(timer) })
      return Number(bind)
    }
    if (Date.now() > end || sidecar.exitCode !== null || sidecar.signalCode !== null) throw new Error(`the sidecar does not start (${sidecar.exitCode ?? sidecar.signalCode}): ${text}`)
  }
}

/** Runs one scenario against a fresh sidecar. */
export async function runScenario(scenario: Scenario, { command: { entry, flags }, mebibytes, scale, node = process.execPath }: RigOptions): Promise<Outcome> {
  const directory = mkdtempSync(join(tmpdir(), 'sidegate-limits-'))
  const write = (name: string, text: string): void => {
    writeFileSync(join(directory, `${name}.new`), text)
    renameSync(join(directory, `${name}.new`), join(directory, name))
  }
  const minter = createMinter()
  const { app, port: appPort } = await startApp()
  const group = memoryGroup(mebibytes)
  execFileSync('mkfifo', [join(directory, 'log')])
  const fifo = openSync(join(directory, 'log'), 'r+')
  const nonBlocking = openSync(`/proc/self/fd/${fifo}`, 0x800) // O_RDONLY | O_NONBLOCK
  write('config.json', JSON.stringify({
    listeners: [{ bind: '127.0.0.1:0', upstream: `127.0.0.1:${appPort}` }], admin: false, health: { bind: '127.0.0.1:0' }, shutdown: { delay: '0', grace: '1s' },
    issuers: [minter.issuer], ...scenario.config?.(directory),
  }))
  scenario.prepare?.(write)
  const sidecar = spawn('env', ['-u', 'NODE_OPTIONS', ...group.within([node, ...flags, entry, '--config', join(directory, 'config.json')])], { stdio: ['ignore', fifo, 'inherit'] })
  const peak = { anonymous: 0, usage: 0, sockets: 0 }
  const sample = setInterval(() => {
    const use = group.use()
    for (const key of ['anonymous', 'usage', 'sockets'] as const) peak[key] = Math.max(peak[key], use[key])
  }, SAMPLE_MS)
  try {
    const port = await readyPort(nonBlocking, sidecar, () => scenario.unreadLog !== true)
    await sleep(300)
    const idle = group.use().anonymous
    const token = minter.mint()
    const wrong: string[] = []
    // When the sidecar dies its clients cannot connect any more.
    const says = await scenario.run({ ...minter, port, token, scale, directory, write }, (what) => { wrong.push(what) }).catch((error: unknown) => {
      wrong.push((error as Error).message)
      return ''
    })
    const good = sidecar.exitCode === null && sidecar.signalCode === null && await passes(port, token)
    return { peak, idle, oomKills: group.use().oomKills, died: sidecar.exitCode ?? sidecar.signalCode ?? undefined, passes: good, says, wrong }
  } finally {
    clearInterval(sample)
    for (const child of [sidecar, app]) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    }
    await group.remove()
    closeSync(nonBlocking)
    closeSync(fifo)
    rmSync(directory, { recursive: true })
  }
}
