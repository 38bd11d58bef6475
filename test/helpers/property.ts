/** Property tests whose seed is printed: `FC_SEED=N FC_RUNS=N` repeats a run, or makes it longer. */
import * as fc from 'fast-check'
import type { Test } from 'tap'
import { seedOf } from './seed.ts'

const seed = seedOf('FC_SEED')
const longer = Number(process.env['FC_RUNS'] ?? 0)

/**
 * One property as one assertion; a counterexample, shrunk, is in the failure.
 * @param runs how many cases, unless FC_RUNS says otherwise
 */
export function holds<T>(t: Test, name: string, arbitrary: fc.Arbitrary<T>, predicate: (value: T) => boolean | void, runs = 1000): void {
  const details = fc.check(fc.property(arbitrary, predicate), { seed, numRuns: longer || runs })
  if (details.failed) t.fail(`${name} (FC_SEED=${seed})`, { report: fc.defaultReportMessage(details) })
  else t.pass(`${name} (${details.numRuns} cases, FC_SEED=${seed})`)
}

/** As {@link holds}, for a predicate that waits. */
export async function holdsAsync<T>(t: Test, name: string, arbitrary: fc.Arbitrary<T>, predicate: (value: T) => Promise<boolean | void>, runs = 1000): Promise<void> {
  const details = await fc.check(fc.asyncProperty(arbitrary, predicate), { seed, numRuns: longer || runs })
  if (details.failed) t.fail(`${name} (FC_SEED=${seed})`, { report: fc.defaultReportMessage(details) })
  else t.pass(`${name} (${details.numRuns} cases, FC_SEED=${seed})`)
}

/** Any byte, as one latin1 character: what comes off the wire. (fast-check's own units for all of Unicode take a second to set up.) */
export const byte = fc.nat(0xff).map((code) => String.fromCharCode(code))

/** Any UTF-16 code unit, lone surrogates too: what a JavaScript text may hold. */
export const codeUnit = fc.oneof(fc.nat(0x7f), fc.nat(0xffff)).map((code) => String.fromCharCode(code))

/** Any Unicode character: no lone surrogates. */
export const character = fc.oneof(fc.nat(0x7f), fc.nat(0x10ffff)).map((code) => code >= 0xd800 && code <= 0xdfff ? '?' : String.fromCodePoint(code))
