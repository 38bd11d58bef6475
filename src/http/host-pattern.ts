/** Host patterns: an exact host, or `*.example.com` where `*` is exactly one label. Compared in canonical form (`host.ts`). */
import { canonicalHost } from './host.ts'

const WILDCARD = '*.'

/**
 * Canonical form of a host pattern.
 * @returns undefined when the text is neither a host nor `*.` and a host
 */
export function canonicalPattern(pattern: string): string | undefined {
  if (!pattern.startsWith(WILDCARD)) return canonicalHost(pattern)
  const rest = canonicalHost(pattern.slice(WILDCARD.length))
  return rest === undefined ? undefined : WILDCARD + rest
}

/**
 * Compiles a pattern such as `*.example.com` to a reader of what its `*` stands for.
 * @returns a function of a canonical host: the one label, or undefined when the host does not match
 * @throws an Error when the text is not such a pattern
 */
export function compileHostLabel(pattern: string): (host: string) => string | undefined {
  const canonical = canonicalPattern(pattern)
  if (!canonical?.startsWith(WILDCARD)) throw new Error(`${pattern} has no *: write *.example.com, where * is the tenant`)
  const suffix = canonical.slice(1)
  return (host) => {
    const dot = host.indexOf('.')
    return dot > 0 && host.slice(dot) === suffix ? host.slice(0, dot) : undefined
  }
}

/**
 * Compiles host patterns to a test of a canonical host.
 * @throws an Error that names the pattern that is not one
 */
export function compileHosts(patterns: readonly string[]): (host: string) => boolean {
  const exact = new Set<string>()
  const suffixes = new Set<string>()
  for (const pattern of patterns) {
    const canonical = canonicalPattern(pattern)
    if (canonical === undefined) throw new Error(`${pattern} is not a host pattern: write a host, or *.example.com for one label`)
    if (canonical.startsWith(WILDCARD)) suffixes.add(canonical.slice(1))
    else exact.add(canonical)
  }
  return (host) => {
    const dot = host.indexOf('.')
    return exact.has(host) || (dot > 0 && suffixes.has(host.slice(dot)))
  }
}
