/** Claims by path. Own properties only: a path never reaches what JavaScript put into every object (attack T26). */
import type { Claims } from '../auth/types.ts'

/** Finds a claim's value; undefined when it is not there. */
export type ClaimReader = (claims: Claims) => unknown

/**
 * Compiles a claim path.
 * @param path a list of names, outermost first; or text: the claim of exactly this name if the token has it (it may be a URL such as
 *   `https://corp.example/roles`), else a dotted path into nested claims (`realm_access.roles`)
 */
export function compileClaim(path: string | readonly string[]): ClaimReader {
  if (typeof path !== 'string') return (claims) => walk(claims, path)
  const names = path.split('.')
  if (names.length === 1) return (claims) => own(claims, path)
  return (claims) => Object.hasOwn(claims, path) ? claims[path] : walk(claims, names)
}

/** Writes a claim path as people read it, for logs and errors. */
export function claimName(path: string | readonly string[]): string {
  return typeof path === 'string' ? path : path.join('.')
}

function walk(claims: Claims, names: readonly string[]): unknown {
  return names.reduce<unknown>((value, name) => own(value, name), claims)
}

/** Steps into objects only: arrays and strings have own properties too (`length`, `0`), but these are no claims. */
function own(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) return undefined
  return (value as Record<string, unknown>)[name]
}
