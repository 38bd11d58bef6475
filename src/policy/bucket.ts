/** The rules of one path pattern, found by the request's host: a thousand tenants' rules for one path cost what one costs. */
import { canonicalPattern } from '../http/host-pattern.ts'

/** A value with its place in the order. */
export interface Entry<T> {
  readonly order: number
  readonly value: T
}

const NONE: readonly never[] = []

/** Entries in the order of adding. */
export class Bucket<T> {
  readonly #anyHost: Entry<T>[] = []
  /** By host pattern in canonical form. */
  #byHost: Map<string, Entry<T>[]> | undefined

  /** @param hosts patterns, one of which the request's host must match; undefined: any host will do */
  add(entry: Entry<T>, hosts: readonly string[] | undefined): void {
    if (hosts === undefined) return void this.#anyHost.push(entry)
    const byHost = this.#byHost ??= new Map<string, Entry<T>[]>()
    for (const pattern of new Set(hosts.map((host) => canonicalPattern(host) ?? host))) {
      const list = byHost.get(pattern)
      if (list) list.push(entry)
      else byHost.set(pattern, [entry])
    }
  }

  /**
   * The first entry that fits, unless a better one is known.
   * @param host in canonical form
   */
  earliest(host: string, fits: (value: T) => boolean, best: Entry<T> | undefined): Entry<T> | undefined {
    const known = earliestOf(this.#anyHost, fits, best)
    if (this.#byHost === undefined) return known
    const dot = host.indexOf('.')
    const wildcards = dot > 0 ? this.#byHost.get(`*${host.slice(dot)}`) : undefined
    return earliestOf(this.#byHost.get(host) ?? NONE, fits, earliestOf(wildcards ?? NONE, fits, known))
  }
}

/** Lists are in order, so the search ends early. */
function earliestOf<T>(entries: readonly Entry<T>[], fits: (value: T) => boolean, best: Entry<T> | undefined): Entry<T> | undefined {
  for (const entry of entries) {
    if (best !== undefined && entry.order >= best.order) return best
    if (fits(entry.value)) return entry
  }
  return best
}
