/** The nouns of `policy/`: what a rule looks at, and what it is once compiled. */
import type { Principal } from '../auth/types.ts'
import type { Denial } from '../telemetry/reason.ts'

/** What rules look at. */
export interface PolicyRequest {
  readonly method: string
  /** The path decoded once: `decoded` of {@link import('../http/path.ts').Target}. */
  readonly path: string
  /** The canonical host: {@link import('../http/host.ts').readHost}. */
  readonly host: string
  /** Flat list as received. */
  readonly headers: readonly string[]
}

/** Whether a principal satisfies one rule's `require`: undefined if so. */
export type Requirement = (principal: Principal, request: PolicyRequest) => Denial | undefined

/** A rule, ready to be applied. */
export interface CompiledRule {
  /** For logs and metrics: the rule's `name`, else its index and path. */
  readonly name: string
  /** anonymous: no token is looked at; optional: no token is fine, a bad one is not; token: a valid one is needed. */
  readonly access: 'anonymous' | 'optional' | 'token'
  /** The rule's own mode, else the sidecar's. */
  readonly mode: 'enforce' | 'audit'
  readonly closeOnExpiry: boolean
  /** The scopes asked for, space-separated, for the challenge (RFC 6750 section 3); undefined when none are. */
  readonly scope: string | undefined
  /** All must be satisfied by whoever sent a token. */
  readonly requirements: readonly Requirement[]
}
