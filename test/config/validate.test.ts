import t from 'tap'
import { formatProblem } from '../../src/config/problem.ts'
import { validateConfig } from '../../src/config/validate.ts'

const LISTENER = { bind: '127.0.0.1:15001', upstream: '127.0.0.1:8080' }
const KEYS = { discovery: true }
const ISSUER = { name: 'corp', issuer: 'https://auth.internal', audiences: ['internal-services'], keys: KEYS }
const LEAST = { listeners: [LISTENER], issuers: [ISSUER] }

/** Every problem and warning of the least configuration with these fields instead. */
function problemsOf(fields: object): readonly string[] {
  const { problems, warnings } = validateConfig({ ...LEAST, ...fields })
  return [...problems.map((problem) => formatProblem(problem)), ...warnings.map((warning) => `warning: ${formatProblem(warning)}`)]
}
const rule = (fields: object) => ({ rules: [{ match: { path: '/a' }, ...fields }] })
const issuer = (fields: object) => ({ issuers: [{ ...ISSUER, ...fields }] })
const keys = (fields: object) => issuer({ keys: fields })

t.test('the least configuration gets every default', (t) => {
  const { config, problems, warnings } = validateConfig(LEAST)
  t.strictSame([problems, warnings], [[], []])
  t.match(config, {
    listeners: [{ bind: { host: '127.0.0.1', port: 15_001 }, upstream: { host: '127.0.0.1', port: 8080 }, allowRemoteUpstream: false }],
    admin: { bind: { host: '127.0.0.1', port: 15_000 } }, health: { bind: { host: '127.0.0.1', port: 15_020 } }, mode: 'enforce',
    issuers: [{ clockSkew: 30_000, tokenType: 'any', boundTokens: 'refuse', keys: { refresh: 300_000, maxAge: 86_400_000, maxBytes: 262_144, allowHttp: false } }],
    tokens: [{ header: 'Authorization', scheme: 'Bearer' }],
    identity: { headers: { 'X-User-Id': { claim: 'sub', encoding: 'plain', required: false } }, forwardToken: false, alsoStrip: [] },
    rules: undefined, paths: { caseSensitive: true }, cache: { entries: 4096 }, upgrades: ['websocket'], readiness: 'all',
    limits: { headerBytes: 32_768, upstreamTimeout: 60_000 }, shutdown: { delay: 5000, grace: 25_000 },
  })
  t.end()
})

t.test('what is no group of fields at all', (t) => {
  for (const raw of [undefined, null, 5, 'x', [], [LEAST], true]) {
    const what = raw === undefined || raw === null ? 'is empty' : 'is not a group of fields'
    t.strictSame(validateConfig(raw).problems.map((problem) => formatProblem(problem)), [`config: ${what}; it needs at least \`listeners\` and \`issuers\``], JSON.stringify(raw))
  }
  t.strictSame(validateConfig({}).problems.map((problem) => formatProblem(problem)), ['listeners: is missing', 'issuers: is missing'])
  t.end()
})

