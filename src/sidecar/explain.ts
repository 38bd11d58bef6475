/**
 * `sidegate explain`: one request through the pipeline, told stage by stage. The verdict is that of the real pipeline, run once with the
 * real keys; what is told around it is read off its decision, so the tale cannot differ from what a sidecar does.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { compileExtractor } from '../auth/extract.ts'
import { compileIdentity } from '../auth/identity.ts'
import { createJwsParser } from '../auth/jws.ts'
import { parseStrictObject } from '../auth/strict-json.ts'
import type { Config, TokenSourceConfig } from '../config/schema.ts'
import { formatAddress } from '../config/values.ts'
import type { RequestHead } from '../http/contract.ts'
import { compileForwarding } from '../http/forwarded.ts'
import { isHopByHop, nominated } from '../http/hop-by-hop.ts'
import { readTarget } from '../http/path.ts'
import { ruleName } from '../policy/rules.ts'
import { systemClock } from '../lib/clock.ts'
import { createLineLimit } from '../telemetry/line-limit.ts'
import { createLog } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { isDenial, REASONS, type Reason } from '../telemetry/reason.ts'
import { NO_RULE, type Decided, type Decision } from './decision.ts'
import { createIssuerPool } from './issuer-pool.ts'
import { compileRuntime, type Runtime } from './runtime.ts'

export interface ExplainRequest {
  readonly method: string
  readonly target: string
  /** Flat list, without the token. `Host: app` is added where there is none. */
  readonly headers: readonly string[]
  /** Put where the configuration looks first. */
  readonly token: string | undefined
  /** Address of the client. */
  readonly peer: string
}

interface Explained {
  readonly lines: readonly string[]
  /** Whether the app would see the request. */
  readonly passes: boolean
}

/**
 * Explains what a sidecar with this configuration does with a request.
 * @param waitMs longest wait for the issuers' keys
 */
export async function explain(config: Config, request: ExplainRequest, waitMs: number): Promise<Explained> {
  const head = headOf(config, request)
  const silent = createLog({ level: 'error', sink: (bytes, done) => { setImmediate(done, null, bytes.length) } })
  const metrics = createMetrics()
  const limit = createLineLimit({ log: silent, metrics })
  const listeners = [head.listener]
  const runtime: Runtime = await compileRuntime(config, { log: silent, limit, metrics, clock: systemClock, pool: createIssuerPool({ log: silent }), listeners, current: () => runtime })
  try {
    const missing = request.token === undefined ? [] : await keysWithin(runtime, waitMs)
    const decided = await runtime.handler.decide(head) as Decided
    return { lines: [...missing.map((text) => `note: ${text}`), ...tell(config, head, decided)].map(printable), passes: decided.kind === 'forward' }
  } finally {
    runtime.dispose()
  }
}

/** Tokens and targets are strangers' text: nothing in them may drive a terminal. */
const printable = (line: string) => line.replaceAll(/[^\x20-\x7e\xa0-\uffff]/g, '?')

/** Waits until every issuer has keys; says which have none in the end. */
async function keysWithin(runtime: Runtime, waitMs: number): Promise<readonly string[]> {
  const missing = () => Object.entries(runtime.keyStates()).filter(([, { usable }]) => !usable)
  for (const deadline = Date.now() + waitMs; missing().length > 0 && Date.now() < deadline;) await sleep(20)
  return missing().map(([name, { lastError }]) => `issuer ${name} has no keys${lastError === undefined ? ' yet' : `: ${lastError}`}`)
}

function headOf(config: Config, { method, target, headers, token, peer }: ExplainRequest): RequestHead {
  const host = headers.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'host') ? [] : ['Host', 'app']
  const listener = { bind: config.listeners[0]!.bind, upstream: config.listeners[0]!.upstream }
  const head: RequestHead = { method, target, headers: [...host, ...headers], version: '1.1', peer, listener }
  return token === undefined ? head : withToken(head, config.tokens[0]!, token)
}

