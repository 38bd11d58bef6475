/** What a client reads when the sidecar answers by itself: status, challenge (RFC 6750 section 3) and a small JSON body, from the reason table. */
import { REASONS, type Reason } from '../telemetry/reason.ts'
import type { Reply } from './contract.ts'

/** Makes the reply for a reason. `scope` is what the rule asks for; it appears only with `scope_insufficient`. */
export type MakeReply = (reason: Reason, scope?: string) => Reply

const TITLES: Readonly<Record<number, string>> = {
  400: 'bad_request', 401: 'unauthorized', 403: 'forbidden', 405: 'method_not_allowed', 408: 'request_timeout', 414: 'uri_too_long', 417: 'expectation_failed',
  431: 'request_header_fields_too_large', 500: 'internal_error', 502: 'bad_gateway', 503: 'unavailable', 504: 'gateway_timeout', 505: 'http_version_not_supported',
}

/**
 * Prepares the replies of one configuration. Every reason of one class gives the same bytes: which check failed is the log's
 * business (attack T25).
 * @param realm of the challenge; empty for none. Printable ASCII without quote and backslash (the schema checks it)
 */
export function createReplies(realm: string): MakeReply {
  const made = new Map<string, Reply>()
  return (reason, scope) => {
    // As many as there are rules that ask for different scopes.
    const asked = reason === 'scope_insufficient' ? scope : undefined
    const key = asked === undefined ? reason : `${reason} ${asked}`
    let reply = made.get(key)
    if (reply === undefined) made.set(key, reply = build(reason, realm, asked))
    return reply
  }
}

function build(reason: Reason, realm: string, scope?: string): Reply {
  const { status, challenge, message } = REASONS[reason]
  if (status === 0) throw new Error(`reason ${reason} has no reply`)
  const coded = challenge !== 'none' && challenge !== 'bearer'
  const headers = ['Content-Type', 'application/json', 'Cache-Control', 'no-store']
  if (challenge !== 'none') headers.push('WWW-Authenticate', challengeOf(realm, coded ? challenge : undefined, message, scope))
  // RFC 9110 section 15.5.6: a 405 names what is allowed.
  if (status === 405) headers.push('Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS')
  if (status === 503) headers.push('Retry-After', '1')
  const body = JSON.stringify({ error: coded ? challenge : TITLES[status] ?? 'error', message })
  return { kind: 'reply', status, headers, body: `${body}\n` }
}

/** `Bearer` with its parameters. Without a token in the request there is no error code (RFC 6750 section 3.1). */
function challengeOf(realm: string, error: string | undefined, message: string, scope: string | undefined): string {
  const parts: string[] = []
  if (realm !== '') parts.push(`realm="${realm}"`)
  if (error !== undefined) parts.push(`error="${error}"`, `error_description="${message}"`)
  // RFC 6749 section 3.3: a scope token never holds a quote or backslash; one that does is not worth naming.
  if (scope !== undefined && /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/.test(scope)) parts.push(`scope="${scope}"`)
  return parts.length === 0 ? 'Bearer' : `Bearer ${parts.join(', ')}`
}
