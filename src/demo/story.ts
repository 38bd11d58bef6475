/** The story of the demo, as a table: what is done first, what is sent, what must come back and what the app must have received. */
import { createHmac } from 'node:crypto'
import type { Answer, Stage } from './stage.ts'

/** What the configuration file of the demo says besides addresses. */
export interface Rules {
  readonly adminMode: 'enforce' | 'audit'
  readonly ordersRole: string | undefined
}

/** Writes the configuration that the demo's sidecar runs with. */
export function configuration(facts: { app: number; issuer: string; caFile: string; denylist: string }, rules: Rules): string {
  return `# The sidecar's whole configuration. Edit and save: it takes effect without a restart.
listeners:
  - { bind: "127.0.0.1:0", upstream: "127.0.0.1:${facts.app}" }
admin: { bind: "127.0.0.1:0" }
health: { bind: "127.0.0.1:0" }
issuers:
  - name: corp
    issuer: ${facts.issuer}
    audiences: [internal-services]
    keys: { discovery: true, caFile: ${facts.caFile}, cooldown: 1s }
identity:
  headers:
    X-User-Id: { claim: sub }
    X-User-Roles: { claim: roles, encoding: csv }
denylist: { file: ${facts.denylist} }
rules:
  - { match: { path: /public/** }, allow: anonymous }
  - { match: { path: /admin/** }, require: { roles: { anyOf: [admin] } }, mode: ${rules.adminMode} }
  - { match: { path: /orders/** }, require: {${rules.ordersRole ? ` roles: { anyOf: [${rules.ordersRole}] } ` : ''}} }
  - { match: { path: /** }, require: {} }
shutdown: { delay: 0s, grace: 2s }
`
}

/** One step. `expect.app` is what the app must have received: `nothing` (it never saw the request), or these identity headers and no others. */
export interface Step {
  readonly title: string
  /** Done first; returns what to tell of it. */
  readonly act?: (stage: Stage) => Promise<string>
  readonly path: string
  readonly token?: (stage: Stage) => Promise<string>
  readonly tokenIs?: string
  /** Flat list, sent in exactly this spelling. */
  readonly forged?: readonly string[]
  readonly expect: { readonly status: number; readonly app: 'nothing' | Readonly<Record<string, string>> }
  /** The request passes in audit mode: the log must say what would have become of it. */
  readonly audited?: boolean
  /** The step follows a change of a file: tried again until it comes out right, for this long. */
  readonly withinMs?: number
}

const now = (): number => Math.floor(Date.now() / 1000)
const ADA = { sub: 'ada', aud: 'internal-services', roles: ['staff', 'orders'] }
const BOB = { sub: 'bob', aud: 'internal-services', roles: ['staff'], jti: 'bobs-laptop' }
const signed = (claims: Record<string, unknown>) => (stage: Stage): Promise<string> =>
  stage.issuer.sign({ iat: now(), exp: now() + 3600, ...claims })
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

const FORGED = ['X-User-Id', 'root', 'x-user-ID', 'root', 'X_User_Id', 'root', 'X.User.Id', 'root', 'X-User_Id', 'root', 'X_USER_ROLES', 'admin']

/** A token in the RS256 issuer's name, keyed with its public key as if that were an HMAC secret. */
async function confused(stage: Stage): Promise<string> {
  const { keys } = stage.issuer.jwks
  const body = `${part({ alg: 'HS256', kid: keys[0]?.kid })}.${part({ ...ADA, iss: stage.issuer.url, exp: now() + 3600 })}`
  return `${body}.${createHmac('sha256', JSON.stringify(keys[0])).update(body).digest('base64url')}`
}

const unsigned = async (stage: Stage): Promise<string> =>
  `${part({ alg: 'none' })}.${part({ ...ADA, iss: stage.issuer.url, exp: now() + 3600 })}.`

/**
 * The steps, in order. They share one stage: a later step relies on what an earlier one did.
 * @param rewrite changes the rules in the running sidecar's configuration file
 */
