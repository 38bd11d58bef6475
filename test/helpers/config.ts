/** Small configurations and principals for tests of single parts. */
import type { Principal } from '../../src/auth/types.ts'
import type { Config } from '../../src/config/schema.ts'
import { validateConfig } from '../../src/config/validate.ts'
import { formatProblem } from '../../src/config/problem.ts'

const LEAST = {
  listeners: [{ bind: '127.0.0.1:0', upstream: '127.0.0.1:8080' }],
  issuers: [{ name: 'corp', issuer: 'https://auth.internal', audiences: ['internal-services'], keys: { discovery: true } }],
}

/** The least configuration with these fields besides, validated. @throws an Error with all its problems */
export function makeConfig(fields: Readonly<Record<string, unknown>> = {}): Config {
  const { config, problems } = validateConfig({ ...LEAST, ...fields })
  if (config === undefined) throw new Error(problems.map((problem) => formatProblem(problem)).join('\n'))
  return config
}

/** A principal with these claims, as the verifier would make it. */
export function makePrincipal(claims: object, issuer = 'corp'): Principal {
  const own = Object.assign(Object.create(null), structuredClone(claims)) as Record<string, unknown>
  return { issuer, claims: own, subject: undefined, kid: undefined, algorithm: 'RS256', expiresAt: 2e9, issuedAt: undefined, notBefore: undefined }
}
