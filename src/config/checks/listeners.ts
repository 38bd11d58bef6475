/** Addresses: what may be listened on, what may be forwarded to, and that no two clash. */
import type { Address } from '../../http/contract.ts'
import { formatPath, type ConfigPath, type Reports } from '../problem.ts'
import type { Draft } from '../validate.ts'
import { formatAddress, isLoopback } from '../values.ts'

interface Bound {
  readonly path: ConfigPath
  readonly address: Address
}

export function checkListeners(draft: Draft, { error, warn }: Reports): void {
  for (const [index, listener] of draft.listeners?.entries() ?? []) {
    const path = ['listeners', index]
    const { upstream, allowRemoteUpstream } = listener ?? {}
    if (upstream === undefined) continue
    if (upstream.port === 0) error([...path, 'upstream'], 'port 0 is no port to send to: write the app\'s own')
    if (!isLoopback(upstream.host) && !allowRemoteUpstream) {
      error([...path, 'upstream'], `${upstream.host} is not loopback, so traffic would leave the pod in the clear; write 127.0.0.1:${upstream.port}, or set allowRemoteUpstream: true if that is meant`)
    }
    if (allowRemoteUpstream && isLoopback(upstream.host)) warn([...path, 'allowRemoteUpstream'], 'the upstream is loopback, so this is not needed; remove it')
  }
  if (draft.admin && !isLoopback(draft.admin.bind.host)) {
    error(['admin', 'bind'], `the admin page is for this pod only; write 127.0.0.1:${draft.admin.bind.port}, or admin: false to switch it off`)
  }
  checkClashes(draft, error)
}

/** Everything we listen on must be different, and nothing may be forwarded to ourselves. */
function checkClashes(draft: Draft, error: Reports['error']): void {
  const listeners = (draft.listeners ?? []).flatMap((listener, index) => listener?.bind ? [{ path: ['listeners', index, 'bind'], address: listener.bind }] : [])
  const bound: Bound[] = [
    ...listeners,
    ...draft.admin ? [{ path: ['admin', 'bind'], address: draft.admin.bind }] : [],
    ...draft.health ? [{ path: ['health', 'bind'], address: draft.health.bind }] : [],
  ]
  for (const [index, { path, address }] of bound.entries()) {
    const other = bound.slice(0, index).find((earlier) => overlaps(earlier.address, address))
    if (other) error(path, `${formatAddress(address)} is taken by ${formatAddress(other.address)} of ${formatPath(other.path)}; give each its own port`)
  }
  for (const [index, listener] of draft.listeners?.entries() ?? []) {
    const upstream = listener?.upstream
    const self = upstream && bound.find(({ address }) => overlaps(address, upstream))
    if (self) error(['listeners', index, 'upstream'], `${formatAddress(upstream)} is the sidecar itself (${formatPath(self.path)}), requests would go in a circle; write the app's own port`)
  }
}

const WILDCARDS = new Set(['0.0.0.0', '::'])

/** Whether two addresses cannot both be listened on. Port 0 is a free port, which is never taken. */
function overlaps(a: Address, b: Address): boolean {
  if (a.port !== b.port || a.port === 0) return false
  return sameHost(a) === sameHost(b) || WILDCARDS.has(a.host) || WILDCARDS.has(b.host)
}

const sameHost = ({ host }: Address) => host === 'localhost' ? '127.0.0.1' : host.toLowerCase()
