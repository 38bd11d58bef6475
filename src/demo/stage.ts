/** Sets the stage of the demo: a real issuer with TLS, the sample app and the sidecar as processes of their own, one configuration file. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startIssuer, type Issuer } from './issuer.ts'

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
const APP = fileURLToPath(new URL(`./app${EXTENSION}`, import.meta.url))
const SIDECAR = fileURLToPath(new URL(`../../cmd/sidecar${EXTENSION}`, import.meta.url))
const START_MS = 20_000

/** What came back for one request: the status, the challenge, and what the app says it received (undefined: it never saw it). */
export interface Answer {
  readonly status: number
  readonly challenge: string | undefined
  readonly body: string
  readonly seen: { readonly url: string; readonly headers: readonly (readonly [string, string])[] } | undefined
}

/** The running demo. */
export interface Stage {
  readonly issuer: Issuer
  readonly folder: string
  /** `http://127.0.0.1:PORT`, the protected port. */
  readonly url: string
  readonly metricsUrl: string
  /** Sends a request through the sidecar. `headers` is a flat list, sent in that spelling. */
  send(path: string, headers?: readonly string[]): Promise<Answer>
  /** Replaces a file of the folder at once, as an editor or a ConfigMap does. */
  write(name: string, content: string): Promise<void>
  /** Log lines of the sidecar so far. */
  readonly log: readonly string[]
  /** What the sidecar logged of a denial since its log was `from` lines long; undefined if nothing comes within a moment. */
  logged(from: number): Promise<{ readonly verdict: string; readonly reason: string } | undefined>
  /** Whether sidecar and app still run. */
  alive(): boolean
  strike(): Promise<void>
}

/** Starts a program of ours and waits for the first stdout line that `isReady` accepts. */
async function start(file: string, args: string[], log: string[], isReady: (line: Record<string, unknown>) => boolean): Promise<{ child: ChildProcess; ready: Record<string, unknown> }> {
  const child = spawn(process.execPath, [file, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
  createInterface({ input: child.stderr }).on('line', (line) => { log.push(line) })
  const ready = await new Promise<Record<string, unknown>>((resolve, reject) => {
    const failed = (why: string): void => { child.kill(); reject(new Error(`demo: ${file} ${why}\n${log.slice(-20).join('\n')}`)) }
    const timer = setTimeout(failed, START_MS, `was not ready within ${START_MS / 1000} s`)
    child.once('exit', (code) => { clearTimeout(timer); failed(`ended with code ${code}`) })
    createInterface({ input: child.stdout }).on('line', (line) => {
      log.push(line)
      const value = parse(line)
      if (!value || !isReady(value)) return
      clearTimeout(timer)
      resolve(value)
    })
  })
  return { child, ready }
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.stdin?.end()
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await gone
  clearTimeout(timer)
}

function send(url: string, path: string, headers: readonly string[]): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { path, headers: [...headers, 'Host', new URL(url).host, 'Connection', 'close'] as never }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => { body += chunk }).on('end', () => {
        const seen = parse(body)
        resolve({
          status: response.statusCode ?? 0,
          challenge: response.headers['www-authenticate'],
          body,
          seen: seen && Array.isArray(seen.headers) ? seen as unknown as Answer['seen'] : undefined,
        })
      })
    })
    outgoing.on('error', reject).end()
  })
}

/** The first decision in the log from line `from` on. The line follows the answer, so it may take a moment. */
async function logged(log: readonly string[], from: number): Promise<{ verdict: string; reason: string } | undefined> {
  for (let tries = 0; tries < 20; tries++) {
    for (const line of log.slice(from)) {
      const value = parse(line)
      if (value?.msg === 'request') return { verdict: String(value.verdict), reason: String(value.reason) }
    }
    await sleep(10)
  }
  return undefined
}

/**
 * Starts everything on free loopback ports.
 * @param config writes the sidecar's configuration, given the ports and files
 * @throws when a part does not start; then nothing is left running
 */
export async function setStage(config: (facts: { app: number; issuer: string; caFile: string; denylist: string }) => string): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'sidegate-demo-'))
  const children: ChildProcess[] = []
  const log: string[] = []
  const issuer = await startIssuer({ tls: true })
  const strike = async (): Promise<void> => {
    await Promise.all(children.map(stop))
    await issuer.close()
    await rm(folder, { recursive: true, force: true })
  }
  const write = async (name: string, content: string): Promise<void> => {
    await writeFile(join(folder, `.${name}.new`), content)
    await rename(join(folder, `.${name}.new`), join(folder, name))
  }
  try {
    const app = await start(APP, [], [], (line) => typeof line.port === 'number')
    children.push(app.child)
    await write('ca.pem', issuer.ca ?? '')
    await write('denylist.json', '{}')
    await write('sidegate.yaml', config({ app: Number(app.ready.port), issuer: issuer.url, caFile: join(folder, 'ca.pem'), denylist: join(folder, 'denylist.json') }))
    const sidecar = await start(SIDECAR, ['--config', join(folder, 'sidegate.yaml')], log, (line) => line.msg === 'ready')
    children.push(sidecar.child)
    const url = `http://${(sidecar.ready.listeners as { bind: string }[])[0]!.bind}`
    return {
      issuer, folder, url, log, write, strike,
      metricsUrl: `http://${String(sidecar.ready.health)}/metrics`,
      send: (path, headers = []) => send(url, path, headers),
      logged: (from) => logged(log, from),
      alive: () => children.every((child) => child.exitCode === null && child.signalCode === null),
    }
  } catch (error) {
    await strike()
    throw error
  }
}
