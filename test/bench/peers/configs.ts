/** Configurations of the peers, written for this bench: one worker, the same checks and headers as far as each can, no access log. */
import { AUDIENCE, ISSUER, WORK } from '../workspace.ts'

export const APP_PORT = 19_000

/** nginx's temporary folders and what keeps connections alive for the length of a run. */
const NGINX_HTTP = `
  access_log off; server_tokens off; default_type application/octet-stream;
  keepalive_requests 100000000; keepalive_timeout 3600s; client_max_body_size 0;
  client_body_temp_path ${WORK}run/cb; proxy_temp_path ${WORK}run/pt; fastcgi_temp_path ${WORK}run/ft; uwsgi_temp_path ${WORK}run/ut; scgi_temp_path ${WORK}run/st;`

const nginx = (name: string, before: string, servers: string): string => `
${before}
worker_processes 1; daemon off; pid ${WORK}run/${name}.pid; error_log ${WORK}log/${name}.log warn;
events { worker_connections 8192; }
http {${NGINX_HTTP}
${servers}
}
`

/** The app behind every peer. `/sink` answers when it has the whole body: nginx buffers it before it asks itself. */
export const appConfig = (): string => nginx('app', '', `
  open_file_cache max=10; client_body_buffer_size 2m;
  server {
    listen 127.0.0.1:${APP_PORT} backlog=4096;
    location / { return 200 "hello world!\\n"; }
    location = /headers { return 200 "user=$http_x_user_id $http_x_forwarded_user roles=$http_x_user_roles $http_x_forwarded_groups authorization=$http_authorization\\n"; }
    location = /jwks { default_type application/json; alias ${WORK}www/jwks.json; }
    location = /sink { proxy_pass http://127.0.0.1:${APP_PORT}/; proxy_http_version 1.1; proxy_set_body ""; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_method GET; }
    location /body/ { root ${WORK}www; }
  }`)

const PROXY = `
  proxy_request_buffering off; proxy_buffer_size 16k; proxy_buffers 8 32k; proxy_busy_buffers_size 64k; proxy_max_temp_file_size 0;
  upstream app { server 127.0.0.1:${APP_PORT}; keepalive 64; keepalive_requests 100000000; }`
const PASS = 'proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;'

export const nginxPlain = (port: number): string => nginx('nginx-plain', '', `${PROXY}
  server { listen 127.0.0.1:${port} backlog=4096; location / { ${PASS} } }`)

/** lua-resty-jwt below `.bench/lrj/lib`; with a cache of 2,000 verified tokens, or verifying each time. */
export const nginxLua = (port: number, cached: boolean): string => nginx(cached ? 'nginx-lua-cache' : 'nginx-lua', `
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;`, `${PROXY}
  lua_package_path "${WORK}lrj/lib/?.lua;${WORK}lrj/lib/?/init.lua;/usr/share/lua/5.1/?.lua;;";
  lua_package_cpath "/usr/lib/x86_64-linux-gnu/lua/5.1/?.so;;";
  init_by_lua_block {
    local function slurp(name) local handle = assert(io.open('${WORK}' .. name)); local text = handle:read('*a'); handle:close(); return text end
    PEM = { k1 = slurp('rsa.pem'), e1 = slurp('ec.pem') }
    ALG = { k1 = 'RS256', e1 = 'ES256' }
    JWT = require('resty.jwt')
    JWT:set_alg_whitelist({ RS256 = 1, ES256 = 1 })
    local must = require('resty.jwt-validators')
    CLAIMS = { iss = must.equals('${ISSUER}'), aud = must.equals('${AUDIENCE}'), exp = must.is_not_expired(), nbf = must.opt_is_not_before() }
    SEEN = ${cached ? "require('resty.lrucache').new(2000)" : 'nil'}
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      access_by_lua_block {
        local field = ngx.var.http_authorization
        local token = field and field:match('^[Bb]earer%s+(%S+)$')
        if not token then return ngx.exit(401) end
        local who = SEEN and SEEN:get(token)
        if not who then
          local parsed = JWT:load_jwt(token)
          local pem = parsed.valid and ALG[parsed.header.kid] == parsed.header.alg and PEM[parsed.header.kid]
          if not pem or not JWT:verify_jwt_obj(pem, parsed, CLAIMS).verified then return ngx.exit(401) end
          who = { parsed.payload.sub, table.concat(parsed.payload.roles or {}, ',') }
          if SEEN then SEEN:set(token, who, parsed.payload.exp - ngx.time()) end
        end
        ngx.req.clear_header('Authorization')
        ngx.req.set_header('X-User-Id', who[1])
        ngx.req.set_header('X-User-Roles', who[2])
      }
      ${PASS}
    }
  }`)

