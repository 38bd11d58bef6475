/**
 * The log: one JSON object a line, ASCII only, written to a file descriptor in the background. It never blocks a request and
 * never fails one: when the reader is too slow or the disk is full, lines are dropped and counted (decision 0013).
 */
import { write, writeSync } from 'node:fs'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Fields of a line. `undefined` is left out. */
export type LogFields = Readonly<Record<string, unknown>>
type LogLine = (msg: string, fields?: LogFields) => void

export interface Log {
  readonly debug: LogLine
  readonly info: LogLine
  readonly warn: LogLine
  readonly error: LogLine
  /** A line of level info that is written whatever the level: what others wait for, such as `ready`. */
  readonly notice: LogLine
  /** Whether a line of this level would be written: ask before building expensive fields. */
  enabled(level: LogLevel): boolean
  readonly level: LogLevel
  setLevel(level: LogLevel): void
  /** Lines lost since the start: reader too slow, disk full, pipe closed. */
  readonly dropped: number
  /** Waits until what was logged so far is written or dropped; never rejects. */
  flush(): Promise<void>
  /** Writes the rest at once, for the last moment of a process. Never throws. */
  flushSync(): void
}

/** Appends bytes somewhere and says how many it took; `write(fd)` of node:fs. */
export type Sink = (bytes: Buffer, done: (error: Error | null, written: number) => void) => void

interface LogOptions {
  readonly level?: LogLevel
  readonly fd?: number
  readonly sink?: Sink
  readonly now?: () => number
  /** Bytes of lines that may wait for the sink. */
  readonly maxPending?: number
}

const MAX_PENDING = 1024 * 1024
const MAX_LINE = 8 * 1024
const RETRY_MS = 20
// Anything that looks like a compact JWS or JWE, whatever field it strayed into (attack A10).
const TOKEN = /eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)*/g
const NOT_ASCII = /[\x7f-\uffff]/g

/** Makes one line of JSON: tokens masked, everything but printable ASCII escaped, so that no value can forge a line or drive a terminal. */
export function formatLine(level: LogLevel, msg: string, fields: LogFields | undefined, nowMs: number): string {
  let line: string
  try {
    line = JSON.stringify({ time: new Date(nowMs).toISOString(), level, msg, ...fields })
  } catch {
    line = JSON.stringify({ time: new Date(nowMs).toISOString(), level, msg, note: 'fields could not be written as JSON' })
  }
  if (line.length > MAX_LINE) {
    line = JSON.stringify({ time: new Date(nowMs).toISOString(), level, msg: msg.slice(0, 1024), note: 'line too long', head: line.slice(0, MAX_LINE / 4) })
  }
  if (line.includes('eyJ')) line = line.replace(TOKEN, '[token]')
  return `${line.replace(NOT_ASCII, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`
}

/**
 * Starts a log.
 * @returns the log; nothing in it throws or rejects
 */
export function createLog({ level = 'info', fd = 1, sink, now = Date.now, maxPending = MAX_PENDING }: LogOptions = {}): Log {
  const put: Sink = sink ?? ((bytes, done) => write(fd, bytes, 0, bytes.length, null, done))
  let threshold = LOG_LEVELS.indexOf(level)
  let pending: string[] = []
  let pendingBytes = 0
  let inFlight: Buffer | undefined
  let dropped = 0
  let waiters: (() => void)[] = []

  function log(rank: LogLevel, msg: string, fields?: LogFields): void {
    if (LOG_LEVELS.indexOf(rank) >= threshold) append(rank, msg, fields)
  }

  function append(rank: LogLevel, msg: string, fields?: LogFields): void {
    const line = formatLine(rank, msg, fields, now())
    if (pendingBytes + line.length > maxPending) {
      dropped++
      return
    }
    pending.push(line)
    pendingBytes += line.length
    // One write for all lines of a turn of the event loop.
    if (inFlight === undefined && pending.length === 1) setImmediate(pump)
  }

  function pump(): void {
    if (inFlight !== undefined) return
    if (pending.length === 0) return settle()
    inFlight = Buffer.from(pending.join(''), 'latin1')
    pending = []
    pendingBytes = 0
    send(inFlight)
  }

  function send(bytes: Buffer): void {
    put(bytes, (error, written) => {
      if (inFlight === undefined) return // flushSync took over
      if (error === null && written < bytes.length) return send((inFlight = bytes.subarray(written)))
      if (error !== null && (error as NodeJS.ErrnoException).code === 'EAGAIN') {
        setTimeout(() => inFlight !== undefined && send(bytes), RETRY_MS)
        return
      }
      if (error !== null) dropped += countLines(bytes)
      inFlight = undefined
      pump()
    })
  }

  function settle(): void {
    const done = waiters
    waiters = []
    for (const resolve of done) resolve()
  }

  function flushSync(): void {
    if (sink !== undefined) return
    const rest = Buffer.from(pending.join(''), 'latin1')
    pending = []
    pendingBytes = 0
    try {
      for (let at = 0; at < rest.length;) at += writeSync(fd, rest, at)
    } catch {
      dropped += countLines(rest)
    }
  }

  return {
    debug: (msg, fields) => log('debug', msg, fields),
    info: (msg, fields) => log('info', msg, fields),
    warn: (msg, fields) => log('warn', msg, fields),
    error: (msg, fields) => log('error', msg, fields),
    notice: (msg, fields) => append('info', msg, fields),
    enabled: (rank) => LOG_LEVELS.indexOf(rank) >= threshold,
    get level() { return LOG_LEVELS[threshold]! },
    setLevel: (next) => { threshold = LOG_LEVELS.indexOf(next) },
    get dropped() { return dropped },
    flush: () => pending.length === 0 && inFlight === undefined
      ? Promise.resolve()
      : new Promise<void>((resolve) => { waiters.push(resolve) }),
    flushSync,
  }
}

function countLines(bytes: Buffer): number {
  let lines = 0
  for (const byte of bytes) if (byte === 0x0a) lines++
  return lines
}
