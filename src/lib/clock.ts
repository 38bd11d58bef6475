/** Time as a parameter: everything that waits or compares times takes a {@link Clock}, so that tests can own it. */
export interface Clock {
  /** Wall-clock time, milliseconds since the Unix epoch. May jump both ways. For what tokens and people say. */
  now(): number
  /** Milliseconds since some start, never going back. For ages, cooldowns and durations. */
  monotonic(): number
  /**
   * Runs a task once after a delay, without keeping the process alive for it.
   * @param delayMs milliseconds
   * @returns cancels it
   */
  after(delayMs: number, task: () => void): () => void
}

/** Longest delay a Node timer can hold; a longer one would fire at once. */
const LONGEST_DELAY = 2 ** 31 - 1

/** Milliseconds since some start, never going back. Not by `performance`: to touch it loads all of node:perf_hooks, and it is no faster. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1_000 + nanoseconds / 1e6
}

/** The machine's own time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: monotonicMs,
  after(delayMs, task) {
    const timer = setTimeout(task, Math.min(delayMs, LONGEST_DELAY))
    timer.unref()
    return () => { clearTimeout(timer) }
  },
}