function withToken(head: RequestHead, source: TokenSourceConfig, token: string): RequestHead {
  if ('query' in source) return { ...head, target: `${head.target}${head.target.includes('?') ? '&' : '?'}${encodeURIComponent(source.query)}=${encodeURIComponent(token)}` }
  const field = 'cookie' in source ? ['Cookie', `${source.cookie}=${token}`] : [source.header, source.scheme === undefined ? token : `${source.scheme} ${token}`]
  return { ...head, headers: [...head.headers, ...field] }
}

const STAGES = ['target', 'headers', 'rule', 'token', 'verify', 'authorise', 'identity'] as const
type Stage = (typeof STAGES)[number]

/** Where each refusal that is not the verifier's comes from. */
const STOPS: Partial<Record<Reason, Stage>> = {
  method_refused: 'target', target_too_long: 'target', ambiguous_path: 'target', bad_host: 'target', upgrade_refused: 'target', protected_connection: 'headers',
  no_rule: 'rule', token_missing: 'token', scheme_unknown: 'token', token_ambiguous: 'token', scope_insufficient: 'authorise', role_missing: 'authorise', claim_mismatch: 'authorise',
  tenant_mismatch: 'authorise', issuer_refused: 'authorise', identity_unencodable: 'identity',
}

/** The stage that ended the way: for a request that passes, the last that had something to do. */
function stopOf({ ruling, reason, principal }: Decision): Stage {
  if (ruling === 'allow') return reason === 'anonymous' ? 'rule' : reason === 'optional' ? 'token' : 'identity'
  return STOPS[reason] ?? (principal === undefined ? 'verify' : 'identity')
}

function tell(config: Config, head: RequestHead, decided: Decided): readonly string[] {
  const { decision } = decided
  const stop = stopOf(decision)
  const reached = STAGES.slice(0, STAGES.indexOf(stop) + 1)
  const lines = reached.map((stage, i) => {
    const refused = stage === stop && decision.ruling !== 'allow'
    const said = refused ? `${decision.reason}${decision.detail === undefined ? '' : `: ${decision.detail}`}` : TELLERS[stage](config, head, decided)
    return `${i + 1} ${stage.padEnd(10)} ${refused ? 'no ' : 'ok '} ${said}`
  })
  const skipped = STAGES.slice(reached.length)
  return [
    `${head.method} ${hideQuery(head.target)}, Host ${head.headers[head.headers.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === 'host') + 1]}, from ${head.peer}`,
    ...lines,
    ...skipped.length > 0 ? [`  ${skipped.join(', ')}: not reached`] : [],
    ...outcome(decided),
  ]
}

/** Queries may hold tokens. */
const hideQuery = (target: string) => target.replace(/\?.*/, '?...')

const TELLERS: Readonly<Record<Stage, (config: Config, head: RequestHead, decided: Decided) => string>> = {
  target: ({ limits }, head) => {
    const target = readTarget(head.target, limits.targetBytes)
    return isDenial(target) || target.decoded === target.path ? 'one reading; forwarded byte for byte' : `matched as ${target.decoded}; forwarded byte for byte`
  },
  headers: (config, head) => {
    const removed = removedHeaders(config, head)
    return removed.length > 0 ? `removed ${removed.join(', ')}` : 'nothing to remove'
  },
  rule: ({ rules }, _, { decision: { rule } }) => {
    const config = rules?.find((one, i) => ruleName(one, i) === rule)
    const asks = config?.allow === undefined ? `needs a token${config?.require ? ` with ${JSON.stringify(config.require)}` : ''}` : `allows ${config.allow}`
    return `${rule} ${asks.replace(' with {}', '')}`
  },
  token: ({ tokens, limits }, head) => {
    const { token } = compileExtractor(tokens, limits.tokenBytes)(head)
    return typeof token === 'string' ? `says of itself: ${selfDescription(token)}` : 'none, and none is needed'
  },
  verify: (_, __, { decision: { principal } }) => principal === undefined ? 'no token' : `issuer ${principal.issuer}, subject ${JSON.stringify(principal.subject)}, ${principal.algorithm}, kid ${principal.kid ?? 'none'}`,
  authorise: () => 'every requirement is met',
  identity: ({ identity }, _, decided) => {
    const { protects } = compileIdentity(identity)
    const ours = decided.kind === 'forward' ? pairs(decided.headers).filter(([name]) => protects(name)) : []
    return ours.length > 0 ? ours.map(([name, value]) => `${name}: ${value}`).join(', ') : 'no header to add'
  },
}

