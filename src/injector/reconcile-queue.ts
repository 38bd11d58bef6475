/** Work by key: each key at most once at a time, again when it was asked for meanwhile, later and later while it fails. */
import { createBackoff, type Backoff } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'

/**
 * What a turn did. `disputed`: it wrote over what another controller may have written; two of different opinion must not write in turns without end.
 * `left`: it would have, but was not to; what nobody disputes is done all the same.
 */
export type Turn = 'right' | 'written' | 'disputed' | 'left'

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
  /** Looks again at what was left. */
  recheck: (() => void) | undefined
  /** Disputed turns within the last minute. */
  disputes: number[]
}

// Events come in bursts: one turn for all of them.
const SETTLE_MS = 20
const FIRST_RETRY_MS = 200
const LAST_RETRY_MS = 30_000
const MINUTE_MS = 60_000
const DISPUTES_A_MINUTE = 10
/** Between disputed turns from then on. */
const DISPUTE_PAUSE_MS = 1_000

/**
 * @param work brings the key to its wanted state; a rejection is tried again. `mayDispute`: whether it may write over what another controller may have written
 */
export function createReconcileQueue(work: (key: string, mayDispute: boolean) => Promise<Turn>, clock: Clock, log: Log): ReconcileQueue {
  const entries = new Map<string, Entry>()
  let stopped = false

  function schedule(key: string, entry: Entry, delayMs: number): void {
    entry.cancel ??= clock.after(delayMs, () => {
      entry.cancel = undefined
      void turn(key, entry)
    })
  }

  function mayDispute({ disputes }: Entry): boolean {
    return disputes.length < DISPUTES_A_MINUTE || clock.monotonic() - disputes.at(-1)! >= DISPUTE_PAUSE_MS
  }

  function note(key: string, entry: Entry, did: Turn): void {
    const now = clock.monotonic()
    entry.disputes = [...entry.disputes.filter((at) => at > now - MINUTE_MS), ...did === 'disputed' ? [now] : []]
    if (did !== 'left') return
    log.warn('somebody keeps changing what this controller writes', { key })
    entry.recheck = clock.after(DISPUTE_PAUSE_MS, () => { add(key) })
  }

  async function turn(key: string, entry: Entry): Promise<void> {
    if (stopped) return
    entry.running = true
    entry.again = false
    entry.recheck?.()
    entry.recheck = undefined
    let delay: number | undefined
    try {
      const did = await work(key, mayDispute(entry))
      entry.backoff.reset()
      if (!stopped) note(key, entry, did)
    } catch (error) {
      if (stopped) return
      delay = entry.backoff.next()
      log.warn('reconcile failed, will try again', { key, error: (error as Error).message, retryMs: Math.round(delay) })
    }
    entry.running = false
    if (stopped) return
    if (delay === undefined && !entry.again) {
      if (entry.disputes.length === 0 && !entry.recheck) entries.delete(key)
      return
    }
    schedule(key, entry, delay ?? SETTLE_MS)
  }

  function add(key: string): void {
    if (stopped) return
    const entry = entries.get(key)
      ?? { running: false, again: false, cancel: undefined, recheck: undefined, backoff: createBackoff(FIRST_RETRY_MS, LAST_RETRY_MS), disputes: [] }
    entries.set(key, entry)
    if (entry.running) entry.again = true
    else schedule(key, entry, SETTLE_MS)
  }

  return {
    add,
    stop() {
      stopped = true
      for (const { cancel, recheck } of entries.values()) {
        cancel?.()
        recheck?.()
      }
    },
    get size() { return entries.size },
  }
}
