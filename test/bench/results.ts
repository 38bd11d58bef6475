/** Everything that one run found: what the page is made of, and what .bench/results.json holds. */
import { readFileSync, writeFileSync } from 'node:fs'
import type { CurveResult } from './curves/curve.ts'
import type { LimitsResult } from './limits/limits.ts'
import type { PacedRound } from './latency.ts'
import type { Footprint } from './memory.ts'
import type { Collected } from './rounds.ts'
import type { RowRound } from './rows.ts'
import { WORK } from './workspace.ts'

export interface Results {
  readonly date: string
  readonly command: string
  readonly machine: string
  readonly rounds: number
  readonly seconds: number
  /** Peers that were not there, with what to do. */
  readonly skipped: string[]
  /** By peer, then by case. */
  checks: Record<string, Record<string, string>>
  /** Milliseconds, by peer. */
  starts: Record<string, number[]>
  /** By peer, then by kind. */
  memory: Record<string, Footprint>
  /** By row. */
  rows: Record<string, Collected<RowRound>>
  latency: Collected<PacedRound> | undefined
  curves: CurveResult[]
  /** Of the last run with --limits. */
  limits?: LimitsResult | undefined
}

const FILE = `${WORK}results.json`

export const saveResults = (results: Results): void => writeFileSync(FILE, JSON.stringify(results, undefined, 1))

/** Those of the last run. NaN has become null, which counts as none as well. */
export const loadResults = (): Results => JSON.parse(readFileSync(FILE, 'utf8'), (_, value: unknown) => value === null ? NaN : value) as Results