/** Names of the headers that the app does not get, with the reason. */
function removedHeaders(config: Config, head: RequestHead): readonly string[] {
  const { protects } = compileIdentity(config.identity)
  const forwarding = compileForwarding(config.forwarded.trustedProxies)
  const { edits } = compileExtractor(config.tokens, config.limits.tokenBytes)(head)
  const named = nominated(head.headers)
  const why = (name: string, index: number) => {
    if (protects(name)) return 'identity'
    if (isHopByHop(name)) return 'hop-by-hop'
    if (named.includes(name.toLowerCase())) return 'named by Connection'
    if (edits.some((edit) => edit.index === index * 2)) return config.identity.forwardToken ? undefined : 'token'
    return forwarding.strips(name, head.peer) ? 'forwarding' : undefined
  }
  return pairs(head.headers).flatMap(([name], index) => {
    const reason = why(name, index)
    return reason === undefined ? [] : [`${name} (${reason})`]
  })
}

function pairs(flat: readonly string[]): (readonly [name: string, value: string])[] {
  return flat.flatMap((name, i) => i % 2 === 0 ? [[name, flat[i + 1]!] as const] : [])
}

/** What a token says, believed by nobody: the claims that the verifier looks at, never the signature. */
function selfDescription(token: string): string {
  const jws = createJwsParser().parse(token)
  if (isDenial(jws)) return `${jws.denied}${jws.detail === undefined ? '' : `, ${jws.detail}`}`
  const claims = parseStrictObject(jws.payload) ?? {}
  const times = (['exp', 'nbf', 'iat'] as const).flatMap((name) => typeof claims[name] === 'number' ? [`${name} ${relative(claims[name])}`] : [])
  const { alg, kid, typ } = jws.header
  return [`alg ${alg}`, `kid ${kid ?? 'none'}`, ...typ === undefined ? [] : [`typ ${typ}`], `iss ${JSON.stringify(claims['iss'])}`, `aud ${JSON.stringify(claims['aud'])}`, ...times].join(', ')
}

const UNITS = [['d', 86_400], ['h', 3600], ['min', 60], ['s', 1]] as const

/** Unix seconds as people see it from now: in the largest unit of which there are at least two. */
function relative(seconds: number): string {
  const distance = seconds - Date.now() / 1000
  const [unit, length] = UNITS.find(([, length]) => Math.abs(distance) >= 2 * length) ?? ['s', 1]
  const count = `${Math.round(Math.abs(distance) / length)} ${unit}`
  return distance >= 0 ? `in ${count}` : `${count} ago`
}

function outcome(decided: Decided): readonly string[] {
  const { ruling, reason, rule } = decided.decision
  const where = rule === NO_RULE ? '' : ` by rule ${rule}`
  if (decided.kind === 'reply') {
    const challenge = pairs(decided.headers).find(([name]) => name === 'WWW-Authenticate')
    return [`=> DENIED${where}: ${reason}. ${REASONS[reason].explains}`, `   The client reads ${decided.status}${challenge ? `, WWW-Authenticate: ${challenge[1]}` : ''}`]
  }
  const how = ruling === 'audit' ? `FORWARDED${where} in audit mode, although ${reason}: ${REASONS[reason].explains}` : `FORWARDED${where}: ${reason}`
  return [`=> ${how}`, `   to ${formatAddress(decided.upstream)} with the headers ${pairs(decided.headers).map(([name]) => name).join(', ')}`]
}
