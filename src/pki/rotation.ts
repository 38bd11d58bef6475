/**
 * The life of the webhook's certificate authority, as a function of time: what should be trusted and what should sign at this moment,
 * given what there was. No clock, no cluster: those are the caller's.
 *
 *   made ---------- 2/3 of its life: the next one is made and trusted ---- overlap later: the next one signs ---- overlap and a leaf's
 *   life later: the old one is no longer trusted.
 *
 * At every moment a leaf made by any replica is under an authority that has been in the bundle for an overlap, and stays in it until no such leaf is left.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createAuthority, type KeyPair } from './authority.ts'

/** Signs now, or after `since + overlap`. Times are Unix milliseconds. */
export interface Signer extends KeyPair {
  readonly since: number
}

export interface AuthorityState {
  readonly active: Signer
  /** Trusted, does not sign yet. */
  readonly next?: Signer | undefined
  /** Signed once; trusted until then. Their keys are gone. */
  readonly previous: readonly { readonly cert: string, readonly until: number }[]
}

export interface RotationPolicy {
  readonly caValidityMs: number
  readonly leafValidityMs: number
  readonly overlapMs: number
}

/** Between the clocks of replicas, beyond what certificates are backdated: no reason to make another authority. */
const SKEW_MS = 60_000

const notAfter = (cert: string): number => new X509Certificate(cert).validToDate.getTime()
const isInForce = (cert: string, now: number): boolean => new X509Certificate(cert).validFromDate.getTime() <= now + SKEW_MS && now < notAfter(cert)

/** Whether an authority of the state may sign now. One that was made by a replica whose clock was ahead is not valid yet. */
export function canSign({ active, next }: AuthorityState, now: number): boolean {
  return isInForce(active.cert, now) || (next !== undefined && isInForce(next.cert, now))
}

/** Two authorities of one cluster differ in their subject, so that a verifier never picks the wrong one of a bundle. */
async function newSigner(now: number, { caValidityMs }: RotationPolicy): Promise<Signer> {
  return { ...await createAuthority(`sidegate webhook CA ${new Date(now).toISOString()}`, { now, validityMs: caValidityMs }), since: now }
}

/** When the next authority should be made: two thirds into the active one's life. */
function renewalTime({ active }: AuthorityState): number {
  return active.since + (notAfter(active.cert) - active.since) * 2 / 3
}

function promote(state: AuthorityState, next: Signer, now: number, { leafValidityMs, overlapMs }: RotationPolicy): AuthorityState {
  return {
    active: { ...next, since: next.since },
    previous: [...state.previous, { cert: state.active.cert, until: now + leafValidityMs + overlapMs }],
  }
}

/**
 * Moves the state to where it should be now.
 * @param published whether the API server has been given this certificate to trust; a signer that it does not trust is not promoted
 * @returns the same object when nothing is to be done
 */
export async function advance(
  state: AuthorityState | undefined, now: number, policy: RotationPolicy, published: (cert: string) => boolean,
): Promise<AuthorityState> {
  if (!state) return { active: await newSigner(now, policy), previous: [] }
  let current = state
  const useless = !isInForce(current.active.cert, now)
  if (current.next && isInForce(current.next.cert, now) && (useless || (now >= current.next.since + policy.overlapMs && published(current.next.cert)))) {
    current = promote(current, current.next, now, policy)
  }
  // Nobody looked for so long that even the next one has expired, or somebody's clock was far ahead: there is nothing to overlap with. What signed before stays trusted.
  if (!isInForce(current.active.cert, now)) current = { active: await newSigner(now, policy), previous: current.previous }
  if (!current.next && now >= renewalTime(current)) current = { ...current, next: await newSigner(now, policy) }
  if (current.previous.some(({ until }) => until <= now)) {
    current = { ...current, previous: current.previous.filter(({ until }) => until > now) }
  }
  return current
}

/** Everything that the API server should trust now, PEM. */
export function trustBundle({ active, next, previous }: AuthorityState): string {
  return [active.cert, ...next ? [next.cert] : [], ...previous.map(({ cert }) => cert)].map((pem) => pem.trim()).join('\n') + '\n'
}

/** Whether a bundle has a certificate, whatever the line ends. */
export function bundleHas(bundle: string, cert: string): boolean {
  const squeeze = (pem: string) => pem.replaceAll(/\s/g, '')
  return squeeze(bundle).includes(squeeze(cert))
}

/** The state as a Secret's data (base64 values). `tls.crt`, `tls.key` and `ca.crt` are where people look for them. */
export function encodeState(state: AuthorityState): Record<string, string> {
  const rest = { since: state.active.since, next: state.next, previous: state.previous }
  const data = { 'tls.crt': state.active.cert, 'tls.key': state.active.key, 'ca.crt': trustBundle(state), 'rotation.json': JSON.stringify(rest) }
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]))
}

function isPair({ cert, key }: KeyPair): boolean {
  return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))
}

/**
 * Reads the state back.
 * @returns undefined when the Secret does not hold a usable one: somebody emptied or edited it
 */
export function decodeState(data: Readonly<Record<string, string>> | undefined): AuthorityState | undefined {
  try {
    const text = (key: string) => Buffer.from(data![key]!, 'base64').toString('utf8')
    const rest = JSON.parse(text('rotation.json')) as { since: number, next?: Signer, previous: AuthorityState['previous'] }
    const state: AuthorityState = { active: { cert: text('tls.crt'), key: text('tls.key'), since: rest.since }, next: rest.next, previous: rest.previous }
    const sound = isPair(state.active) && (!state.next || isPair(state.next)) && state.previous.every(({ cert }) => notAfter(cert) > 0)
    return sound && Number.isFinite(rest.since) ? state : undefined
  } catch {
    return undefined
  }
}
