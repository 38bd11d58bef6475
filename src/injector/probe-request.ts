/** What the kubelet would have asked of an http probe's target (pkg/probe/http/request.go), for the sidecar to ask in its place. */
import { refuse, type HttpGet, type Refusal } from './pod.ts'

/** RFC 9110 section 5.6.2. */
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const CONTROL = /[\x00-\x1f\x7f]/
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for; a tab may be in a header's value
const CONTROL_BUT_TAB = /[\x00-\x08\x0a-\x1f\x7f]/

/** What Go's net/url leaves as it is in a path that is encoded already. */
const ENCODED_PATH = /^(?:[\w.~$&+,/:;=@!'()*[\]-]|%[0-9A-Fa-f]{2})*$/
const BAD_ESCAPE = /%(?![0-9A-Fa-f]{2})/
/** Scheme and host of a path that is a whole URL: the kubelet puts its own in their place. */
const ORIGIN = /^(?:[A-Za-z][A-Za-z0-9+.-]*:\/\/|\/\/(?!\/))[^/?]*/

/** One character for each byte of UTF-8. */
const bytesOf = (text: string) => Buffer.from(text).toString('latin1')
const escaped = (bytes: string, keep: RegExp) => bytes.replaceAll(keep, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
const NOT_IN_PATH = /[^\w.~$&+,/:;=@-]/g
const NOT_IN_QUERY = /[^\x21-\x7e]/g

/**
 * The request target that the kubelet makes of a probe's path: Go's url.Parse, and the whole text as a path where that fails. The fragment is not
 * sent. In one thing not as there: Go sends a space in the query as it is, which no server can read.
 * @returns path and query, visible ASCII
 */
export function requestTarget(text: string): string {
  const slashed = (path: string) => (path.startsWith('/') ? path : `/${path}`)
  const [, target, fragment] = /^([^#]*)#?([^]*)$/.exec(text)!
  const [, path, query] = /^([^?]*)(?:\?([^]*))?$/.exec(target!.replace(ORIGIN, ''))!
  if (CONTROL.test(target!) || BAD_ESCAPE.test(path!)) return slashed(escaped(bytesOf(target!), NOT_IN_PATH))
  if (BAD_ESCAPE.test(fragment!)) return slashed(escaped(bytesOf(text), NOT_IN_PATH))
  const search = query === undefined ? '' : `?${escaped(bytesOf(query), NOT_IN_QUERY)}`
  if (ENCODED_PATH.test(path!)) return slashed(path!) + search
  const decoded = bytesOf(path!).replaceAll(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return slashed(escaped(decoded, NOT_IN_PATH)) + search
}

/**
 * The http part of a probe in the sidecar's configuration.
 * @param where such as `livenessProbe of container "app"`, for the refusal of a header that nobody could send
 */
export function describeHttp({ scheme, path, httpHeaders }: HttpGet, where: string): Record<string, unknown> | Refusal {
  const all = (httpHeaders ?? []).map(({ name, value }) => ({ name, value: value ?? '' }))
  for (const { name, value } of all) {
    const shown = JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}...` : name)
    if (!HEADER_NAME.test(name)) return refuse(`${where} has a header named ${shown}, which is not an HTTP header name. Use letters, digits and "-".`)
    if (CONTROL_BUT_TAB.test(value)) return refuse(`${where} has control characters in the value of its header ${shown}, with which no request can be sent. Remove them.`)
  }
  const isHost = ({ name }: { name: string }) => name.toLowerCase() === 'host'
  const host = all.find(isHost)?.value
  const headers = all.filter((header) => !isHost(header))
  return { type: scheme === 'HTTPS' ? 'https' : 'http', path: requestTarget(path ?? ''), ...(host && { host }), ...(headers.length > 0 && { headers }) }
}
