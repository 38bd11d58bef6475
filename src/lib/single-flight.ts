/**
 * Makes calls that overlap share one run.
 * @param work what to run
 * @returns joins the run that is under way, or starts one
 */
export function singleFlight<T>(work: () => Promise<T>): () => Promise<T> {
  let flight: Promise<T> | undefined
  return () => {
    flight ??= work().finally(() => { flight = undefined })
    return flight
  }
}
