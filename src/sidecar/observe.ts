/** Stage 9: counts each decision and writes the line that is worth it. Never a token, never a query string, no claim but the subject. */
import { createHash } from 'node:crypto'
import type { Principal } from '../auth/types.ts'
import type { Config } from '../config/schema.ts'
import type { Outcome, RequestHead } from '../http/contract.ts'
import type { LineLimit } from '../telemetry/line-limit.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics, Series } from '../telemetry/metrics.ts'
import { REASONS, type Reason } from '../telemetry/reason.ts'
import { traceId } from '../telemetry/trace.ts'
import { NO_RULE, type Decided, type Decision, type Ruling } from './decision.ts'

export interface Observer {
  /** Counts a decision, at the moment it is made. */
  decided(decision: Decision): void
  /** The exchange of a decision is over: counts how it went and logs it. */
  finished(head: RequestHead, verdict: Decided, outcome: Outcome): void
  /** Counts and logs a request that the transport refused. */
  refused(reason: Reason, peer: string, head: RequestHead | undefined): void
}

interface ObserverOptions {
  readonly log: Log
  /** Bounds the lines about requests that went wrong; outlasts the configuration, as a flood does. */
  readonly limit: LineLimit
  readonly metrics: Metrics
  readonly settings: Config['log']
  readonly random?: () => number
}

const PATH_SHOWN = 256

/** Makes the observer of one configuration. Counters live in `metrics` and outlast it. */
export function createObserver({ log, limit, metrics, settings, random = Math.random }: ObserverOptions): Observer {
  const count = createDecisionCounter(metrics)
  const added = metrics.histogram('sidegate_added_seconds')
  const inFlight = metrics.series('sidegate_in_flight')

  function line(head: RequestHead | undefined, peer: string, decision: Decision, outcome: Outcome | undefined): Record<string, unknown> {
    const { ruling, reason, rule, principal, issuer, detail } = decision
    return {
      verdict: ruling,
      reason: outcome?.failed ?? reason,
      ...(outcome?.failed !== undefined && { decided: reason }),
      rule,
      issuer,
      kid: principal?.kid,
      subject: shownSubject(principal, settings.subject),
      method: head?.method.slice(0, 32),
      path: head === undefined ? undefined : shownPath(head.target),
      peer,
      status: outcome?.status ?? REASONS[reason].status,
      ms: outcome === undefined ? undefined : round(outcome.totalMs),
      trace_id: head === undefined ? undefined : traceId(head.headers),
      detail: detail?.slice(0, PATH_SHOWN),
    }
  }

  /** A request went wrong. Its line is built, which hashes, only if it is written. */
  function warn(head: RequestHead | undefined, peer: string, decision: Decision, outcome: Outcome | undefined): void {
    if (!log.enabled('warn') || !limit.admits(decision.ruling, outcome?.failed ?? decision.reason, settings.deniedPerSecond)) return
    log.warn('request', line(head, peer, decision, outcome))
  }

  return {
    decided(decision) {
      count(decision.ruling, decision.reason, decision.rule).value++
      inFlight.value++
    },
    finished(head, verdict, outcome) {
      inFlight.value--
      const { decision } = verdict
      if (verdict.kind === 'forward') added.observe(outcome.addedMs / 1000)
      if (outcome.failed !== undefined) metrics.series('sidegate_exchange_failures_total', outcome.failed).value++
      // A client that goes away is its own business; an app that fails is the operator's.
      const worth = decision.ruling !== 'allow' || (outcome.failed !== undefined && outcome.failed !== 'client_aborted')
      if (worth) warn(head, head.peer, decision, outcome)
      else if (settings.allowed > 0 && random() < settings.allowed) log.info('request', line(head, head.peer, decision, outcome))
    },
    refused(reason, peer, head) {
      const decision: Decision = { ruling: 'deny', reason, rule: NO_RULE, principal: undefined, issuer: undefined, detail: undefined }
      count('deny', reason, NO_RULE).value++
      warn(head, peer, decision, undefined)
    },
  }
}

/** Resolves each series of `sidegate_decisions_total` once. */
function createDecisionCounter(metrics: Metrics): (ruling: Ruling, reason: Reason, rule: string) => Series {
  const known = { allow: new Map<string, Map<Reason, Series>>(), deny: new Map<string, Map<Reason, Series>>(), audit: new Map<string, Map<Reason, Series>>() }
  return (ruling, reason, rule) => {
    const found = known[ruling].get(rule)?.get(reason)
    if (found !== undefined) return found
    const series = metrics.series('sidegate_decisions_total', ruling, reason, rule)
    const reasons = known[ruling].get(rule) ?? new Map<Reason, Series>()
    known[ruling].set(rule, reasons.set(reason, series))
    return series
  }
}

/** The path as sent, without the query: a token may be in there. */
function shownPath(target: string): string {
  const end = target.search(/[?#]/)
  return (end < 0 ? target : target.slice(0, end)).slice(0, PATH_SHOWN)
}

/**
 * The subject for the log. Hashed is the first 16 hex digits of SHA-256 over issuer name, a zero byte and subject: the same in every pod, so
 * that an operator who has a subject can find its lines, and no more anonymous than the subject is hard to guess.
 */
function shownSubject(principal: Principal | undefined, how: Config['log']['subject']): string | undefined {
  if (principal?.subject === undefined || how === 'off') return undefined
  if (how === 'plain') return principal.subject.slice(0, PATH_SHOWN)
  return createHash('sha256').update(`${principal.issuer}\0${principal.subject}`).digest('hex').slice(0, 16)
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