const HAPROXY = `
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout client 1h
  timeout http-keep-alive 1h
  timeout server 60s
  timeout connect 2s
backend app
  http-reuse always
  server app 127.0.0.1:${APP_PORT}
`

export const haproxyPlain = (port: number): string => `${HAPROXY}
frontend in
  bind 127.0.0.1:${port}
  default_backend app
`

/** `jwt_verify` looks at the signature only; every other check is a line of its own. */
export const haproxyJwt = (port: number): string => `${HAPROXY}
frontend in
  bind 127.0.0.1:${port}
  http-request del-header x-user-id
  http-request del-header x-user-roles
  http-request set-var(txn.token) http_auth_bearer
  http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
  http-request set-var(txn.kid) var(txn.token),jwt_header_query('$.kid')
  http-request set-var(txn.iss) var(txn.token),jwt_payload_query('$.iss')
  http-request set-var(txn.aud) var(txn.token),jwt_payload_query('$.aud')
  http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')
  http-request set-var(txn.nbf) var(txn.token),jwt_payload_query('$.nbf','int')
  http-request set-var(txn.now) date()
  acl rsa var(txn.alg),concat(-,txn.kid) -m str RS256-k1
  acl ec var(txn.alg),concat(-,txn.kid) -m str ES256-e1
  http-request deny deny_status 401 unless rsa or ec
  http-request deny deny_status 401 unless { var(txn.iss) -m str ${ISSUER} } { var(txn.aud) -m str ${AUDIENCE} }
  http-request deny deny_status 401 unless { var(txn.exp) -m found } { var(txn.exp),sub(txn.now) -m int gt 0 }
  http-request deny deny_status 401 if { var(txn.nbf) -m found } { var(txn.nbf),sub(txn.now) -m int gt 0 }
  http-request deny deny_status 401 if rsa !{ var(txn.token),jwt_verify(txn.alg,"${WORK}rsa.pem") -m int eq 1 }
  http-request deny deny_status 401 if ec !{ var(txn.token),jwt_verify(txn.alg,"${WORK}ec.pem") -m int eq 1 }
  http-request set-header x-user-id %[var(txn.token),jwt_payload_query('$.sub')]
  http-request set-header x-user-roles %[var(txn.token),jwt_payload_query('$.roles')]
  http-request del-header authorization
  default_backend app
`

const typed = (type: string, fields: object): object => ({ '@type': `type.googleapis.com/${type}`, ...fields })
const socket = (port: number): object => ({ socket_address: { address: '127.0.0.1', port_value: port } })

