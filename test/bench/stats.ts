/** Numbers about numbers. */

/** The value below which `share` of them are; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/** The middle one, the mean of the middle two; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** What repeated measurements say. */
export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

/** Of the finite ones; undefined when there is none. */
export function spread(values: readonly number[]): Spread | undefined {
  const finite = values.filter(Number.isFinite)
  return finite.length === 0 ? undefined : { median: median(finite), least: Math.min(...finite), most: Math.max(...finite) }
}

/** Each value over its partner's of the same round: what drifts from round to round falls out. */
export const ratios = (over: readonly number[], under: readonly number[]): number[] => over.map((value, at) => value / under[at]!).filter(Number.isFinite)
