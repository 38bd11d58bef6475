/**
 * The pipeline: one request head in, one verdict out, in the order of ARCHITECTURE.md. It touches no socket, no clock, no
 * file and no configuration; it is synchronous whenever the token's answer is known.
 *
 * 1 normalise or refuse, 2 strip, 3 match, 4 extract, 5 verify, 6 authorise, 7 decorate, 8 forward (the transport's), 9 observe (the caller's).
 */
import type { Extraction, Extractor } from '../auth/extract.ts'
import type { Identity } from '../auth/identity.ts'
import type { Authenticator, Principal } from '../auth/types.ts'
import { formatAddress } from '../config/values.ts'
import type { Address, Listener, RequestHead } from '../http/contract.ts'
import type { Forwarding } from '../http/forwarded.ts'
import { compileNames, valuesOf } from '../http/header-names.ts'
import { endToEnd, isHopByHop, readUpgrade } from '../http/hop-by-hop.ts'
import { readHost } from '../http/host.ts'
import { readTarget } from '../http/path.ts'
import type { MakeReply } from '../http/reply.ts'
import { authorise } from '../policy/require.ts'
import type { Rules } from '../policy/rules.ts'
import type { CompiledRule, PolicyRequest } from '../policy/types.ts'
import { deny, isDenial, type Denial, type Reason } from '../telemetry/reason.ts'
import { NO_RULE, type Decided, type Ruling } from './decision.ts'

/** The compiled parts that the pipeline is made of. All immutable but the authenticator, which owns keys and cache. */
export interface Pipeline {
  readonly mode: 'enforce' | 'audit'
  readonly targetBytes: number
  readonly upgrades: ReadonlySet<string>
  readonly upstreamOf: (listener: Listener) => Address
  readonly rules: Rules
  readonly extract: Extractor
  /** Names of the headers that carry tokens. */
  readonly tokenHeaders: readonly string[]
  readonly forwardToken: boolean
  readonly authenticator: Authenticator
  readonly identity: Identity
  readonly forwarding: Forwarding
  readonly replies: MakeReply
  /** Called for a request that carried a header of ours. */
  readonly forged: () => void
}

/** What stages 1 to 3 found out about a request. */
interface Matched {
  readonly head: RequestHead
  /** The target to send: the request's own, or that without a token in the query. */
  readonly target: string
  readonly upgrade: string | undefined
  /** End-to-end headers, ours not yet among them. */
  readonly kept: string[]
  readonly request: PolicyRequest
  /** Undefined when none matched, which only audit mode lets live. */
  readonly rule: CompiledRule | undefined
}

/** Fields that a trailer must not carry (RFC 9110 section 6.5.1): framing, routing, modifiers, authentication. */
const NEVER_TRAILERS = ['Host', 'Content-Length', 'Content-Encoding', 'Content-Type', 'Content-Range', 'Authorization', 'Cookie', 'Expect', 'Cache-Control', 'Max-Forwards', 'Range']

