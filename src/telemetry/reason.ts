/**
 * The one table of reasons. A reason is the metric label, the log field, the row in docs/reasons.md and the source of the
 * client's answer (status, challenge, public message). The client learns the class, the log learns the cause: every
 * `invalid_token` reason answers with the same bytes (RFC 6750 section 3.1; attack T25).
 */

/**
 * What goes into `WWW-Authenticate` (RFC 6750 section 3):
 * `none` no header; `bearer` the bare challenge (no token was offered); else the error code.
 */
export type Challenge = 'none' | 'bearer' | 'invalid_request' | 'invalid_token' | 'insufficient_scope'

interface ReasonRow {
  /** HTTP status of the answer; 0 where no answer is sent (the exchange was allowed or is already over). */
  readonly status: number
  readonly challenge: Challenge
  /** The whole sentence that a client may read. */
  readonly message: string
  /** What an operator needs to know: the cause and where to look. */
  readonly explains: string
}

const INVALID_TOKEN = 'The access token is missing, malformed, expired, revoked or otherwise invalid.'
const token = (explains: string): ReasonRow => ({ status: 401, challenge: 'invalid_token', message: INVALID_TOKEN, explains })
const badRequest = (message: string, explains: string): ReasonRow => ({ status: 400, challenge: 'none', message, explains })
const forbidden = (explains: string): ReasonRow => ({ status: 403, challenge: 'none', message: 'The request is not allowed.', explains })
const passed = (explains: string): ReasonRow => ({ status: 0, challenge: 'none', message: '', explains })
const upstream = (status: number, message: string, explains: string): ReasonRow => ({ status, challenge: 'none', message, explains })

