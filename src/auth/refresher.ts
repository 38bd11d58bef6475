import type { Clock } from '../lib/clock.ts'
import { createBackoff } from '../lib/backoff.ts'

export interface RefresherOptions {
  /**
   * Fetches and puts in force. Rejects when that failed, and soon after `life` has ended.
   * @returns milliseconds for which the result is fresh, if its origin said so
   */
  readonly load: (life: AbortSignal) => Promise<number | undefined>
  /** Told of each rejection of `load`. */
  readonly onFailure: (error: Error) => void
  /** Longest time between two loads that went well. Milliseconds, as all here. */
  readonly refresh: number
  /** Least time between two loads that requests asked for. */
  readonly cooldown: number
  readonly clock: Clock
  readonly random: () => number
}

/** Keeps something fetched fresh, in the background. */
export interface Refresher {
  /**
   * For a request that lacks something: joins the load under way, or starts one if the cooldown allows.
   * @returns resolves when that load is over, well or not; undefined when there is nothing to wait for
   */
  demand(): Promise<void> | undefined
  /**
   * For a request that what is in force does not fit: fetches in the background, unless that was done within the cooldown, or doubted within
   * {@link DOUBT_COOLDOWNS} of them. Nobody waits for it, and no `demand` is put off by it.
   */
  doubt(): void
  close(): void
}

/** An origin's freshness is honoured down to this; it cannot make us hammer it. */
const LEAST_REFRESH = 30_000
/** Nor can a configuration. */
const LEAST_WAIT = 100
const FIRST_RETRY = 1000
const LONGEST_RETRY = 30_000
/** Whoever knows a `kid` can send bad signatures at no cost; what they cause stays well below what tokens with an unknown one may. */
const DOUBT_COOLDOWNS = 4
/** A refresh comes this much of its time early, at most: ahead of expiry, and not all sidecars at once. */
const JITTER = 0.2

/** Starts refreshing at once, and goes on until closed: after `refresh` (or sooner) when all is well, with backoff when not. */
export function startRefresher({ load, onFailure, refresh, cooldown, clock, random }: RefresherOptions): Refresher {
  const backoff = createBackoff(FIRST_RETRY, LONGEST_RETRY, random)
  const life = new AbortController()
  /** The load under way, if any: whoever needs it joins. */
  let flight: Promise<void> | undefined
  let cancel = (): void => {}
  let demandedAt = -Infinity
  let doubtedAt = -Infinity
  let startedAt = -Infinity

  const attempt = async (): Promise<number> => {
    try {
      const fresh = await load(life.signal)
      backoff.reset()
      const wait = fresh === undefined ? refresh : Math.min(refresh, Math.max(fresh, LEAST_REFRESH))
      return Math.max(LEAST_WAIT, wait * (1 - JITTER * random()))
    } catch (error) {
      if (!life.signal.aborted) onFailure(error as Error)
      return backoff.next()
    }
  }

  const plan = (wait: number): void => {
    flight = undefined
    if (!life.signal.aborted) cancel = clock.after(wait, () => { void run() })
  }
  const run = (): Promise<void> => {
    cancel()
    startedAt = clock.monotonic()
    return flight = attempt().then(plan)
  }

  void run()
  return {
    demand() {
      if (flight) return flight
      const now = clock.monotonic()
      if (life.signal.aborted || now - demandedAt < cooldown) return undefined
      demandedAt = now
      return run()
    },
    doubt() {
      if (flight || life.signal.aborted) return
      const now = clock.monotonic()
      if (now - startedAt < cooldown || now - doubtedAt < cooldown * DOUBT_COOLDOWNS) return
      doubtedAt = now
      void run()
    },
    close() {
      life.abort()
      cancel()
    },
  }
}
