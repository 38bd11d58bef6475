/**
 * The one source of the configuration's fields, types, defaults and documentation. `docs/configuration.md` and the chart's
 * `values.schema.json` are generated from it; {@link Config} is what the rest of the code sees (durations in ms, sizes in bytes).
 */
import * as v from 'valibot'
import { group, groupByName, openGroup } from './group.ts'
import { address, duration, size, wait } from './values.ts'

const about = v.description
/** An optional field with its default and its line of documentation. */
const field = <S extends v.GenericSchema, D extends v.InferInput<S>>(schema: S, fallback: D, text: string) =>
  v.pipe(v.optional(schema, fallback as never), about(text))

const text = v.pipe(v.string(), v.nonEmpty('must not be empty'))
const headerName = v.pipe(v.string(), v.regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'must be an HTTP header name'))
/** RFC 9110 section 11.1. */
const authScheme = v.pipe(v.string(), v.regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'must be one word, such as Bearer'))
const claimPath = v.union([text, v.pipe(v.array(text), v.minLength(1, 'must name the claim'))])
const count = v.pipe(v.number(), v.integer('must be a whole number'), v.minValue(0))

/** Signature algorithms (RFC 7518, RFC 8037). HMAC is possible only with `keys.secretFile`. */
export const ASYMMETRIC_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const
export const HMAC_ALGORITHMS = ['HS256', 'HS384', 'HS512'] as const
const algorithm = v.picklist([...ASYMMETRIC_ALGORITHMS, ...HMAC_ALGORITHMS])

const keys = group({
  discovery: v.pipe(v.optional(v.literal(true)), about('Find the JWKS by OpenID Connect Discovery / RFC 8414 at the issuer\'s own URL.')),
  jwksUri: v.pipe(v.optional(text), about('URL of the JWKS.')),
  file: v.pipe(v.optional(text), about('Path of a JWKS file; watched, replaced as a whole.')),
  inline: v.pipe(v.optional(openGroup({ keys: v.array(v.unknown()) })), about('A JWKS, here.')),
  secretFile: v.pipe(v.optional(text), about('Path of a file holding one HMAC secret (at least 32 bytes); the only way to HS256, HS384, HS512.')),
  caFile: v.pipe(v.optional(text), about('PEM certificates to trust for this issuer instead of the system\'s; read again at each fetch.')),
  bearerTokenFile: v.pipe(v.optional(text), about('A token to send when fetching, such as the pod\'s service-account token; read again at each fetch.')),
  allowHttp: field(v.boolean(), false, 'Allow plain http for this issuer. For tests only.'),
  allowedHosts: field(v.array(text), [], 'Other hosts (host, or host:port where the port is not 443) that the discovery document may name in `jwks_uri`. Default: the issuer\'s own only.'),
  refresh: field(wait, '5m', 'How often to refetch in the background; a shorter Cache-Control max-age of the issuer wins down to 30s.'),
  maxAge: field(duration, '24h', 'How long the last good set may be used while the issuer cannot be reached. Then its tokens are refused.'),
  cooldown: field(duration, '30s', 'Least time between two refetches caused by an unknown kid; at least 1s. Bad signatures cause one in four times as long.'),
  timeout: field(wait, '5s', 'For one whole fetch.'),
  maxBytes: field(size, '256KiB', 'Largest document accepted, after decompression.'),
  maxKeys: field(count, 100, 'Most keys taken from one set.'),
})

const issuer = group({
  name: v.pipe(text, about('Name for logs, metrics and rules.')),
  issuer: v.pipe(text, about('The exact `iss` of the tokens.')),
  audiences: v.pipe(v.array(text), v.minLength(1, 'name at least one audience'), about('The token\'s `aud` must hold at least one of these.')),
  keys: v.pipe(keys, about('Where the keys come from: exactly one of discovery, jwksUri, file, inline, secretFile.')),
  algorithms: v.pipe(v.optional(v.pipe(v.array(algorithm), v.minLength(1))), about('Accepted algorithms. Default: all asymmetric ones (HS256 with secretFile).')),
  clockSkew: field(duration, '30s', 'Tolerance for exp, nbf and iat.'),
  tokenType: field(v.picklist(['any', 'at+jwt']), 'any', 'Demand `typ: at+jwt` (RFC 9068), which an ID token cannot have.'),
  maxTokenAge: v.pipe(v.optional(duration), about('Refuse tokens issued longer ago than this, whatever their exp.')),
  requiredClaims: field(v.array(text), [], 'Claims that must be there.'),
  boundTokens: field(v.picklist(['refuse', 'accept']), 'refuse', 'What to do with a token bound to a key by `cnf` (RFC 7800) sent as a plain bearer token.'),
})

