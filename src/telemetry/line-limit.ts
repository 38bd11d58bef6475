/**
 * How many lines of one kind are written: a burst, then so many a second; the rest is counted and told by one line a second. Without it
 * whoever can send bad requests fills the log of the node (attack A13, decision 0023).
 */
import { systemClock, type Clock } from '../lib/clock.ts'
import type { Log } from './log.ts'
import type { Metrics, Series } from './metrics.ts'
import type { Reason } from './reason.ts'

export interface LineLimit {
  /**
   * Whether a line may be written now. If not, it is counted and will be told: build the line only after this said yes.
   * @param verdict with `reason` the kind of the line; each kind has a bound of its own, so that a flood of one hides no other
   * @param perSecond lines a second in the long run, {@link BURST_SECONDS} times that at once; 0: all of them
   */
  readonly admits: (verdict: string, reason: Reason, perSecond: number) => boolean
  /** Tells now what was not written so far. */
  readonly tell: () => void
}

interface LineLimitOptions {
  readonly log: Log
  readonly metrics: Metrics
  readonly clock?: Clock
}

/** A burst is what this many seconds would bring. */
const BURST_SECONDS = 10
const TELL_EVERY = 1_000

interface Kind {
  readonly verdict: string
  readonly reason: Reason
  readonly suppressed: Series
  /** Lines that may be written, as of `at`. */
  credit: number
  at: number
  /** Lines that were not written since it was last told. */
  untold: number
}

/** Starts with every burst unused. Its timer runs only while there is something to tell. */
export function createLineLimit({ log, metrics, clock = systemClock }: LineLimitOptions): LineLimit {
  const kinds = new Map<string, Map<Reason, Kind>>()
  let telling: (() => void) | undefined

  function kindOf(verdict: string, reason: Reason): Kind {
    const found = kinds.get(verdict)?.get(reason)
    if (found !== undefined) return found
    const kind: Kind = { verdict, reason, suppressed: metrics.series('sidegate_log_suppressed_total', reason), credit: Infinity, at: 0, untold: 0 }
    const reasons = kinds.get(verdict) ?? new Map<Reason, Kind>()
    kinds.set(verdict, reasons.set(reason, kind))
    return kind
  }

  function tell(): void {
    telling?.()
    telling = undefined
    for (const reasons of kinds.values()) {
      for (const kind of reasons.values()) {
        if (kind.untold === 0) continue
        log.warn('requests not logged', { verdict: kind.verdict, reason: kind.reason, count: kind.untold })
        kind.untold = 0
      }
    }
  }

  return {
    admits(verdict, reason, perSecond) {
      if (perSecond === 0) return true
      const kind = kindOf(verdict, reason)
      const now = clock.monotonic()
      kind.credit = Math.min(perSecond * BURST_SECONDS, kind.credit + (now - kind.at) * perSecond / 1000)
      kind.at = now
      if (kind.credit >= 1) {
        kind.credit--
        return true
      }
      kind.untold++
      kind.suppressed.value++
      telling ??= clock.after(TELL_EVERY, tell)
      return false
    },
    tell,
  }
}
