/** What was decided about one request and why: rides on the verdict, and is counted and logged from there. */
import type { Principal } from '../auth/types.ts'
import type { Forward, Reply } from '../http/contract.ts'
import type { Reason } from '../telemetry/reason.ts'

/** `audit`: it would have been denied and was forwarded, because the sidecar or the rule is in audit mode. */
export type Ruling = 'allow' | 'deny' | 'audit'

export interface Decision {
  readonly ruling: Ruling
  readonly reason: Reason
  /** Name of the rule that matched; `-` when none did or the request was refused before. */
  readonly rule: string
  /** Whose verified token it was; set whenever a token verified, also when the policy then denied. */
  readonly principal: Principal | undefined
  /** Name of the issuer that the token is from, or says it is from. */
  readonly issuer: string | undefined
  /** For the log only. */
  readonly detail: string | undefined
}

export interface DecidedForward extends Forward {
  readonly decision: Decision
}

export interface DecidedReply extends Reply {
  readonly decision: Decision
}

export type Decided = DecidedForward | DecidedReply

/** No rule matched, or the request was refused before the rules were looked at. */
export const NO_RULE = '-'