const tokenSource = v.union([
  group({
    header: v.pipe(headerName, about('A header that holds the token.')),
    scheme: v.pipe(v.optional(authScheme), about('The word before the token, such as Bearer. Without it the whole value is the token.')),
  }),
  group({ cookie: v.pipe(text, about('A cookie that holds the token.')) }),
  group({ query: v.pipe(text, about('A query parameter that holds the token. It is always removed before the app, and never logged.')) }),
], 'use { header, scheme }, { header }, { cookie } or { query }')

const identityHeader = group({
  claim: v.pipe(claimPath, about('A claim name (may be a URL), a dotted path into nested claims, or the path as a list.')),
  encoding: field(v.picklist(['plain', 'csv', 'json', 'base64url']), 'plain', 'plain: one string, number or boolean; csv: an array, or a space-separated string, joined by commas; json: ASCII JSON; base64url: of the JSON. A claim that is missing or null sends no header; nor, as plain and csv, does an empty one. json and base64url send what is empty, too: `""`, `[]`.'),
  required: field(v.boolean(), false, 'Refuse the request when the claim is missing or null; as plain and csv, also when it is empty.'),
})

const anyOf = v.pipe(v.optional(v.array(text)), about('At least one of these.'))
const allOf = v.pipe(v.optional(v.array(text)), about('All of these.'))

const names = v.union([
  v.array(text),
  group({ anyOf, allOf }),
])

const INEXACT = 'is beyond 2^53, where several numbers are one; have the issuer write it as text'
const exact = v.pipe(v.number(), v.minValue(Number.MIN_SAFE_INTEGER, INEXACT), v.maxValue(Number.MAX_SAFE_INTEGER, INEXACT))
const scalar = v.union([v.string(), exact, v.boolean()])

const requirement = group({
  issuers: v.pipe(v.optional(v.array(text)), about('Only tokens of these issuers (by name).')),
  scopes: v.pipe(v.optional(names), about('A list: all of them; or { anyOf, allOf }. From `scope` (space-separated) or `scp`.')),
  roles: v.pipe(v.optional(v.union([
    v.array(text),
    group({ anyOf, allOf, claim: v.pipe(v.optional(claimPath), about('The claim that holds the roles. Default: `roles`.')) }),
  ])), about('A list: all of them; or { anyOf, allOf, claim }. `claim` defaults to `roles`.')),
  claims: v.pipe(v.optional(groupByName(text, v.union([scalar, v.array(scalar)]))), about('Claim (path) to value; a list means any of. An array claim matches if it holds the value.')),
  tenant: v.pipe(v.optional(group({
    claim: v.pipe(claimPath, about('The claim that holds the tenant, or a list of them.')),
    segment: v.pipe(v.optional(v.pipe(v.number(), v.integer('must be a whole number'), v.minValue(1))), about('The path\'s Nth segment; 1 is the first.')),
    host: v.pipe(v.optional(text), about('What `*` stands for in a host pattern such as `*.example.com`.')),
    header: v.pipe(v.optional(headerName), about('A header, sent exactly once in whatever spelling.')),
  })), about('The token\'s tenant must be the one that the request is about, as said in exactly one of segment, host, header.')),
})

