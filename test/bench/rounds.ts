/**
 * Which rounds count. A round in which others used the CPU, or in which the references cost more than they did before, says nothing about the peers: it is measured again, a bounded
 * number of times. The choice looks at the strangers and the references only, never at what came out for anyone else.
 */

/** Share of a CPU that others may use in a window. */
export const FOREIGN_LIMIT = 0.1
/** How much more than at its best a reference may cost. */
export const DRIFT_LIMIT = 0.2

export interface Window {
  /** CPU microseconds a request; NaN where that is not what is measured. */
  readonly cpu: number
  /** Share of the CPU that was neither idle nor ours. */
  readonly foreign: number
}

export interface Collected<R> {
  readonly kept: readonly R[]
  /** Rounds measured and thrown away. */
  readonly thrown: number
  /** Rounds kept although they were disturbed: the least disturbed, when even the repeats were. */
  readonly disturbed: number
}

/**
 * How disturbed a round was: 1 and more is too much.
 * @param round one window for each peer
 * @param all the rounds of the row so far
 * @param references names of those whose cost tells of the machine
 */
export function disturbance<W extends Window>(round: Readonly<Record<string, W>>, all: readonly Readonly<Record<string, W>>[], references: readonly string[]): number {
  const foreign = Math.max(0, ...Object.values(round).map((window) => window.foreign)) / FOREIGN_LIMIT
  const drifts = references.filter((name) => name in round).map((name) => {
    const least = Math.min(...all.map((each) => each[name]?.cpu ?? Infinity))
    return (round[name]!.cpu / least - 1) / DRIFT_LIMIT
  })
  return Math.max(foreign, ...drifts.filter(Number.isFinite))
}

/**
 * Measures until there are `wanted` undisturbed rounds, at most twice as many in all.
 * @param measure makes one round; gets its number
 * @param disturbed see {@link disturbance}; gets all rounds so far, so that a verdict may change
 * @param mayRepeat false: no time is left for repeats
 */
export async function collect<R>(wanted: number, measure: (at: number) => Promise<R>, disturbed: (round: R, all: readonly R[]) => number, mayRepeat: () => boolean = () => true): Promise<Collected<R>> {
  const all: R[] = []
  const isClean = (round: R): boolean => disturbed(round, all) < 1
  const enough = (): boolean => all.filter(isClean).length >= wanted
  while (all.length < wanted || (all.length < 2 * wanted && !enough() && mayRepeat())) all.push(await measure(all.length))
  const kept = enough() ? all.filter(isClean) : all.toSorted((a, b) => disturbed(a, all) - disturbed(b, all)).slice(0, wanted)
  return { kept, thrown: all.length - kept.length, disturbed: kept.filter((round) => !isClean(round)).length }
}

/** The same ones, beginning with another each round: nobody always comes after the same neighbour's load, or first. */
export const turned = <T>(all: readonly T[], round: number): T[] => all.map((_, at) => all[(at + round) % all.length]!)
