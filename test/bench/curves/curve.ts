/** What a cost curve is, and what its figures say. */
import { median, ratios, spread, type Spread } from '../stats.ts'
import type { Load, Sample } from '../load.ts'
import type { Collected } from '../rounds.ts'

/** How a cost goes with what it is a function of, from its first point on. */
export type Course = 'flat' | 'grows' | 'falls' | 'uneven'

export interface Point {
  /** What the cost is a function of. */
  readonly x: number
  /** The sidecar's configuration at this port. Points with the same text share a process. */
  readonly config: (port: number) => string
  readonly load: Load
}

export interface Curve {
  readonly name: string
  /** What x counts, in the singular: `rule`. */
  readonly unit: string
  readonly points: () => readonly Point[]
  /** When memory is read: before any load, or in the middle of a window. Left out: it does not depend on x. */
  readonly memory?: 'idle' | 'loaded'
  /** Length of a window, 1 if not said. */
  readonly seconds?: number
  readonly expected: Course
  /** Why the cost goes as expected. `{cpu}` and `{memory}` stand for what one more unit costs. */
  readonly why: string
}

/** The smallest point's window, and right after it the point's own. */
export type Pair = Readonly<Record<'reference' | 'point', Sample>>

export interface PointResult {
  readonly x: number
  readonly pairs: Collected<Pair>
  /** MiB. */
  readonly anon: number
}

export interface CurveResult {
  readonly name: string
  readonly unit: string
  readonly expected: Course
  readonly why: string
  /** The smallest x, and its memory. */
  readonly first: { readonly x: number, readonly anon: number }
  readonly points: readonly PointResult[]
  readonly errors: number
}

/** Within so much of the smallest point's cost, a cost is the same: what windows of a second and other processes of the same program differ by. */
const SAME = 0.1

/**
 * Reads the course off what each point cost over the smallest.
 * A spread that holds 1 has shown no difference, wherever its median is.
 */
export function courseOf(points: readonly Spread[]): Course {
  const up = ({ median, least }: Spread): boolean => median > 1 + SAME && least > 1
  const down = ({ median, most }: Spread): boolean => median < 1 - SAME && most < 1
  if (!points.some((point) => up(point) || down(point))) return 'flat'
  const last = points.at(-1)!
  if (up(last) && !points.some(down)) return 'grows'
  return down(last) && !points.some(up) ? 'falls' : 'uneven'
}

export const ratiosOf = ({ pairs }: PointResult): number[] => ratios(pairs.kept.map(({ point }) => point.cpu), pairs.kept.map(({ reference }) => reference.cpu))

/** CPU microseconds a request: of the smallest point, over all its windows, then of the others. */
export function costs({ points }: CurveResult): number[] {
  return [median(points.flatMap(({ pairs }) => pairs.kept.map(({ reference }) => reference.cpu))), ...points.map(({ pairs }) => median(pairs.kept.map(({ point }) => point.cpu)))]
}

const amount = (value: number, units: readonly string[], step: number): string => {
  const [unit, ...smaller] = units
  return value >= 1 || smaller.length === 0 ? `${Number(value.toPrecision(2))} ${unit}` : amount(value * step, smaller, step)
}

/** The sentence of the page: the course that the figures show, and why, if that is the one that was expected. */
export function sentence(result: CurveResult): string {
  const { first, points, expected, why, unit } = result
  const course = courseOf(points.flatMap((point) => spread(ratiosOf(point)) ?? []))
  if (course !== expected) return `${course[0]!.toUpperCase()}${course.slice(1)} in this run, where ${expected} was expected: see how busy the machine was, or take it for a finding. (Expected because: ${why.replaceAll(/\{\w+\}/g, 'so much')})`
  const last = points.at(-1)!
  const cpu = costs(result)
  const [perUnit, mibPerUnit] = [(cpu.at(-1)! - cpu[0]!) / (last.x - first.x), (last.anon - first.anon) / (last.x - first.x)]
  const filled = why.replaceAll('{cpu}', `${amount(perUnit, ['us', 'ns'], 1_000)} of CPU a ${unit}`).replaceAll('{memory}', `${amount(mibPerUnit, ['MiB', 'KiB', 'bytes'], 1_024)} a ${unit}`)
  return `${course[0]!.toUpperCase()}${course.slice(1)}: ${filled}`
}
