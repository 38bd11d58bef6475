/** What the validation of a configuration cannot say, because it knows nothing of keys: whether those that stand in it are any good. */
import type { Problem } from '../config/problem.ts'
import type { Config } from '../config/schema.ts'
import { parseJwks } from './jwks.ts'

/**
 * Looks at the keys of every issuer with `keys.inline`, as the start does.
 * @returns a problem for each issuer of which no key is usable: a sidecar does not start with it
 */
export function inlineKeyProblems({ issuers }: Config): readonly Problem[] {
  return issuers.flatMap(({ keys: { inline, maxKeys } }, index) => {
    if (inline === undefined) return []
    try {
      parseJwks(inline, maxKeys)
      return []
    } catch (error) {
      return [{ path: ['issuers', index, 'keys', 'inline', 'keys'], message: `${(error as Error).message}; put the issuer's public signing keys here` }]
    }
  })
}
