/** Work by key: each key at most once at a time, again when it was asked for meanwhile, later and later while it fails. */
import { createBackoff, type Backoff } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'

export interface ReconcileQueue {
  /** Asks for a key's turn, soon. Cheap; call it for every event. */
  add(key: string): void
  stop(): void
  /** Keys that wait or are being worked on. */
  readonly size: number
}

interface Entry {
  running: boolean
  again: boolean
  cancel: (() => void) | undefined
  readonly backoff: Backoff
  /** Turns that wrote something within the last minute: two controllers of different opinion must not write in turns without end. */
  writes: number[]
}

// Events come in bursts: one turn for all of them.
const SETTLE_MS = 20
const FIRST_RETRY_MS = 200
const LAST_RETRY_MS = 30_000
const WRITES_A_MINUTE = 10
const FIGHT_PAUSE_MS = 10_000

/**
 * @param work brings the key to its wanted state; resolves to whether it had to write; a rejection is tried again
 */
export function createReconcileQueue(work: (key: string) => Promise<boolean>, clock: Clock, log: Log): ReconcileQueue {
  const entries = new Map<string, Entry>()
  let stopped = false

  function schedule(key: string, entry: Entry, delayMs: number): void {
    entry.cancel ??= clock.after(delayMs, () => {
      entry.cancel = undefined
      void turn(key, entry)
    })
  }

  async function turn(key: string, entry: Entry): Promise<void> {
    if (stopped) return
    entry.running = true
    entry.again = false
    let delay: number | undefined
    try {
      const wrote = await work(key)
      entry.backoff.reset()
      const now = clock.monotonic()
      entry.writes = [...entry.writes.filter((at) => at > now - 60_000), ...wrote ? [now] : []]
    } catch (error) {
      if (stopped) return
      delay = entry.backoff.next()
      log.warn('reconcile failed, will try again', { key, error: (error as Error).message, retryMs: Math.round(delay) })
    }
    entry.running = false
    if (stopped) return
    if (delay === undefined && !entry.again) {
      if (entry.writes.length === 0) entries.delete(key)
      return
    }
    schedule(key, entry, delay ?? pause(key, entry))
  }

  function pause(key: string, { writes }: Entry): number {
    if (writes.length < WRITES_A_MINUTE) return SETTLE_MS
    log.warn('somebody keeps changing what this controller writes', { key })
    return FIGHT_PAUSE_MS
  }

  return {
    add(key) {
      if (stopped) return
      const entry = entries.get(key) ?? { running: false, again: false, cancel: undefined, backoff: createBackoff(FIRST_RETRY_MS, LAST_RETRY_MS), writes: [] }
      entries.set(key, entry)
      if (entry.running) entry.again = true
      else schedule(key, entry, pause(key, entry))
    },
    stop() {
      stopped = true
      for (const { cancel } of entries.values()) cancel?.()
    },
    get size() { return entries.size },
  }
}
