/**
 * A configuration, compiled once: everything the request path needs, with nothing left to look up. Never changed after it is made; a
 * reload makes another and swaps the reference.
 */
import { createAuthenticator } from '../auth/authenticator.ts'
import { openDenylist, type DenylistStatus } from '../auth/denylist.ts'
import { compileExtractor } from '../auth/extract.ts'
import { compileIdentity } from '../auth/identity.ts'
import type { KeySet, KeySetStatus } from '../auth/key-set.ts'
import { createTokenCache, type TokenCache } from '../auth/token-cache.ts'
import type { Authenticator } from '../auth/types.ts'
import type { Config } from '../config/schema.ts'
import type { Address, Handler, Listener, RequestHead, Verdict } from '../http/contract.ts'
import { compileForwarding } from '../http/forwarded.ts'
import { createReplies, type MakeReply } from '../http/reply.ts'
import { compileRules } from '../policy/rules.ts'
import type { Clock } from '../lib/clock.ts'
import type { LineLimit } from '../telemetry/line-limit.ts'
import type { Log } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { createDecide } from './decide.ts'
import { NO_RULE, type Decided, type DecidedForward } from './decision.ts'
import type { IssuerPool } from './issuer-pool.ts'
import { createObserver, type Observer } from './observe.ts'

/** What outlives a configuration. */
export interface Shared {
  readonly log: Log
  readonly limit: LineLimit
  readonly metrics: Metrics
  readonly clock: Clock
  readonly pool: IssuerPool
  /** The listeners as given to the transport; a configuration's listeners are these, in order. */
  readonly listeners: readonly Listener[]
  /** The configuration in force, for exchanges that outlive theirs. */
  readonly current: () => Runtime
}

export interface Runtime {
  readonly config: Config
  readonly handler: Handler
  readonly authenticator: Authenticator
  readonly cache: TokenCache
  /** Each issuer's keys by the issuer's name. */
  keyStates(): Readonly<Record<string, KeySetStatus>>
  denylist(): DenylistStatus
  /** Why tokens cannot be judged yet, one clause for each issuer without keys; empty when `readiness` is satisfied. */
  keysMissing(): string[]
  /** Gives back what it holds, once it is no longer in force. Decisions that still wait for keys get their answer. */
  dispose(): void
}

/**
 * Compiles a configuration whole.
 * @param previous the configuration in force, whose cache of verified tokens goes on: each entry is bound to key, rules and time and checked at every use
 * @throws Error with one sentence when a part cannot be made; nothing is left open then
 */
export async function compileRuntime(config: Config, shared: Shared, previous?: Runtime): Promise<Runtime> {
  const { log, pool, clock } = shared
  const held: (() => void)[] = []
  const dispose = (): void => { for (const giveBack of held.splice(0)) giveBack() }
  try {
    // First, as it may be missing for a while: a configuration that is tried again must not ask its issuers each time.
    const denylist = await openDenylist(config.denylist, { log })
    held.push(() => { denylist.close() })
    const keySets = new Map<string, KeySet>()
    for (const issuer of config.issuers) {
      const lease = pool.lease(issuer)
      held.push(() => { lease.release() })
      keySets.set(issuer.name, lease.keys)
    }
    const cache = previous?.config.cache.entries === config.cache.entries ? previous.cache : createTokenCache(config.cache.entries)
    const authenticator = createAuthenticator({ issuers: config.issuers, keySets, denylist, cache, clock })
    const keyStates = () => Object.fromEntries([...keySets].map(([name, keys]) => [name, keys.status()]))
    return {
      config,
      handler: createHandler(config, authenticator, shared),
      authenticator,
      cache,
      keyStates,
      denylist: () => denylist.status(),
      keysMissing: () => keysMissing(config.readiness, keyStates()),
      dispose,
    }
  } catch (error) {
    dispose()
    throw error
  }
}

function keysMissing(policy: Config['readiness'], states: Readonly<Record<string, KeySetStatus>>): string[] {
  const all = Object.entries(states)
  const missing = all.filter(([, { usable }]) => !usable)
  if (policy === 'none' || missing.length === 0 || (policy === 'any' && missing.length < all.length)) return []
  return missing.map(([name, { lastError }]) => `issuer ${name} has no keys${lastError === undefined ? ' yet' : `: ${lastError}`}`)
}

function createHandler(config: Config, authenticator: Authenticator, { listeners, log, limit, metrics, current }: Shared): Handler {
  const upstreams = new Map<Listener, Address>(listeners.map((listener, i) => [listener, config.listeners[i]!.upstream]))
  const replies = createReplies(config.realm)
  const observer = createObserver({ log, limit, metrics, settings: config.log })
  const stripped = metrics.series('sidegate_identity_stripped_total')
  const decide = createDecide({
    mode: config.mode,
    targetBytes: config.limits.targetBytes,
    upgrades: new Set(config.upgrades),
    upstreamOf: (listener) => upstreams.get(listener) ?? listener.upstream,
    rules: compileRules(config),
    extract: compileExtractor(config.tokens, config.limits.tokenBytes),
    tokenHeaders: config.tokens.flatMap((source) => 'header' in source ? [source.header] : []),
    forwardToken: config.identity.forwardToken,
    authenticator,
    identity: compileIdentity(config.identity),
    forwarding: compileForwarding(config.forwarded.trustedProxies),
    replies,
    forged: () => { stripped.value++ },
  })
  return {
    decide: observed(decide, observer, replies, log),
    refuse(reason, peer, head, verdict) {
      // What fails after the verdict is reported by `finished`.
      if (verdict === undefined) observer.refused(reason, peer, head)
      return replies(reason)
    },
    finished: (head, verdict, outcome) => observer.finished(head, verdict as Decided, outcome),
    // An exchange may outlive its configuration: its token is held against the deny-list, keys and issuers of the one in force now.
    lapsed: (verdict, nowMs) => {
      const { principal } = (verdict as DecidedForward).decision
      return principal === undefined ? undefined : current().authenticator.recheck(principal, nowMs)?.denied
    },
  }
}

/** Counts each decision, and turns a throw, which is a bug, into a refusal: nothing passes that was not decided. */
function observed(decide: (head: RequestHead) => Decided | Promise<Decided>, observer: Observer, replies: MakeReply, log: Log): Handler['decide'] {
  function count(decided: Decided): Verdict {
    observer.decided(decided.decision)
    return decided
  }
  function broken(error: unknown): Verdict {
    log.error('the pipeline failed: a bug in the sidecar, please report it', { error: error instanceof Error ? error.stack : String(error) })
    const decided: Decided = { ...replies('internal_error'), decision: { ruling: 'deny', reason: 'internal_error', rule: NO_RULE, principal: undefined, issuer: undefined, detail: undefined } }
    return count(decided)
  }
  return (head) => {
    try {
      const decided = decide(head)
      return decided instanceof Promise ? decided.then(count, broken) : count(decided)
    } catch (error) {
      return broken(error)
    }
  }
}