/** Envoy as a sidecar: `jwt` undefined is plain proxying, 0 is jwt_authn as it comes, else the size of its cache of tokens. */
export function envoy(port: number, jwt: number | undefined): string {
  const provider = {
    issuer: ISSUER, audiences: [AUDIENCE], require_expiration: true, local_jwks: { filename: `${WORK}jwks.json` }, from_headers: [{ name: 'Authorization', value_prefix: 'Bearer ' }], forward: false,
    claim_to_headers: [{ header_name: 'x-user-id', claim_name: 'sub' }, { header_name: 'x-user-roles', claim_name: 'roles' }], ...jwt && { jwt_cache_config: { jwt_cache_size: jwt } },
  }
  const authn = typed('envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication', { providers: { main: provider }, rules: [{ match: { prefix: '/' }, requires: { provider_name: 'main' } }] })
  const manager = typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'inbound', codec_type: 'AUTO', use_remote_address: true, normalize_path: true, merge_slashes: true, path_with_escaped_slashes_action: 'REJECT_REQUEST',
    common_http_protocol_options: { idle_timeout: '3600s', headers_with_underscores_action: 'REJECT_REQUEST' }, stream_idle_timeout: '300s', request_headers_timeout: '60s',
    route_config: { name: 'local', virtual_hosts: [{ name: 'app', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'app', timeout: '0s' } }] }] },
    http_filters: [...jwt === undefined ? [] : [{ name: 'jwt', typed_config: authn }], { name: 'router', typed_config: typed('envoy.extensions.filters.http.router.v3.Router', {}) }],
  })
  return JSON.stringify({
    admin: { address: socket(port + 500) },
    static_resources: {
      listeners: [{ name: 'inbound', address: socket(port), filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }] }],
      clusters: [{ name: 'app', type: 'STATIC', connect_timeout: '1s', load_assignment: { cluster_name: 'app', endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(APP_PORT) } }] }] } }],
    },
  })
}

/** oauth2-proxy for bearer tokens alone: no logins, no redirects, no sessions, no logs. It takes the keys from the app, once. */
export const oauth2Proxy = (port: number): string => `
http_address = "127.0.0.1:${port}"
upstreams = ["http://127.0.0.1:${APP_PORT}/"]
provider = "oidc"
oidc_issuer_url = "${ISSUER}"
skip_oidc_discovery = true
oidc_jwks_url = "http://127.0.0.1:${APP_PORT}/jwks"
oidc_enabled_signing_algs = ["RS256", "ES256"]
oidc_groups_claim = "roles"
login_url = "${ISSUER}/unused"
redeem_url = "${ISSUER}/unused"
client_id = "${AUDIENCE}"
client_secret = "unused"
cookie_secret = "0123456789abcdef0123456789abcdef"
cookie_secure = false
email_domains = ["*"]
skip_jwt_bearer_tokens = true
bearer_token_login_fallback = false
api_routes = ["^/"]
skip_provider_button = true
pass_basic_auth = false
pass_user_headers = true
pass_authorization_header = false
request_logging = false
auth_logging = false
standard_logging = false
`

/** The sidecar with one issuer and two identity headers, and what is given beside or instead. */
export const sidegateWith = (port: number, fields: object): string => JSON.stringify({
  listeners: [{ bind: `127.0.0.1:${port}`, upstream: `127.0.0.1:${APP_PORT}` }], admin: { bind: '127.0.0.1:0' }, health: { bind: '127.0.0.1:0' }, shutdown: { delay: '0', grace: '1s' },
  issuers: [{ name: 'corp', issuer: ISSUER, audiences: [AUDIENCE], keys: { file: `${WORK}jwks.json` } }],
  identity: { headers: { 'X-User-Id': { claim: 'sub' }, 'X-User-Roles': { claim: 'roles', encoding: 'csv' } } },
  ...fields,
})

/** The sidecar: `full` with many rules, identity headers and a share of the requests logged, else as little as it can have. */
export function sidegate(port: number, full: boolean): string {
  const rules = Array.from({ length: 40 }, (_, at) => ({ match: { path: `/service-${at}/**`, methods: ['POST'] }, require: { scopes: [`service${at}.write`] } }))
  return sidegateWith(port, full ? {
    identity: { headers: { 'X-User-Id': { claim: 'sub' }, 'X-User-Roles': { claim: 'roles', encoding: 'csv' }, 'X-Tenant-Id': { claim: 'tenantId' } } },
    rules: [...rules, { match: { path: '/**' }, require: { scopes: ['orders.read'], roles: { anyOf: ['auditor'] } } }], log: { allowed: 0.001 },
  } : {})
}
