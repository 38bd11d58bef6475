/** Delays between attempts that fail one after the other. */
export interface Backoff {
  /** Milliseconds to wait before the next attempt; grows with each call. */
  next(): number
  /** After a success. */
  reset(): void
}

/**
 * Exponential backoff: doubles from `firstMs` up to `mostMs`, each delay shortened by up to half at random, so that many sidecars
 * that lost the same issuer at the same moment do not come back to it at the same moment.
 * @param firstMs longest first delay
 * @param mostMs longest delay ever
 * @param random from [0, 1)
 */
export function createBackoff(firstMs: number, mostMs: number, random: () => number = Math.random): Backoff {
  let ceiling = firstMs
  return {
    next() {
      const delay = ceiling * (1 - random() / 2)
      ceiling = Math.min(ceiling * 2, mostMs)
      return delay
    },
    reset() { ceiling = firstMs },
  }
}