/** Reason -> status, challenge, public message, explanation. Order is the order of the docs. */
export const REASONS = {
  // Passed.
  allowed: passed('A valid token satisfied the rule.'),
  anonymous: passed('The rule allows the path without a token; no token was looked at.'),
  optional: passed('The rule makes the token optional and none was sent.'),

  // The request itself: refused before anything is matched.
  malformed_request: badRequest('The request is malformed.', 'The HTTP parser refused the bytes: bad header syntax, bare LF, obs-fold, bad chunk.'),
  ambiguous_framing: badRequest('The request is malformed.', 'Content-Length and Transfer-Encoding conflict, repeat or are not exactly one number or `chunked`: two readings of one message are possible.'),
  ambiguous_path: badRequest('The request target is not acceptable.', 'The target has `..`, an encoded slash, dot or backslash, `//`, `;`, a control or non-ASCII byte, a fragment, or is not in origin form.'),
  bad_host: badRequest('The Host header is not acceptable.', 'Host is missing, repeated, or not a host and optional port.'),
  protected_connection: badRequest('The request is malformed.', '`Connection` names a header that frames or routes the message (Host, Content-Length, Transfer-Encoding).'),
  method_refused: upstream(405, 'The method is not allowed.', 'CONNECT and TRACE are never forwarded.'),
  target_too_long: upstream(414, 'The request target is too long.', 'The target exceeds limits.targetBytes.'),
  headers_too_large: upstream(431, 'The request header is too large.', 'The head exceeds limits.headerBytes or limits.headerCount.'),
  request_timeout: upstream(408, 'The request took too long to arrive.', 'The head did not arrive within limits.headerTimeout, or the body stalled for limits.idleTimeout.'),
  version_refused: upstream(505, 'The HTTP version is not supported.', 'Only HTTP/1.1 (and HTTP/1.0 without keep-alive) is spoken.'),
  expectation_failed: upstream(417, 'The expectation cannot be met.', 'Expect is something other than 100-continue.'),
  upgrade_refused: badRequest('The upgrade is not acceptable.', 'An upgrade that carries a body, or is malformed.'),
  overloaded: upstream(503, 'The service is overloaded.', 'limits.connections is reached, or memory is short and this client made the sidecar keep bytes for longest (docs/sizing.md).'),

  // The token.
  token_missing: { status: 401, challenge: 'bearer', message: INVALID_TOKEN, explains: 'No token in any of the configured places.' },
  scheme_unknown: token('The Authorization header has another scheme than the configured one. An unknown scheme is never "no token".'),
  token_ambiguous: { status: 400, challenge: 'invalid_request', message: 'More than one access token was sent.', explains: 'Two different tokens, in one or in several places (RFC 6750 section 2).' },
  token_malformed: token('Not a compact JWS: wrong number of parts, bad base64url, bad JSON, duplicate members, or larger than limits.tokenBytes.'),
  token_encrypted: token('A JWE (five parts) or a compressed token. Never decrypted.'),
  algorithm_refused: token('`alg` is not in the issuer\'s list, or does not fit the key.'),
  critical_header: token('`crit` or `b64` in the header: an extension this sidecar does not implement (RFC 7515 section 4.1.11).'),
  issuer_unknown: token('`iss` is missing or is not exactly one of the configured issuers.'),
  key_unknown: token('No key of this issuer has the token\'s `kid` (or none fits); a refetch was asked for if the cooldown allowed it.'),
  keys_unavailable: token('The issuer\'s keys have never been fetched or are older than keys.maxAge. Nothing is accepted without keys.'),
  signature_invalid: token('The signature does not verify with the issuer\'s key. The keys are fetched again in the background if that was not done lately: the issuer may have changed it.'),
  audience_mismatch: token('`aud` has none of the issuer\'s audiences.'),
  token_expired: token('`exp` has passed (skew included).'),
  expiry_missing: token('`exp` is missing or not a positive number.'),
  token_not_yet_valid: token('`nbf` or `iat` is in the future (skew included).'),
  token_too_old: token('`iat` is missing or older than the issuer\'s maxTokenAge.'),
  token_type_mismatch: token('`typ` is not what the issuer\'s tokenType asks for (RFC 9068 section 4), or is another kind of JWT.'),
  claim_invalid: token('A required claim is missing, or a registered claim has the wrong type.'),
  token_bound: token('The token is bound to a key by `cnf` (RFC 7800) and was sent as a plain bearer token.'),
  token_revoked: token('The deny-list names its jti, subject, kid, or a time after it was issued.'),

  // The policy.
  no_rule: forbidden('No rule matches the request. Never a silent pass.'),
  scope_insufficient: { status: 403, challenge: 'insufficient_scope', message: 'The access token lacks a required scope.', explains: 'The rule\'s scopes are not all in `scope` or `scp`.' },
  role_missing: forbidden('The rule\'s roles are not in the roles claim.'),
  claim_mismatch: forbidden('A claim does not have the value that the rule requires.'),
  tenant_mismatch: forbidden('The tenant claim does not equal the tenant in the path, host or header.'),
  issuer_refused: forbidden('The rule does not accept tokens of this issuer.'),
  identity_unencodable: forbidden('A claim mapped to a header cannot be carried by its encoding without risk (control or non-ASCII bytes, separator inside an element).'),

  // The app and the transport.
  upstream_unreachable: upstream(502, 'The application is not reachable.', 'Connecting to the app failed: it does not listen (yet), or refused.'),
  upstream_reset: upstream(502, 'The application closed the connection.', 'The app closed before it answered or in the middle of its answer.'),
  upstream_malformed: upstream(502, 'The application sent a malformed response.', 'The app\'s answer is not HTTP/1.1, is ambiguous, or is longer than it said.'),
  upstream_timeout: upstream(504, 'The application did not answer in time.', 'No response head within limits.upstreamTimeout, or the connection could not be made within limits.connectTimeout.'),
  upstream_busy: upstream(503, 'The application is busy.', 'limits.upstreamConnections are all in use and the queue is full.'),
  client_aborted: passed('The client went away before the answer was complete.'),
  draining: upstream(503, 'The service is shutting down.', 'A request that came after the drain.'),
  internal_error: upstream(500, 'Internal error.', 'A bug in the sidecar. The request was not forwarded. Please report it.'),
} as const satisfies Record<string, ReasonRow>

/** A word from the table. */
export type Reason = keyof typeof REASONS

/** Every reason, in the order of the docs. */
export const REASON_NAMES = Object.keys(REASONS) as readonly Reason[]

/** Denial is a value, failure is an exception: what a stage returns when the request must not pass. */
export interface Denial {
  readonly denied: Reason
  /** For the operator's log only; never a token, never a claim value that was not asked for. */
  readonly detail?: string
  /** Name of the configured issuer that the token says it is from, where it came that far. */
  readonly issuer?: string
}

/**
 * Makes a {@link Denial}.
 * @param denied the reason, from the table
 * @param detail one short clause for the log; never sent to the client
 */
export function deny(denied: Reason, detail?: string): Denial {
  return detail === undefined ? { denied } : { denied, detail }
}

/** Whether a stage's result is a {@link Denial}. */
export function isDenial(value: unknown): value is Denial {
  return typeof value === 'object' && value !== null && (value as Partial<Denial>).denied !== undefined
}
