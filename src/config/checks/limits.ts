/** Everything else that only makes sense together: limits, forwarding, upgrades, deny-list, probes. */
import { parseCidr } from '../../lib/cidr.ts'
import { didYouMean } from '../../lib/similar.ts'
import type { Reports } from '../problem.ts'
import type { Draft } from '../validate.ts'
import { parseTime } from '../values.ts'

export function checkLimits(draft: Draft, reports: Reports): void {
  checkSizes(draft, reports)
  checkForwarded(draft, reports)
  checkDenylist(draft, reports)
  for (const [index, protocol] of draft.upgrades?.entries() ?? []) {
    if (protocol === 'h2c' || protocol === 'http/2.0') reports.error(['upgrades', index], 'would open a tunnel in which requests pass without being looked at; remove it')
  }
  for (const [name, probe] of Object.entries(draft.probes ?? {})) {
    if (probe === undefined) continue
    const { path, type } = probe
    if (path !== undefined && !path.startsWith('/')) reports.error(['probes', name, 'path'], 'must begin with /')
    if (path !== undefined && (type === 'tcp' || type === 'grpc')) reports.error(['probes', name, 'path'], `a ${type} probe has no path; remove it`)
  }
}

function checkSizes({ limits }: Draft, { error, warn }: Reports): void {
  if (limits === undefined) return
  for (const [name, value] of Object.entries(limits)) {
    if (value === 0 && name !== 'upstreamTimeout') error(['limits', name], 'must be more than 0: there is no "unlimited" here')
  }
  for (const name of ['targetBytes', 'tokenBytes'] as const) {
    const [bytes, most] = [limits[name], limits.headerBytes]
    if (bytes !== undefined && most !== undefined && bytes > most) warn(['limits', name], `is more than limits.headerBytes (${most}), which holds for the whole head`)
  }
}

function checkForwarded({ forwarded }: Draft, { error, warn }: Reports): void {
  for (const [index, block] of forwarded?.trustedProxies?.entries() ?? []) {
    const path = ['forwarded', 'trustedProxies', index]
    const parsed = parseCidr(block)
    if (parsed === undefined) error(path, `${JSON.stringify(block)} is not a CIDR block; write for example 10.0.0.0/8 or fd00::/8`)
    else if (parsed.bits === 0) warn(path, 'trusts everyone: every client can then say that it is another')
  }
}

function checkDenylist({ denylist, issuers }: Draft, { error }: Reports): void {
  const names = (issuers ?? []).flatMap((issuer) => issuer?.name === undefined ? [] : [issuer.name])
  for (const [index, { issuer, time }] of denylist?.issuedBefore?.entries() ?? []) {
    const path = ['denylist', 'issuedBefore', index]
    if (issuer !== undefined && !names.includes(issuer)) error([...path, 'issuer'], `${issuer} is no issuer's name${didYouMean(issuer, names)}`)
    if (parseTime(time) === undefined) error([...path, 'time'], `${typeof time === 'string' ? JSON.stringify(time) : time} is not a time; write Unix seconds or RFC 3339, such as 2026-01-31T12:00:00Z`)
  }
}