export function story(rewrite: (stage: Stage, rules: Partial<Rules>) => Promise<void>): readonly Step[] {
  let old = ''
  const ada = signed(ADA)
  const bob = signed(BOB)
  const asAda = { 'X-User-Id': 'ada', 'X-User-Roles': 'staff,orders' }
  const asBob = { 'X-User-Id': 'bob', 'X-User-Roles': 'staff' }
  const refused = { status: 401, app: 'nothing' } as const
  return [
    { title: 'No token: the app never sees the request', path: '/orders/7', expect: refused },
    { title: 'A good token: the app receives the identity, not the token', path: '/orders/7', token: ada, tokenIs: "ada's", expect: { status: 200, app: asAda } },
    { title: 'Forged identity headers, in five spellings, beside a good token', path: '/orders/7', token: bob, tokenIs: "bob's", forged: FORGED, expect: { status: 200, app: asBob } },
    { title: 'The same on a public path, without a token', path: '/public/logo.svg', forged: FORGED, expect: { status: 200, app: {} } },
    { title: 'A public path as a way to a protected one', path: '/public/../admin/users', expect: { status: 400, app: 'nothing' } },
    { title: 'An expired token', path: '/orders/7', token: signed({ ...ADA, iat: now() - 7200, exp: now() - 3600 }), tokenIs: "ada's, expired an hour ago", expect: refused },
    { title: 'A token for another audience', path: '/orders/7', token: signed({ ...ADA, aud: 'payroll' }), tokenIs: "ada's, aud: payroll", expect: refused },
    { title: 'alg: none', path: '/orders/7', token: unsigned, tokenIs: 'unsigned', expect: refused },
    { title: 'HS256, keyed with the public key', path: '/orders/7', token: confused, tokenIs: 'signed with what everybody can read', expect: refused },
    { title: 'A valid token that lacks the role', path: '/admin/users', token: bob, tokenIs: "bob's, roles: staff", expect: { status: 403, app: 'nothing' } },
    {
      title: 'The issuer rotates its keys: a token of the new key is good at once', path: '/orders/7', tokenIs: "ada's, new key",
      act: async (stage) => { old = await ada(stage); await stage.issuer.rotate(); return 'issuer: new signing key, published beside the old one' },
      token: ada, expect: { status: 200, app: asAda },
    },
    { title: '... and a token of the old key still is', path: '/orders/7', token: async () => old, tokenIs: "ada's, old key", expect: { status: 200, app: asAda } },
    {
      title: 'A rule changes: /orders now takes the role auditor. No restart', path: '/orders/7', token: ada, tokenIs: "ada's", withinMs: 5_000,
      act: async (stage) => { await rewrite(stage, { ordersRole: 'auditor' }); return 'sidegate.yaml: require: { roles: { anyOf: [auditor] } }' },
      expect: { status: 403, app: 'nothing' },
    },
    {
      title: '... and back', path: '/orders/7', token: ada, tokenIs: "ada's", withinMs: 5_000,
      act: async (stage) => { await rewrite(stage, { ordersRole: undefined }); return 'sidegate.yaml: require: {}' },
      expect: { status: 200, app: asAda },
    },
    {
      title: 'Audit mode for one rule: what would be denied passes, counted and logged', path: '/admin/users', token: bob, tokenIs: "bob's, roles: staff", withinMs: 5_000,
      act: async (stage) => { await rewrite(stage, { adminMode: 'audit' }); return 'sidegate.yaml: mode: audit on /admin/**' },
      audited: true, expect: { status: 200, app: asBob },
    },
    { title: '... but a bad token gets no identity there', path: '/admin/users', token: unsigned, tokenIs: 'unsigned', audited: true, expect: { status: 200, app: {} } },
    {
      title: '... and enforce again', path: '/admin/users', token: bob, tokenIs: "bob's, roles: staff", withinMs: 5_000,
      act: async (stage) => { await rewrite(stage, { adminMode: 'enforce' }); return 'sidegate.yaml: mode: enforce' },
      expect: { status: 403, app: 'nothing' },
    },
    {
      title: "Bob's laptop is stolen: its token is revoked within a second", path: '/orders/7', token: bob, tokenIs: "bob's, not expired", withinMs: 5_000,
      act: async (stage) => { await stage.write('denylist.json', JSON.stringify({ jti: ['bobs-laptop'] })); return 'denylist.json: {"jti":["bobs-laptop"]}' },
      expect: refused,
    },
    {
      title: 'The issuer goes down: good tokens stay good', path: '/orders/7', token: signed({ ...ADA, jti: 'while-down' }), tokenIs: "ada's, never seen before",
      act: async (stage) => { await stage.issuer.stop(); return 'issuer: down' }, expect: { status: 200, app: asAda },
    },
    { title: '... and bad ones bad', path: '/orders/7', token: unsigned, tokenIs: 'unsigned', expect: refused },
  ]
}

/** Every identity header the app received, whatever its spelling, as the app's framework might read it. */
export function identityOf(answer: Answer): Record<string, string> {
  const found: Record<string, string> = {}
  for (const [name, value] of answer.seen?.headers ?? []) {
    if (/^x[^a-z0-9]user[^a-z0-9](id|roles)$/i.test(name)) found[name] = name in found ? `${found[name]} + ${value}` : value
  }
  return found
}

/** What is not as the step expects, in words; undefined when all is. */
export function wrong(step: Step, answer: Answer): string | undefined {
  if (answer.status !== step.expect.status) return `expected ${step.expect.status}`
  if (step.expect.app === 'nothing') return answer.seen ? 'the app saw the request' : undefined
  if (!answer.seen) return 'the app did not see the request'
  if (JSON.stringify(identityOf(answer)) !== JSON.stringify(step.expect.app)) return `expected the app to receive ${JSON.stringify(step.expect.app)}`
  return answer.seen.headers.some(([name]) => name.toLowerCase() === 'authorization') ? 'the app received the token' : undefined
}