const rule = group({
  name: v.pipe(v.optional(text), about('For logs and metrics; default: the rule\'s index and path.')),
  match: v.pipe(group({
    path: field(v.union([text, v.array(text)]), '/**', 'Path pattern, or several. `*` is one segment, `**` at the end is the rest and may be empty.'),
    methods: v.pipe(
      v.optional(v.array(v.pipe(v.string(), v.regex(/^[A-Z!#$%&'*+.^_`|~0-9-]+$/, 'must be an upper-case method')))),
      about('Methods. Default: all. GET stands for HEAD, too.'),
    ),
    hosts: v.pipe(v.optional(v.array(text)), about('Hosts: exact, or `*.example.com` for any one label. Default: all. Clients choose what they send as Host.')),
    preflight: v.pipe(v.optional(v.literal(true)), about('Only real CORS preflights: OPTIONS with Origin and Access-Control-Request-Method.')),
  }), about('Which requests the rule is for: all conditions must hold.')),
  allow: v.pipe(v.optional(v.picklist(['anonymous', 'optional'])), about('anonymous: no token is looked at; optional: no token is fine, a bad one is not.')),
  require: v.pipe(v.optional(requirement), about('A valid token is needed, and all of this of it. `{}`: any valid token. The default where there is no `allow`.')),
  mode: v.pipe(v.optional(v.picklist(['enforce', 'audit'])), about('Overrides the sidecar\'s mode for this rule.')),
  closeOnExpiry: field(v.boolean(), false, 'End WebSockets, event streams and long downloads when the token expires or is revoked. Only in mode enforce.'),
})

/** The deny-list; also what its file holds. */
export const denylistSchema = group({
  file: v.pipe(v.optional(text), about('JSON or YAML file with the same fields as below; watched, in force within a second.')),
  jti: v.pipe(v.optional(v.array(text)), about('Token ids.')),
  sub: v.pipe(v.optional(v.array(text)), about('Subjects.')),
  kid: v.pipe(v.optional(v.array(text)), about('Key ids.')),
  issuedBefore: v.pipe(v.optional(v.array(group({
    issuer: v.pipe(v.optional(text), about('Only tokens of this issuer (by name).')),
    sub: v.pipe(v.optional(text), about('Only tokens of this subject.')),
    time: v.pipe(v.union([v.number(), v.string()]), about('Unix seconds or RFC 3339: tokens issued before it are refused.')),
  }))), about('Tokens issued before a time: of an issuer, of a subject, of both, or all of them where neither is named.')),
})

/** The sidecar's configuration file. */
export const configSchema = group({
  listeners: v.pipe(v.array(group({
    bind: v.pipe(address, about('Where this protected port listens. Loopback unless told otherwise; the injector sets the pod\'s address.')),
    upstream: v.pipe(address, about('The app. Loopback only, unless allowRemoteUpstream.')),
    allowRemoteUpstream: field(v.boolean(), false, 'Allow an upstream that is not loopback. Traffic to it leaves the pod in the clear.'),
  })), v.minLength(1, 'name at least one listener'), about('Protected ports.')),
  admin: field(v.union([group({ bind: v.pipe(address, about('Where it listens.')) }), v.literal(false)]), { bind: '127.0.0.1:15000' }, 'Config dump and log level. Loopback only. `false` switches it off.'),
  health: field(v.union([group({ bind: v.pipe(address, about('Where it listens.')) }), v.literal(false)]), { bind: '127.0.0.1:15020' }, 'Liveness, readiness, start-up and metrics: /livez /readyz /startupz /metrics. `false` switches them off.'),
  mode: field(v.picklist(['enforce', 'audit']), 'enforce', 'audit: forward what would have been denied (never with identity headers from a bad token), count and log it.'),
  issuers: v.pipe(v.array(issuer), v.minLength(1, 'name at least one issuer'), about('Who may issue tokens.')),
  tokens: field(v.pipe(v.array(tokenSource), v.minLength(1)), [{ header: 'Authorization', scheme: 'Bearer' }], 'Where tokens are taken from.'),
  identity: v.optional(group({
    headers: field(groupByName(headerName, identityHeader), { 'X-User-Id': { claim: 'sub' } }, 'Header to claim. Each is stripped from every request first, in any spelling.'),
    forwardToken: field(v.boolean(), false, 'Leave the token in the request for the app: also where the sidecar did not verify it (anonymous routes, audit mode).'),
    alsoStrip: field(v.array(headerName), [], 'Further headers to strip from every request and response.'),
  }), {}),
  rules: v.pipe(v.optional(v.array(rule)), about('First match wins; no match is a denial. No rules at all: every path needs a valid token.')),
  paths: v.optional(group({
    caseSensitive: field(v.boolean(), true, 'false for apps that fold the case of paths.'),
    ignoreExtension: field(v.boolean(), false, 'true for apps that serve /a.json by the handler of /a (Rails, older Spring): what an earlier rule asks for /a is then asked for /a.json as well.'),
  }), {}),
  denylist: v.pipe(v.optional(denylistSchema), about('Tokens that are refused although they verify; here, in a file, or both.')),
  cache: v.optional(group({ entries: field(v.pipe(count, v.maxValue(1_000_000)), 4096, 'Verified tokens kept, at most 1000000. 0 switches the cache off.') }), {}),
  forwarded: v.optional(group({
    trustedProxies: field(v.array(text), [], 'CIDRs of proxies that are believed: X-Forwarded-For and Forwarded are kept and appended to; X-Forwarded-Proto, -Host, -Port and the identity headers of other proxies (docs/requests.md) are kept. From anyone else -For, -Proto and -Host are replaced, the others removed.'),
  }), {}),
  upgrades: field(v.array(v.pipe(v.string(), v.toLowerCase())), ['websocket'], 'Protocols a request may upgrade to.'),
  limits: v.optional(group({
    headerBytes: field(size, '32KiB', 'Whole request head.'),
    headerCount: field(count, 200, 'Header fields.'),
    targetBytes: field(size, '8KiB', 'Request target.'),
    tokenBytes: field(size, '16KiB', 'One token.'),
    headerTimeout: field(duration, '10s', 'For a head to arrive.'),
    idleTimeout: field(duration, '75s', 'Between requests, for a stalled body, for a reader that takes nothing, and for a tunnel of which one side has ended.'),
    upstreamTimeout: field(duration, '60s', 'For the app\'s response head. 0: none. A response\'s total time is never limited.'),
    connectTimeout: field(duration, '2s', 'For a connection to the app.'),
    connections: field(count, 10000, 'Client connections per listener.'),
    upstreamConnections: field(count, 1024, 'Connections to the app per listener.'),
  }), {}),
  readiness: field(v.picklist(['all', 'any', 'none']), 'all', 'How many issuers must have keys before the sidecar is ready the first time.'),
  shutdown: v.optional(group({
    delay: field(wait, '5s', 'Go on accepting this long after SIGTERM, while endpoints are withdrawn.'),
    grace: field(wait, '25s', 'Then wait this long for what is in flight.'),
  }), {}),
  log: v.optional(group({
    level: field(v.picklist(['debug', 'info', 'warn', 'error']), 'info', 'Log level.'),
    allowed: field(v.pipe(v.number(), v.minValue(0), v.maxValue(1)), 0, 'Share of passed requests to log, 0 to 1.'),
    deniedPerSecond: field(count, 50, 'Lines a second about denied, audited and failed requests, for each reason; ten times as many at once. The rest is counted and told once a second. 0: no bound.'),
    subject: field(v.picklist(['plain', 'hashed', 'off']), 'hashed', 'How the subject appears in logs.'),
  }), {}),
  realm: field(v.pipe(v.string(), v.regex(/^[\x20\x21\x23-\x5b\x5d-\x7e]*$/, 'must be printable ASCII without quote or backslash')), '', 'Realm of the challenge.'),
  exposure: v.optional(group({
    check: field(v.boolean(), true, 'Look in the pod\'s network namespace for an app port open beyond loopback, and warn.'),
    unready: field(v.boolean(), false, 'Be unready while one is. Not with interception `port`, where an app may listen anywhere and the NetworkPolicy is the lock.'),
  }), {}),
  probes: field(groupByName(text, group({
    type: v.pipe(v.picklist(['http', 'https', 'tcp', 'grpc']), about('Kind of probe.')),
    address: v.pipe(address, about('What is probed.')),
    path: v.pipe(v.optional(text), about('Path and query of an http probe.')),
    host: v.pipe(v.optional(text), about('Host header of an http probe.')),
    headers: v.pipe(v.optional(v.array(group({
      name: v.pipe(headerName, about('Name.')),
      value: v.pipe(v.string(), about('Value.')),
    }))), about('Further headers of an http probe.')),
    service: v.pipe(v.optional(v.string()), about('Service name of a grpc probe.')),
    timeout: field(wait, '1s', 'For one probe.'),
  })), {}, 'Probe targets the injector fixed at admission: "container/kind" is served at health:/probe/container/kind.'),
})

/** The configuration after validation: defaults filled in, durations in milliseconds, sizes in bytes, addresses parsed. */
export type Config = v.InferOutput<typeof configSchema>
export type IssuerConfig = Config['issuers'][number]
export type RuleConfig = NonNullable<Config['rules']>[number]
export type RequirementConfig = NonNullable<RuleConfig['require']>
export type IdentityHeaderConfig = Config['identity']['headers'][string]
export type TokenSourceConfig = Config['tokens'][number]
export type DenylistConfig = NonNullable<Config['denylist']>