/** Fields instead of the least configuration's, and every problem they have, whole sentences: what a person reads. */
const CASES: Record<string, readonly [fields: object, ...problems: string[]]> = {
  'an unknown field': [{ ruels: [] }, 'ruels: there is no such field here; did you mean rules?'],
  'an unknown field deep inside': [rule({ require: { scope: ['a'] } }), 'rules[0].require.scope: there is no such field here; did you mean scopes?'],
  'a field in the wrong place': [{ listeners: [{ ...LISTENER, mode: 'audit' }] }, 'listeners[0].mode: there is no such field here; known are bind, upstream, allowRemoteUpstream'],
  'names that every object has': [JSON.parse('{"__proto__":{"x":1},"constructor":{},"toString":1}') as object,
    ...['__proto__', 'constructor', 'toString'].map((name) => `${name}: there is no such field here; known are listeners, admin, health, mode, issuers, tokens, identity, rules, paths, denylist, cache, forwarded, upgrades, limits, readiness, shutdown, log, realm, exposure, probes`)],
  'whole numbers beyond 2^53': [rule({ require: { claims: { a: 2 ** 53, b: [1, -(2 ** 53)], c: 2 ** 53 - 1 } } }),
    'rules[0].require.claims.a: is beyond 2^53, where several numbers are one; have the issuer write it as text; found 9007199254740992',
    'rules[0].require.claims.b[1]: is beyond 2^53, where several numbers are one; have the issuer write it as text; found -9007199254740992'],
  'a reserved claim name': [rule({ require: { claims: { constructor: 'x' } } }), 'rules[0].require.claims.constructor: this name is reserved by JavaScript and cannot be used here'],
  'wrong types': [{ mode: 'enforced', cache: { entries: '5' }, limits: { headerBytes: '5GiB', headerTimeout: 10 }, paths: { caseSensitive: 'no' } },
    'mode: must be enforce or audit; found "enforced"; did you mean enforce?',
    'paths.caseSensitive: must be true or false; found "no"',
    'cache.entries: must be a number; found "5"',
    'limits.headerBytes: write a size such as 16384, 16KiB or 1MiB; found "5GiB"',
    'limits.headerTimeout: write a duration such as 500ms, 30s, 5m or 1h; found 10'],
  'parts of a whole': [{ cache: { entries: 1.5 }, ...rule({ require: { tenant: { claim: 't', segment: 1.5 } } }) },
    'rules[0].require.tenant.segment: must be a whole number; found 1.5', 'cache.entries: must be a whole number; found 1.5'],
  'nothing where something belongs': [{ rules: null }, 'rules: must be a list; found nothing'],
  'a list where a group belongs': [{
    admin: [], identity: { headers: [] }, paths: [], denylist: { issuedBefore: [[]] }, limits: [], log: [{}], exposure: ['check'], probes: [],
    issuers: [{ ...ISSUER, keys: { inline: [] } }], rules: [[], { match: [] }, { match: { path: '/b' }, require: [] }, { match: {}, require: { claims: ['a'], tenant: [] } }],
  },
    'admin: must be a group of fields or false; found an empty list',
    'issuers[0].keys.inline: must be a group of fields; found an empty list',
    'identity.headers: must be a group of fields; found an empty list',
    'rules[0]: must be a group of fields; found an empty list',
    'rules[1].match: must be a group of fields; found an empty list',
    'rules[2].require: must be a group of fields; found an empty list',
    'rules[3].require.claims: must be a group of fields; found a list',
    'rules[3].require.tenant: must be a group of fields; found an empty list',
    'paths: must be a group of fields; found an empty list',
    'denylist.issuedBefore[0]: must be a group of fields; found an empty list',
    'limits: must be a group of fields; found an empty list',
    'log: must be a group of fields; found a list',
    'exposure: must be a group of fields; found a list',
    'probes: must be a group of fields; found an empty list'],
  'a token place of two kinds': [{ tokens: [{ header: 'A', cookie: 'b' }] }, 'tokens[0]: use { header, scheme }, { header }, { cookie } or { query }; found a group of fields'],

  'an upstream beyond the pod': [{ listeners: [{ ...LISTENER, upstream: '10.0.0.1:80' }] },
    'listeners[0].upstream: 10.0.0.1 is not loopback, so traffic would leave the pod in the clear; write 127.0.0.1:80, or set allowRemoteUpstream: true if that is meant'],
  'an upstream beyond the pod, meant': [{ listeners: [{ ...LISTENER, upstream: '10.0.0.1:80', allowRemoteUpstream: true }] }],
  'a permission that is not needed': [{ listeners: [{ ...LISTENER, allowRemoteUpstream: true }] }, 'warning: listeners[0].allowRemoteUpstream: the upstream is loopback, so this is not needed; remove it'],
  'an upstream without port': [{ listeners: [{ ...LISTENER, upstream: '127.0.0.1:0' }] }, 'listeners[0].upstream: port 0 is no port to send to: write the app\'s own'],
  'an admin page for all': [{ admin: { bind: '0.0.0.0:15000' } }, 'admin.bind: the admin page is for this pod only; write 127.0.0.1:15000, or admin: false to switch it off'],
  'no admin page, no health': [{ admin: false, health: false }],
  'two on one port': [{ listeners: [LISTENER, { bind: '0.0.0.0:15001', upstream: '127.0.0.1:8081' }], health: { bind: 'localhost:15000' } },
    'listeners[1].bind: 0.0.0.0:15001 is taken by 127.0.0.1:15001 of listeners[0].bind; give each its own port',
    'health.bind: localhost:15000 is taken by 127.0.0.1:15000 of admin.bind; give each its own port'],
  'one port on two addresses, and free ports': [{ listeners: [LISTENER, { bind: '127.0.0.2:15001', upstream: '127.0.0.1:8081' }], admin: { bind: '127.0.0.1:0' }, health: { bind: '127.0.0.1:0' } }],
  'the sidecar as its own app': [{ listeners: [{ bind: '0.0.0.0:15001', upstream: '127.0.0.1:15001' }] }, 'listeners[0].upstream: 127.0.0.1:15001 is the sidecar itself (listeners[0].bind), requests would go in a circle; write the app\'s own port'],

  'no key source': [keys({}), 'issuers[0].keys: name exactly one of discovery, jwksUri, file, inline, secretFile; found none'],
  'an empty JWKS': [keys({ inline: { keys: [] } }), 'issuers[0].keys.inline.keys: is empty, so no token can be verified; put the issuer\'s public keys here'],
  'two key sources': [keys({ discovery: true, file: '/jwks.json' }), 'issuers[0].keys: name exactly one of discovery, jwksUri, file, inline, secretFile; found discovery and file'],
  'keys over http': [keys({ jwksUri: 'http://auth.internal/jwks' }), 'issuers[0].keys.jwksUri: must be https: keys fetched over http can be replaced on the way; keys.allowHttp: true is for tests'],
  'discovery over http': [issuer({ issuer: 'http://auth.internal' }), 'issuers[0].keys.discovery: must be https: keys fetched over http can be replaced on the way; keys.allowHttp: true is for tests'],
  'http allowed': [keys({ jwksUri: 'http://auth.internal/jwks', allowHttp: true }), 'warning: issuers[0].keys.allowHttp: whoever can answer for the issuer\'s name can forge every token; for tests only'],
  'no URL': [keys({ jwksUri: 'auth.internal/jwks' }), 'issuers[0].keys.jwksUri: auth.internal/jwks is not a URL; write https://...'],
  'another kind of URL': [keys({ jwksUri: 'file:///etc/jwks' }), 'issuers[0].keys.jwksUri: file:///etc/jwks is not a URL; write https://...'],
  'a password in a URL': [keys({ jwksUri: 'https://a:b@auth.internal/jwks' }), 'issuers[0].keys.jwksUri: must not hold a user name or password; use bearerTokenFile'],
  'discovery of what is no URL': [issuer({ issuer: 'corp' }), 'issuers[0].keys.discovery: the issuer "corp" is not a URL, so there is nothing to discover; use jwksUri, file or inline'],
  'hosts that no URL has': [keys({ discovery: true, allowedHosts: ['https://cdn.example.com/', 'CDN.example.com', 'cdn.example.com:443', 'a b', 'cdn.example.com', 'cdn.example.com:8443', '[::1]:8443'] }),
    ...['https://cdn.example.com/', 'CDN.example.com', 'cdn.example.com:443'].map((host, index) => `issuers[0].keys.allowedHosts[${index}]: ${JSON.stringify(host)} is no host as URLs have it; write cdn.example.com`),
    'issuers[0].keys.allowedHosts[3]: "a b" is no host as URLs have it; write for example keys.example.com or keys.example.com:8443'],
  'HMAC with a JWKS': [issuer({ algorithms: ['RS256', 'HS256'] }), 'issuers[0].algorithms: HS256 need keys.secretFile; a JWKS never verifies HMAC'],
  'a secret with public keys\' algorithms': [issuer({ keys: { secretFile: '/s' }, algorithms: ['HS256', 'ES256'] }), 'issuers[0].algorithms: keys.secretFile is for HS256, HS384, HS512 only; remove ES256'],
  'a secret': [issuer({ keys: { secretFile: '/s' }, algorithms: ['HS512'] })],
  'a CA for keys that are not fetched': [keys({ file: '/jwks', caFile: '/ca' }), 'issuers[0].keys.caFile: has no effect on keys that are not fetched; remove it, or use discovery or jwksUri'],
  'times of nothing': [keys({ discovery: true, refresh: 0, maxKeys: 0 }), 'issuers[0].keys.refresh: must be more than 0; remove it to use the default', 'issuers[0].keys.maxKeys: must be more than 0; remove it to use the default'],
  'durations that no timer holds': [{ ...keys({ discovery: true, refresh: '25d', timeout: '60d' }), shutdown: { delay: '577h', grace: '100000d' }, probes: { 'app/liveness': { type: 'tcp', address: '127.0.0.1:80', timeout: '2147484s' } } },
    'issuers[0].keys.refresh: must be at most 24d: no timer runs longer; found "25d"', 'issuers[0].keys.timeout: must be at most 24d: no timer runs longer; found "60d"',
    'shutdown.delay: must be at most 24d: no timer runs longer; found "577h"', 'shutdown.grace: must be at most 24d: no timer runs longer; found "100000d"',
    'probes["app/liveness"].timeout: must be at most 24d: no timer runs longer; found "2147484s"'],
  'long durations that no timer measures': [{ ...issuer({ maxTokenAge: '365d', keys: { discovery: true, refresh: '24d', maxAge: '365d', cooldown: '60d' } }), limits: { idleTimeout: '60d', upstreamTimeout: '365d' }, shutdown: { grace: '576h' } }],
  'no pause between fetches': [keys({ discovery: true, cooldown: 0 }), 'issuers[0].keys.cooldown: must be at least 1s: tokens with an unknown kid would make the sidecar ask the issuer again and again'],
  'a short pause between fetches': [keys({ discovery: true, cooldown: '999ms' }), 'issuers[0].keys.cooldown: must be at least 1s: tokens with an unknown kid would make the sidecar ask the issuer again and again'],
  'a cache that no memory holds': [{ cache: { entries: 1e10 } }, 'cache.entries: must be at most 1000000; found 10000000000'],
  'the largest cache': [{ cache: { entries: 1_000_000 } }],
  'keys that lapse': [keys({ discovery: true, refresh: '1h', maxAge: '5m' }), 'warning: issuers[0].keys.maxAge: is shorter than refresh, so keys lapse before they are fetched again; make it several times as long'],
  'much skew': [issuer({ clockSkew: '1h' }), 'warning: issuers[0].clockSkew: tokens live this much longer than they say; more than a few minutes hides a broken clock'],
  'one issuer twice': [{ issuers: [ISSUER, ISSUER] }, 'issuers[1].name: corp is already the name of issuers[0]; names must differ', 'issuers[1].issuer: issuers[0] has the same `iss`; make them one entry with all the audiences'],

  'headers that are not ours': [{ identity: { headers: { 'Host': { claim: 'sub' }, 'content_length': { claim: 'sub' }, 'Authorization': { claim: 'sub' }, 'X-Forwarded-For': { claim: 'sub' } } } },
    ...['Host', 'content_length', 'Authorization', 'X-Forwarded-For'].map((name) => `identity.headers.${name}: this header has a meaning of its own in HTTP; choose another name, such as X-User-Id`),
    'tokens[0].header: the identity header Authorization has this name, too; choose another for one of them'],
  'one header in two spellings': [{ identity: { headers: { 'X-User-Id': { claim: 'sub' }, 'x_user.id': { claim: 'uid' } } } }, 'identity.headers["x_user.id"]: to many frameworks this is the same header as X-User-Id; keep one of them'],
  'stripping what messages are made of': [{ identity: { alsoStrip: ['X-Debug', 'Transfer-Encoding'] } }, 'identity.alsoStrip[1]: without Transfer-Encoding messages cannot be understood; remove it from the list'],
  'no header name': [{ identity: { headers: { 'X User': { claim: 'sub' } } } }, 'identity.headers["X User"]: must be an HTTP header name; found "X User"'],
  'claim paths of nothing': [{ identity: { headers: { 'X-A': { claim: [] } } }, ...rule({ require: { roles: { anyOf: ['a'], claim: [] }, tenant: { claim: [], segment: 1 } } }) },
    ...['identity.headers.X-A.claim', 'rules[0].require.roles.claim', 'rules[0].require.tenant.claim'].map((path) => `${path}: must name the claim; found an empty list`)],
  'one token place twice': [{ tokens: [{ header: 'X_Token' }, { header: 'x-token' }] }, 'tokens[1]: the same place as tokens[0]; remove one of them'],
  'a scheme of two words, or none': [{ tokens: [{ header: 'Authorization', scheme: 'Bearer x' }, { header: 'X-A', scheme: ' ' }, { header: 'X-B', scheme: '' }] },
    ...['"Bearer x"', '" "', '""'].map((found, index) => `tokens[${index}].scheme: must be one word, such as Bearer; found ${found}`)],
  'a token place that another hides': [{ tokens: [{ header: 'Authorization', scheme: 'Bearer' }, { header: 'authorization' }] },
    'tokens[1]: tokens[0] is the same header with a scheme, so without one nothing is taken from it; name the scheme, or keep only one of them'],
  'a token place that a later one hides': [{ tokens: [{ header: 'X_Tok' }, { cookie: 'a' }, { header: 'X-Tok', scheme: 'Token' }] },
    'tokens[0]: tokens[2] is the same header with a scheme, so without one nothing is taken from it; name the scheme, or keep only one of them'],
  'one header with two schemes': [{ tokens: [{ header: 'Authorization', scheme: 'Bearer' }, { header: 'Authorization', scheme: 'DPoP' }] }],
  'a token in the query': [{ tokens: [{ query: 'access_token' }] }, 'warning: tokens[0]: tokens in URLs end up in histories and logs of others (RFC 6750 section 5.3); prefer a header'],
  'no cookie name': [{ tokens: [{ cookie: 'a b' }] }, 'tokens[0].cookie: "a b" cannot be a cookie\'s name (RFC 6265)'],
  'a token in an identity header': [{ tokens: [{ header: 'X-User-Id' }] }, 'tokens[0].header: the identity header X-User-Id has this name, too; choose another for one of them'],
  'a token in Host': [{ tokens: [{ header: 'Host' }] }, 'tokens[0].header: Host has a meaning of its own in HTTP; choose another header'],

  'allow and require': [rule({ allow: 'optional', require: {} }), 'rules[0]: allow: optional and require contradict each other; keep one of them'],
  'expiry of nothing': [rule({ allow: 'anonymous', closeOnExpiry: true }), 'rules[0].closeOnExpiry: an anonymous rule looks at no token, so nothing expires; remove it, or use allow: optional'],
  'a preflight with a token': [{ rules: [{ match: { preflight: true }, require: {} }] }, 'rules[0].require: a CORS preflight never carries a token; use allow: anonymous'],
  'a preflight that is a GET': [{ rules: [{ match: { preflight: true, methods: ['GET'] }, allow: 'anonymous' }] }, 'rules[0].match.methods: a preflight is always OPTIONS; remove methods'],
  'everything open': [{ rules: [{ match: {}, allow: 'anonymous' }] }, 'warning: rules[0]: opens every path that no rule before it matches, without a token'],
  'conditions of nothing': [{ rules: [{ match: { path: [], methods: [], hosts: [] } }] },
    'rules[0].match.methods: is empty, so the rule matches nothing; remove it for all methods', 'rules[0].match.hosts: is empty, so the rule matches nothing; remove it for all hosts', 'rules[0].match.path: is an empty list, so the rule matches nothing; remove it for all paths'],
  'a method that is never forwarded': [{ rules: [{ match: { methods: ['TRACE'] } }] }, 'warning: rules[0].match.methods[0]: TRACE is always refused, whatever the rules say; remove it'],
  'a method in lower case': [{ rules: [{ match: { methods: ['get'] } }] }, 'rules[0].match.methods[0]: must be an upper-case method; found "get"'],
  'no host': [{ rules: [{ match: { hosts: ['https://a'] } }] }, 'rules[0].match.hosts[0]: "https://a" is not a host; write app.example.com, or *.example.com for any one label'],
  'hosts with a port': [{ rules: [{ match: { hosts: ['app.example.com:8443', '*.example.com:80', '[::1]:80', '[::1]', 'a:'] } }] },
    ...[['0', 'app.example.com'], ['1', '*.example.com'], ['2', '[::1]'], ['4', 'a']].map(([index, host]) => `rules[0].match.hosts[${index}]: hosts are compared without their port; leave it out: ${host}`)],
  'no pattern': [{ rules: [{ match: { path: ['/ok', '/a/**/b', '/x*'] } }] },
    'rules[0].match.path[1]: /a/**/b: ** stands for the rest of the path, so it can only be the last segment', 'rules[0].match.path[2]: /x*: * stands for one whole segment; write %2A for a literal asterisk'],
  'an issuer that is none': [rule({ require: { issuers: ['crop'] } }), 'rules[0].require.issuers[0]: crop is no issuer\'s name; did you mean corp?'],
  'lists of nothing': [rule({ require: { issuers: [], scopes: [], roles: { anyOf: [] }, claims: { a: [] } } }),
    'rules[0].require.issuers: is empty, so no token can pass; remove it for all issuers', 'rules[0].require.scopes: holds an empty list; name at least one, or remove it',
    'rules[0].require.roles: holds an empty list; name at least one, or remove it', 'rules[0].require.claims.a: is an empty list, so no token can pass; name the accepted values'],
  'neither anyOf nor allOf': [rule({ require: { scopes: {}, roles: { claim: 'groups' } } }), 'rules[0].require.scopes: names nothing; write a list, anyOf or allOf', 'rules[0].require.roles: names nothing; write a list, anyOf or allOf'],
  'two scopes in one text': [rule({ require: { scopes: ['read write'] } }), 'rules[0].require.scopes: "read write" holds a space, which separates scopes; make it two'],
  'a tenant from nowhere': [rule({ require: { tenant: { claim: 't' } } }), 'rules[0].require.tenant: name exactly one of segment, host, header; found none'],
  'a tenant from two places': [rule({ require: { tenant: { claim: 't', segment: 1, header: 'X-T' } } }), 'rules[0].require.tenant: name exactly one of segment, host, header; found segment and header'],
  'a tenant from a header that the app does not get': [{
    identity: { headers: { 'X-User-Id': { claim: 'sub' } }, alsoStrip: ['X-Debug'] },
    rules: ['Connection', 'content_length', 'Host', 'X-Forwarded-Host', 'X-Original-URL', 'Remote-User', 'x.user.id', 'X-Debug', 'Authorization', 'X-Tenant'].map((header, i) => ({ match: { path: `/${i}` }, require: { tenant: { claim: 't', header } } })),
  }, ...['Connection', 'content_length', 'Host', 'X-Forwarded-Host', 'X-Original-URL', 'Remote-User', 'x.user.id', 'X-Debug', 'Authorization'].map((header, i) =>
    `rules[${i}].require.tenant.header: the app does not get ${header} as the client sent it; choose a header of its own, such as X-Tenant`)],
  'a tenant from a host with a port': [rule({ require: { tenant: { claim: 't', host: '*.example.com:8443' } } }), 'rules[0].require.tenant.host: hosts are compared without their port; leave it out: *.example.com'],
  'a tenant from a fixed host': [rule({ require: { tenant: { claim: 't', host: 'example.com' } } }), 'rules[0].require.tenant.host: "example.com" does not say where the tenant is; write *.example.com'],

  'no limit': [{ limits: { connections: 0, upstreamTimeout: 0 } }, 'limits.connections: must be more than 0: there is no "unlimited" here'],
  'a token larger than the head': [{ limits: { tokenBytes: '1MiB' } }, 'warning: limits.tokenBytes: is more than limits.headerBytes (32768), which holds for the whole head'],
  'no block': [{ forwarded: { trustedProxies: ['10.0.0.0/33', 'ingress'] } }, 'forwarded.trustedProxies[0]: "10.0.0.0/33" is not a CIDR block; write for example 10.0.0.0/8 or fd00::/8', 'forwarded.trustedProxies[1]: "ingress" is not a CIDR block; write for example 10.0.0.0/8 or fd00::/8'],
  'everyone a proxy': [{ forwarded: { trustedProxies: ['0.0.0.0/0'] } }, 'warning: forwarded.trustedProxies[0]: trusts everyone: every client can then say that it is another'],
  'a tunnel': [{ upgrades: ['websocket', 'H2C'] }, 'upgrades[1]: would open a tunnel in which requests pass without being looked at; remove it'],
  'a deny-list for all': [{ denylist: { issuedBefore: [{ time: 5 }] } }],
  'a deny-list with no time': [{ denylist: { issuedBefore: [{ issuer: 'crop', time: 'yesterday' }] } },
    'denylist.issuedBefore[0].issuer: crop is no issuer\'s name; did you mean corp?', 'denylist.issuedBefore[0].time: "yesterday" is not a time; write Unix seconds or RFC 3339, such as 2026-01-31T12:00:00Z'],
  'a deny-list with days that never were': [{ denylist: { issuedBefore: [{ sub: 'a', time: '2026-02-30T12:00:00Z' }, { sub: 'a', time: Infinity }, { sub: 'a', time: '2026-01-31 12:00:00Z' }] } },
    'denylist.issuedBefore[0].time: "2026-02-30T12:00:00Z" is not a time; write Unix seconds or RFC 3339, such as 2026-01-31T12:00:00Z',
    'denylist.issuedBefore[1].time: Infinity is not a time; write Unix seconds or RFC 3339, such as 2026-01-31T12:00:00Z'],
  'a path of no path': [{ probes: { 'app/liveness': { type: 'tcp', address: '127.0.0.1:80', path: '/x' }, 'app/readiness': { type: 'http', address: '127.0.0.1:80', path: 'x' } } },
    'probes["app/liveness"].path: a tcp probe has no path; remove it', 'probes["app/readiness"].path: must begin with /'],
}

