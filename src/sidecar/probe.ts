/**
 * Runs the app's probes in the kubelet's place, over loopback. Targets are fixed in the configuration: nothing of the caller's
 * request reaches the app. Judged as the kubelet judges: http 200-399, tcp connected, grpc SERVING.
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import type { Config } from '../config/schema.ts'
import { formatAddress } from '../config/values.ts'
import { builtin } from '../lib/builtin.ts'

export type ProbeTarget = Config['probes'][string]

export interface ProbeResult {
  readonly ok: boolean
  /** One clause for the kubelet's event. */
  readonly detail: string
}

const MAX_HEAD = 64 * 1024
const MAX_REDIRECTS = 10
/** The injector names hooks container/kind/key. */
const POST_START = /^[^/]+\/postStart(?:\/|$)/
const HOOK_RETRY = 100

const sleep = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

/**
 * Prepares the probes of a configuration. Requests for one probe that overlap share one run, so that a flood of them
 * reaches the app as one.
 * @returns a function from probe name to its run; undefined for an unknown name. The promise never rejects
 */
export function createProbes(targets: Config['probes']): (name: string) => Promise<ProbeResult> | undefined {
  const running = new Map<string, Promise<ProbeResult>>()
  return (name) => {
    const target = Object.hasOwn(targets, name) ? targets[name] : undefined
    if (target === undefined) return undefined
    let run = running.get(name)
    if (run === undefined) {
      run = (POST_START.test(name) ? runHook(target) : runProbe(target)).finally(() => running.delete(name))
      running.set(name, run)
    }
    return run
  }
}

/** A postStart hook comes the moment the container starts, and the kubelet ignores the status it is answered with: it is called once, when the app listens. */
async function runHook(target: ProbeTarget): Promise<ProbeResult> {
  const end = Date.now() + target.timeout
  for (;;) {
    const left = Math.max(1, end - Date.now())
    const refused = await isRefused(target, AbortSignal.timeout(left))
    if (!refused || left === 1) return await runProbe({ ...target, timeout: left })
    await sleep(Math.min(HOOK_RETRY, left))
  }
}

async function isRefused(target: ProbeTarget, limit: AbortSignal): Promise<boolean> {
  try {
    await probeTcp(target, limit)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED'
  }
}

/** Runs one probe. Never rejects: a failure is a result. */
export async function runProbe(target: ProbeTarget): Promise<ProbeResult> {
  const where = formatAddress(target.address)
  const limit = AbortSignal.timeout(target.timeout)
  try {
    switch (target.type) {
      case 'tcp': return await probeTcp(target, limit)
      case 'grpc': return await (await import('./probe-grpc.ts')).probeGrpc(target, limit)
      default: return await probeHttp(target, limit)
    }
  } catch (error) {
    return { ok: false, detail: limit.aborted ? `no answer from ${where} within ${target.timeout} ms` : `${where}: ${(error as Error).message}` }
  }
}

async function probeTcp(target: ProbeTarget, limit: AbortSignal): Promise<ProbeResult> {
  const socket = await open(target, limit)
  socket.destroy()
  return { ok: true, detail: 'connected' }
}

async function probeHttp(target: ProbeTarget, limit: AbortSignal): Promise<ProbeResult> {
  let path = target.path ?? '/'
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const { status, location } = await get(target, path, limit)
    if (status < 200 || status >= 400) return { ok: false, detail: `HTTP status ${status}` }
    const next = status >= 300 && location !== undefined ? sameHost(location, path, target) : undefined
    // Like the kubelet: a redirect to another host counts as success, one to the same host is followed.
    if (next === undefined) return { ok: true, detail: `HTTP status ${status}` }
    path = next
  }
  return { ok: false, detail: `more than ${MAX_REDIRECTS} redirects` }
}

function sameHost(location: string, path: string, target: ProbeTarget): string | undefined {
  const base = `${target.type}://${target.host ?? formatAddress(target.address)}`
  if (!URL.canParse(location, base + path)) return undefined
  const url = new URL(location, base + path)
  return url.origin === new URL(base).origin ? url.pathname + url.search : undefined
}

async function get(target: ProbeTarget, path: string, limit: AbortSignal): Promise<{ status: number, location: string | undefined }> {
  const socket = await open(target, limit)
  try {
    socket.write(requestHead(target, path))
    return parseHead(await readHead(socket))
  } finally {
    socket.destroy()
  }
}

function requestHead(target: ProbeTarget, path: string): string {
  const given = target.headers ?? []
  const lines = [`GET ${path} HTTP/1.1`]
  const has = (name: string) => given.some((header) => header.name.toLowerCase() === name)
  if (!has('host')) lines.push(`Host: ${target.host ?? formatAddress(target.address)}`)
  if (!has('user-agent')) lines.push('User-Agent: kube-probe/sidegate')
  if (!has('accept')) lines.push('Accept: */*')
  for (const { name, value } of given) if (name.toLowerCase() !== 'connection') lines.push(`${name}: ${value}`)
  lines.push('Connection: close', '', '')
  if (/[^\x21-\x7e]/.test(path)) throw new Error('the probe\'s path holds a space, a control character or one beyond ASCII; write it percent-encoded, such as %20')
  // oxlint-disable-next-line no-control-regex -- control characters are what is refused
  if (lines.some((line) => /[\x00-\x08\x0a-\x1f\x7f]/.test(line))) throw new Error('the probe\'s headers hold a control character')
  return lines.join('\r\n')
}

/** Connects, over TLS without looking at the certificate for `https`: so does the kubelet, and it is loopback. */
async function open(target: ProbeTarget, signal: AbortSignal): Promise<Socket> {
  const { host, port } = target.address
  const name = target.host?.replace(/:\d+$/, '')
  const socket: Socket = target.type === 'https'
    ? builtin('node:tls').connect({ host, port, rejectUnauthorized: false, ...(name !== undefined && isIP(name) === 0 && { servername: name }) })
    : connectTcp({ host, port })
  const abort = () => socket.destroy(new Error('timed out'))
  signal.addEventListener('abort', abort, { once: true })
  socket.once('close', () => signal.removeEventListener('abort', abort))
  return new Promise((resolve, reject) => {
    socket.once(target.type === 'https' ? 'secureConnect' : 'connect', () => resolve(socket))
    socket.on('error', reject)
    socket.once('close', () => reject(new Error('closed before it was connected')))
  })
}

function readHead(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      const head = /^(?:HTTP\/1\.[01] 1\d\d[^]*?\r\n\r\n)*(HTTP\/1\.[01] [2-9]\d\d[^]*?)\r\n\r\n/.exec(text)
      if (head) resolve(head[1]!)
      else if (text.length > MAX_HEAD) reject(new Error('the answer is not HTTP or its head is too long'))
    })
    socket.once('close', () => reject(new Error('closed before it answered')))
    socket.once('error', reject)
  })
}

function parseHead(head: string): { status: number, location: string | undefined } {
  return { status: Number(head.slice(9, 12)), location: /^location:[ \t]*(\S+)/im.exec(head)?.[1] }
}
