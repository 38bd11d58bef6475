/**
 * Looks in the pod's own network namespace for an app port that listens beyond loopback: there a client reaches the app without
 * the sidecar, unless a NetworkPolicy forbids it (attack A11). Containers of a pod share the namespace, so /proc/net shows the app's sockets.
 */
import { close, open, read } from 'node:fs'
import { promisify } from 'node:util'
import type { Address } from '../http/contract.ts'
import { formatAddress, isLoopback } from '../config/values.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'

const LISTEN = '0A'
const NEWLINE = 10
/** What is read at once; the kernel gives about a page. */
const PIECE = 16_384
/** Not from node:fs/promises, which loads readline and the watchers with it. */
const file = { open: promisify(open), read: promisify(read), close: promisify(close) }

/**
 * The lines of a /proc/net/tcp table in which a socket may be listening. A busy pod has tens of thousands of other sockets there: they are
 * read past, not kept.
 * @throws what reading throws
 */
export async function readListening(path: string): Promise<string> {
  const fd = await file.open(path, 'r')
  try {
    const buffer = Buffer.allocUnsafeSlow(PIECE)
    let lines = ''
    let kept = 0
    for (;;) {
      const { bytesRead } = await file.read(fd, buffer, kept, PIECE - kept, null)
      const end = kept + bytesRead
      const whole = bytesRead === 0 ? end : buffer.lastIndexOf(NEWLINE, end - 1) + 1
      lines += maybeListening(buffer.subarray(0, whole))
      if (bytesRead === 0) return lines
      kept = end - whole
      if (kept === PIECE) throw new Error(`${path} has a line of ${PIECE} bytes`)
      buffer.copyWithin(0, whole, end)
    }
  } finally {
    await file.close(fd)
  }
}

function maybeListening(piece: Buffer): string {
  let lines = ''
  for (let at = piece.indexOf(` ${LISTEN} `); at >= 0; at = piece.indexOf(` ${LISTEN} `, at + 1)) {
    const next = piece.indexOf(NEWLINE, at)
    const end = next < 0 ? piece.length : next
    lines += `${piece.toString('latin1', piece.lastIndexOf(NEWLINE, at) + 1, end)}\n`
    at = end
  }
  return lines
}

/**
 * Reads the listening sockets out of a /proc/net/tcp or tcp6 table.
 * @param table lines of it
 * @returns addresses in standard form
 */
export function listeningSockets(table: string): Address[] {
  const found: Address[] = []
  for (const line of table.split('\n')) {
    const [, local, , state] = line.trim().split(/\s+/)
    const match = state === LISTEN && local !== undefined ? /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/.exec(local) : null
    if (match) found.push({ host: hostOf(match[1]!), port: Number.parseInt(match[2]!, 16) })
  }
  return found
}

/** The kernel prints each 32-bit word in the byte order of the machine: little-endian on every platform the image is built for. */
function hostOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex')
  bytes.swap32()
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.subarray(0, 10).every((byte) => byte === 0) && bytes.readUInt16BE(10) === 0xffff) return `::ffff:${bytes.subarray(12).join('.')}`
  const words = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16))
  return words.join(':').replace(/(?:^|:)0(?::0)+(?::|$)/, '::')
}

/**
 * Which of the app's ports are open beyond loopback.
 * @param sockets all listening sockets of the namespace
 * @param appPorts the upstreams' ports
 * @param own what the sidecar itself has bound (in `loopback` interception it holds the app's port number on the pod's address)
 */
export function exposedPorts(sockets: readonly Address[], appPorts: readonly number[], own: readonly Address[]): Address[] {
  return sockets.filter(({ host, port }) => appPorts.includes(port) && !isLoopback(host) && !own.some((mine) => mine.port === port && mine.host === host))
}

export interface Exposure {
  /** App sockets open beyond loopback, as of the last look. */
  readonly exposed: readonly Address[]
  /** Looks now. */
  look(): Promise<void>
  stop(): void
}

interface ExposureOptions {
  /** Ports of the app (none: do not look) and addresses of ours, read at each look: a reload may change them. */
  readonly targets: () => { appPorts: readonly number[], own: readonly Address[] }
  readonly log: Log
  readonly metrics: Metrics
  readonly readTable?: (path: string) => Promise<string>
  readonly everyMs?: number
}

/** Looks every half minute, and says so once when an app port opens beyond loopback or closes again. */
export function watchExposure({ targets, log, metrics, readTable = readListening, everyMs = 30_000 }: ExposureOptions): Exposure {
  let exposed: readonly Address[] = []
  let said = ''
  const gauge = metrics.series('sidegate_exposed_ports')

  async function look(): Promise<void> {
    const { appPorts, own } = targets()
    const tables = appPorts.length === 0 ? [] : await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readTable(path).catch(() => '')))
    exposed = exposedPorts(tables.flatMap(listeningSockets), appPorts, own)
    gauge.value = new Set(exposed.map(({ port }) => port)).size
    const open = exposed.map(formatAddress).sort().join(', ')
    if (open === said) return
    if (open === '') log.info('exposure ended: the app listens on loopback only')
    else log.warn('the app listens beyond loopback: without a NetworkPolicy it is reachable around the sidecar. Let it listen on 127.0.0.1', { listens: open })
    said = open
  }

  const timer = setInterval(() => void look(), everyMs).unref()
  const first = setTimeout(() => void look(), Math.min(2_000, everyMs)).unref()
  return {
    get exposed() { return exposed },
    look,
    stop() {
      clearInterval(timer)
      clearTimeout(first)
    },
  }
}