for (const [name, [fields, ...problems]] of Object.entries(CASES)) {
  t.test(name, (t) => {
    t.strictSame(problemsOf(fields), problems)
    t.end()
  })
}

t.test('a rule that an earlier one hides is a warning', (t) => {
  const hidden = (first: object, second: object) => problemsOf({ rules: [{ match: first, require: {} }, { match: second, require: {} }] })
  const warning = ['warning: rules[1]: can never apply: rules[0] stands before it and matches all of its requests; move it up or remove it']
  t.strictSame(hidden({}, { path: '/a' }), warning)
  t.strictSame(hidden({ path: '/a/**' }, { path: ['/a', '/a/b/*'] }), warning)
  t.strictSame(hidden({ path: '/*', hosts: ['a'] }, { path: '/b', hosts: ['a'], methods: ['GET'] }), warning)
  t.strictSame(hidden({ path: '/a', methods: ['GET', 'POST'] }, { path: '/a', methods: ['POST'] }), warning)
  for (const [first, second] of [[{ path: '/a/**' }, { path: ['/a', '/b'] }], [{ methods: ['GET'] }, { path: '/a' }], [{ hosts: ['a'] }, {}], [{ path: '/a' }, { path: '/a/' }], [{ path: '/a/*' }, { path: '/a/**' }]]) {
    t.strictSame(hidden(first!, second!), [], JSON.stringify([first, second]))
  }
  t.end()
})

