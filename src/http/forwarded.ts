/**
 * Who asked, from where, for what: the headers by which proxies tell the app what they saw (RFC 7239 and its older relatives). Anyone can
 * send them, so from anyone but a trusted proxy they are lies until proven otherwise (attacks H15, P11, P16):
 *
 * | headers | from a trusted proxy | from anyone else |
 * |---|---|---|
 * | X-Forwarded-For, Forwarded | kept, the peer appended | replaced by the peer (X-Forwarded-For), removed (Forwarded) |
 * | X-Forwarded-Proto, -Host | kept; added if missing | replaced by what the sidecar saw |
 * | X-Forwarded-Port and the other {@link ORIGIN_HEADERS}, {@link FOREIGN_IDENTITY_HEADERS} | kept | removed |
 * | {@link OVERRIDE_HEADERS} | removed | removed |
 */
import { isIPv6 } from 'node:net'
import { compileCidrs, plainAddress } from '../lib/cidr.ts'
import { compileNames, indexOf, valuesOf } from './header-names.ts'

/** They make a framework route another path or method than the one that was authorised. No proxy is trusted with that. */
export const OVERRIDE_HEADERS = [
  'X-Original-URL', 'X-Rewrite-URL', 'X-Original-URI', 'X-Original-Path', 'X-Override-URL', 'X-Proxy-URL', 'X-Waws-Unencoded-Url', 'X-Request-URI',
  'X-Forwarded-Uri', 'X-Forwarded-Path', 'X-Forwarded-Method', 'X-Envoy-Original-Path', 'X-Envoy-Original-Method', 'X-Original-Method',
  'X-HTTP-Method', 'X-HTTP-Method-Override', 'X-Method-Override', 'X-HTTP-Path-Override',
] as const

/** They tell where a request came from: address, scheme, host and port that the client used, its certificate. Trusted proxies may say so. */
export const ORIGIN_HEADERS = [
  'X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Forwarded-Port', 'Forwarded',
  'X-Forwarded-Prefix', 'X-Forwarded-Server', 'X-Forwarded-Scheme', 'X-Forwarded-Protocol', 'X-Forwarded-Ssl', 'X-Forwarded-Client-Cert', 'X-Forwarded',
  'X-Original-Forwarded-For', 'X-Original-Host', 'X-Original-Proto', 'X-Host', 'X-HTTP-Host-Override', 'X-Scheme', 'X-Url-Scheme', 'Front-End-Https',
  'X-Real-IP', 'X-Client-IP', 'Client-IP', 'True-Client-IP', 'X-Cluster-Client-IP', 'CF-Connecting-IP', 'Fastly-Client-IP', 'X-Azure-ClientIP',
  'X-Envoy-External-Address', 'X-Envoy-Internal', 'X-Envoy-Original-Host',
] as const

/**
 * By these other proxies (oauth2-proxy, Google IAP, AWS ALB, Azure, kube-rbac-proxy, Apache) tell an app who the client is. An app that
 * was once behind one of them may still believe them. What is verified by itself, such as a signed assertion, is not here.
 */
export const FOREIGN_IDENTITY_HEADERS = [
  'Remote-User', 'X-Remote-User', 'X-Remote-Group', 'X-Remote-Groups', 'X-WebAuth-User', 'X-Authenticated-User', 'X-Authenticated-UserId', 'X-Authenticated-Scope',
  'X-Forwarded-User', 'X-Forwarded-Email', 'X-Forwarded-Groups', 'X-Forwarded-Preferred-Username',
  'X-Auth-Request-User', 'X-Auth-Request-Email', 'X-Auth-Request-Groups', 'X-Auth-Request-Preferred-Username',
  'X-Goog-Authenticated-User-Email', 'X-Goog-Authenticated-User-Id', 'X-Amzn-Oidc-Identity', 'CF-Access-Authenticated-User-Email',
  'X-MS-Client-Principal', 'X-MS-Client-Principal-Id', 'X-MS-Client-Principal-Name', 'X-SSL-Client-CN', 'X-SSL-Client-DN', 'X-SSL-Client-S-DN', 'X-Client-DN',
] as const

/** The forwarding policy, compiled. */
export interface Forwarding {
  /** Whether a header of a request from this peer must be removed (before {@link Forwarding.write}), in any spelling. */
  readonly strips: (name: string, peer: string) => boolean
  /**
   * Appends the sidecar's own forwarding headers to `out`.
   * @param headers the request's headers as received
   * @param out the end-to-end headers for the app, from which {@link Forwarding.strips} is already gone
   */
  readonly write: (headers: readonly string[], peer: string, out: string[]) => void
}

const isOverride = compileNames(OVERRIDE_HEADERS)
const isOrigin = compileNames([...ORIGIN_HEADERS, ...FOREIGN_IDENTITY_HEADERS])
/** Those that {@link Forwarding.write} writes anew even for a trusted proxy. */
const isRewritten = compileNames(['X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'Forwarded'])

/**
 * Compiles `forwarded.trustedProxies`.
 * @throws an Error that names a block that is not a CIDR
 */
export function compileForwarding(trustedProxies: readonly string[]): Forwarding {
  const isTrusted = compileCidrs(trustedProxies)
  return {
    strips: (name, peer) => isOverride(name) || (isTrusted(peer) ? isRewritten(name) : isOrigin(name)),
    write: (headers, peer, out) => {
      const ip = plainAddress(peer)
      if (isTrusted(peer)) append(headers, ip, out)
      else replace(headers, ip, out)
    },
  }
}

function replace(headers: readonly string[], ip: string, out: string[]): void {
  out.push('X-Forwarded-For', ip, 'X-Forwarded-Proto', 'http')
  const host = indexOf(headers, 'host')
  if (host >= 0) out.push('X-Forwarded-Host', headers[host + 1]!)
}

function append(headers: readonly string[], ip: string, out: string[]): void {
  out.push('X-Forwarded-For', [...valuesOf(headers, 'x-forwarded-for'), ip].join(', '))
  const [proto = 'http'] = valuesOf(headers, 'x-forwarded-proto')
  const [host] = [...valuesOf(headers, 'x-forwarded-host'), ...valuesOf(headers, 'host')]
  out.push('X-Forwarded-Proto', proto)
  if (host !== undefined) out.push('X-Forwarded-Host', host)
  const elements = valuesOf(headers, 'forwarded')
  if (elements.length > 0) out.push('Forwarded', [...elements, `for=${isIPv6(ip) ? `"[${ip}]"` : ip}`].join(', '))
}