/** Makes the pipeline of one configuration. The function it returns has no state. */
export function createDecide(pipeline: Pipeline): (head: RequestHead) => Decided | Promise<Decided> {
  const { authenticator, extract, forwarding, identity, rules } = pipeline
  const neverTrailer = compileNames([...NEVER_TRAILERS, ...pipeline.tokenHeaders])
  const dropsTrailer = (name: string) => isHopByHop(name) || neverTrailer(name) || identity.protects(name) || forwarding.strips(name, '')

  return function decide(head) {
    // 1. Normalise or refuse. What is refused here is refused in audit mode, too: nobody could say what was forwarded.
    if (head.method === 'CONNECT' || head.method === 'TRACE') return refuse(deny('method_refused'))
    const target = readTarget(head.target, pipeline.targetBytes)
    if (isDenial(target)) return refuse(target)
    const host = readHost(head.headers, head.version)
    if (isDenial(host)) return refuse(host)
    const upgrade = upgradeOf(head)
    if (isDenial(upgrade)) return refuse(upgrade)

    // 2. Strip: hop-by-hop, identity in any spelling, forwarding lies, the token. On every route, before anything of ours is added.
    const extraction = extract(head)
    const kept = strip(head, extraction)
    if (isDenial(kept)) return refuse(kept)

    // 3. Match, by the headers that the app will get: one that `Connection` takes away is not there (attack P24).
    const request: PolicyRequest = { method: head.method, path: target.decoded, host, headers: kept }
    const rule = rules.match(request)
    if (isDenial(rule)) {
      const unmatched: Matched = { head, target: extraction.target, upgrade, kept, request, rule: undefined }
      return rule.denied === 'no_rule' ? denied(unmatched, rule, undefined) : refuse(rule)
    }
    const matched: Matched = { head, target: extraction.target, upgrade, kept, request, rule }
    if (rule.access === 'anonymous') return forward(matched, 'allow', 'anonymous', undefined)

    // 4. Extract.
    const { token } = extraction
    if (token === undefined) return rule.access === 'optional' ? forward(matched, 'allow', 'optional', undefined) : denied(matched, deny('token_missing'), undefined)
    if (isDenial(token)) return denied(matched, token, undefined)

    // 5. Verify.
    const verified = authenticator.authenticate(token)
    return verified instanceof Promise ? verified.then((result) => authorised(matched, result)) : authorised(matched, verified)
  }

  function authorised(matched: Matched, verified: Principal | Denial): Decided {
    if (isDenial(verified)) return denied(matched, verified, undefined)
    // 6. Authorise.
    const denial = authorise(matched.rule!, verified, matched.request)
    return denial === undefined ? forward(matched, 'allow', 'allowed', verified) : denied(matched, denial, verified)
  }

  /** 7. Decorate, and hand over to 8, the transport. */
  function forward(matched: Matched, ruling: Ruling, reason: Reason, principal: Principal | undefined, denial?: Denial): Decided {
    const { head, kept, rule, target, upgrade } = matched
    const unencodable = principal === undefined ? undefined : identity.write(principal, kept)
    // In audit mode the request is already known to be bad and goes on bare; the first reason stands.
    if (unencodable !== undefined && ruling === 'allow') return denied(matched, unencodable, principal)
    forwarding.write(head.headers, head.peer, kept)
    const upstream = pipeline.upstreamOf(head.listener)
    // HTTP/1.0 may come without a Host; what is forwarded is HTTP/1.1, which must have one.
    if (matched.request.host === '') kept.push('Host', formatAddress(upstream))
    return {
      kind: 'forward',
      upstream,
      headers: kept,
      target,
      upgrade,
      dropsResponseHeader: identity.dropsResponseHeader,
      dropsTrailer,
      // On trial nothing is cut off.
      watched: principal !== undefined && rule !== undefined && rule.closeOnExpiry && modeOf(rule) === 'enforce',
      decision: { ruling, reason, rule: rule?.name ?? NO_RULE, principal, issuer: principal?.issuer ?? denial?.issuer, detail: denial?.detail },
    }
  }

  function modeOf(rule: CompiledRule | undefined): Pipeline['mode'] {
    return rule?.mode ?? pipeline.mode
  }

  /** A denial by stages 3 to 7: a reply, or in audit mode a forward that is counted as what it is. */
  function denied(matched: Matched, denial: Denial, principal: Principal | undefined): Decided {
    const { rule } = matched
    const { denied: reason, detail } = denial
    if (modeOf(rule) === 'audit') return forward(matched, 'audit', reason, reason === 'identity_unencodable' ? undefined : principal, denial)
    return { ...pipeline.replies(reason, rule?.scope), decision: { ruling: 'deny', reason, rule: rule?.name ?? NO_RULE, principal, issuer: principal?.issuer ?? denial.issuer, detail } }
  }

  /** A denial that audit mode does not forward: by stages 1 and 2, and by 3 for a path that could be two. */
  function refuse({ denied: reason, detail }: Denial): Decided {
    return { ...pipeline.replies(reason), decision: { ruling: 'deny', reason, rule: NO_RULE, principal: undefined, issuer: undefined, detail } }
  }

  function upgradeOf(head: RequestHead): string | undefined | Denial {
    // RFC 9110 section 7.8: an HTTP/1.0 request has no Upgrade.
    const upgrade = head.version === '1.0' ? undefined : readUpgrade(head.headers, pipeline.upgrades)
    if (upgrade === undefined) return undefined
    if (hasBody(head.headers)) return deny('upgrade_refused', 'an upgrade with a body')
    return upgrade === 'websocket' && head.method !== 'GET' ? deny('upgrade_refused', 'a WebSocket handshake is a GET') : upgrade
  }

  function strip(head: RequestHead, { edits }: Extraction): string[] | Denial {
    let forged = false
    const kept = endToEnd(head.headers, (name) => {
      if (identity.protects(name)) return (forged = true)
      return forwarding.strips(name, head.peer)
    }, pipeline.forwardToken ? edits.filter(({ always }) => always) : edits)
    if (forged) pipeline.forged()
    return kept
  }
}

function hasBody(headers: readonly string[]): boolean {
  return valuesOf(headers, 'transfer-encoding').length > 0 || valuesOf(headers, 'content-length').some((length) => length !== '0')
}