t.test('one mistake does not hide another: the schema\'s problems and the meaning\'s come together', (t) => {
  const found = problemsOf({
    listeners: [{ bind: 'x', upstream: '10.0.0.1:80', more: 1 }],
    issuers: [{ ...ISSUER, audiences: [], keys: { file: '/a', inline: { keys: [{}] } } }, { ...ISSUER, tokenType: 'id' }],
    identity: { headers: { 'X-A': { claim: 'a', encoding: 'xml' }, 'Host': { claim: 'b' } } },
    rules: [{ match: { path: 'x' }, allow: 'all' }, { match: { path: '/a' }, require: { issuers: ['crop'] } }],
    limits: { headerCount: 'many', connections: 0 },
  })
  for (const problem of [
    'listeners[0].more: there is no such field here; known are bind, upstream, allowRemoteUpstream',
    'listeners[0].bind: write host:port, for example 127.0.0.1:8080 or [::1]:8080; found "x"',
    'listeners[0].upstream: 10.0.0.1 is not loopback, so traffic would leave the pod in the clear; write 127.0.0.1:80, or set allowRemoteUpstream: true if that is meant',
    'issuers[0].audiences: name at least one audience; found an empty list',
    'issuers[0].keys: name exactly one of discovery, jwksUri, file, inline, secretFile; found file and inline',
    'issuers[1].tokenType: must be any or at+jwt; found "id"',
    'issuers[1].name: corp is already the name of issuers[0]; names must differ',
    'identity.headers.X-A.encoding: must be plain, csv, json, or base64url; found "xml"',
    'identity.headers.Host: this header has a meaning of its own in HTTP; choose another name, such as X-User-Id',
    'rules[0].allow: must be anonymous or optional; found "all"',
    'rules[0].match.path: x must begin with /',
    'rules[1].require.issuers[0]: crop is no issuer\'s name; did you mean corp?',
    'limits.headerCount: must be a number; found "many"',
    'limits.connections: must be more than 0: there is no "unlimited" here',
  ]) t.ok(found.includes(problem), problem)
  t.end()
})
