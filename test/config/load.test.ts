import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t from 'tap'
import { stringify } from 'yaml'
import { loadConfig, parseConfig } from '../../src/config/load.ts'
import { formatProblem } from '../../src/config/problem.ts'
import { configSchema } from '../../src/config/schema.ts'
import { holds } from '../helpers/property.ts'

const CONTRACT = `
listeners:
  - bind: 127.0.0.1:15001            # loopback unless told otherwise; the injector sets the pod's address
    upstream: 127.0.0.1:8080         # loopback only; anything else must be allowed explicitly
admin:  { bind: 127.0.0.1:15000 }    # loopback only
health: { bind: 127.0.0.1:15020 }    # /livez /readyz /startupz /metrics
mode: enforce                        # enforce | audit
issuers:
  - name: corp
    issuer: https://auth.internal    # exact string
    audiences: [internal-services]   # required; any-of
    keys: { discovery: true }        # or { jwksUri } | { file } | { inline }; with caFile, bearerTokenFile, allowHttp
    algorithms: [RS256, ES256]       # default: the asymmetric ones; HMAC never with a JWKS
    clockSkew: 30s
    tokenType: any                   # any | at+jwt
tokens:
  - { header: Authorization, scheme: Bearer }   # the default; also { cookie: NAME }, { header: NAME }
identity:
  headers:                           # claim -> header; stripped from every request first, in any spelling
    X-User-Id:    { claim: sub }
    X-User-Roles: { claim: roles, encoding: csv }
    X-Tenant-Id:  { claim: tenantId }
  forwardToken: false                # the token is removed before the app
rules:                               # first match wins; no match is a denial; no rules at all: every path needs a valid token
  - { match: { path: /healthz }, allow: anonymous }
  - { match: { path: /public/** }, allow: anonymous }
  - { match: { path: /orders/**, methods: [POST] }, require: { scopes: [orders.write] } }
  - { match: { path: /admin/** }, require: { roles: { anyOf: [admin] }, claims: { tenantId: acme } } }
  - { match: { path: /** }, require: {} }
`
const LEAST = { listeners: [{ bind: '127.0.0.1:0', upstream: '127.0.0.1:8080' }], issuers: [{ name: 'corp', issuer: 'https://a', audiences: ['x'], keys: { discovery: true } }] }

/** Problems as a person reads them, with the lines. */
const problemsOf = async (text: string) => (await parseConfig(text)).problems.map((problem) => formatProblem(problem, 'f'))

t.test('the contract\'s example is a configuration without problems or warnings', async (t) => {
  const { config, problems, warnings } = await parseConfig(CONTRACT)
  t.strictSame([problems, warnings], [[], []])
  t.match(config, { rules: [{ allow: 'anonymous' }, {}, { match: { methods: ['POST'] }, require: { scopes: ['orders.write'] } }], identity: { headers: { 'X-User-Roles': { encoding: 'csv' } } } })
  const same = await parseConfig(JSON.stringify({ ...config, listeners: LEAST.listeners, admin: false, health: false, issuers: LEAST.issuers, limits: {}, shutdown: {} }))
  t.strictSame(same.problems, [], 'and nothing in it is specific to YAML')
})

t.test('problems come with their lines, in order, from YAML and JSON', async (t) => {
  t.strictSame(await problemsOf('listeners:\n  - bind: 127.0.0.1:1\n    upstrem: 127.0.0.1:2\n\nissuers: []\nrules:\n  - match: { path: x }\n'), [
    'f:2: listeners[0].upstream: is missing',
    'f:3: listeners[0].upstrem: there is no such field here; did you mean upstream?',
    'f:5: issuers: name at least one issuer; found an empty list',
    'f:7: rules[0].match.path: x must begin with /',
  ])
  t.strictSame(await problemsOf(JSON.stringify({ ...LEAST, mode: 'audi' }, null, 2)), ['f:20: mode: must be enforce or audit; found "audi"; did you mean audit?'])
  t.strictSame((await parseConfig(`${JSON.stringify(LEAST).slice(0, -1)},\n"rules":[{"match":{},"allow":"anonymous"}]}`)).warnings.map((warning) => formatProblem(warning, 'f')), ['f: rules[0]: opens every path that no rule before it matches, without a token'])
})

t.test('duplicate keys are refused, in JSON as in YAML', async (t) => {
  const json = JSON.stringify(LEAST)
  t.strictSame(await problemsOf(`${json.slice(0, -1)},\n"mode":"audit",\n"mode":"enforce"}`), ['f:3: not valid JSON or YAML: Map keys must be unique'])
  t.strictSame(await problemsOf('mode: audit\nmode: enforce\n'), ['f:2: not valid JSON or YAML: Map keys must be unique'])
  t.strictSame(await problemsOf(json.replace('"audiences"', '"audiences":["y"],"audiences"')), ['f:1: not valid JSON or YAML: Map keys must be unique'], 'deep inside')
  t.ok((await parseConfig(json.replace('"x"', '"a\\":b:\\\\"'))).config, 'a colon in a text is no key')
})

t.test('text that is neither JSON nor YAML, or not usable', async (t) => {
  t.match(await problemsOf('{"listeners": ['), [/^f:1: not valid JSON or YAML: /])
  t.match(await problemsOf('a: b: c'), [/^f:1: not valid JSON or YAML: /])
  t.match(await problemsOf('a: 1\n--- \nb: 2'), [/^f:2: not valid JSON or YAML: .*multiple documents/])
  for (const nothing of ['', '\n', '# nothing\n']) t.strictSame(await problemsOf(nothing), ['f: is empty; it needs at least `listeners` and `issuers`'])
  t.strictSame(await problemsOf('- a'), ['f:1: is not a group of fields; it needs at least `listeners` and `issuers`'])
  t.match(await problemsOf('a: *nowhere'), [/^f: not usable YAML: Unresolved alias/])
  const laughs = ['a: &a [x,x,x,x,x,x,x,x,x,x]', ...'bcdefg'.split('').map((name, i) => `${name}: &${name} [${Array.from({ length: 10 }, () => `*${'abcdefg'.charAt(i)}`).join(',')}]`)].join('\n')
  t.strictSame(await problemsOf(laughs), ['f: not usable YAML: Excessive alias count indicates a resource exhaustion attack'])
  t.strictSame(await problemsOf('x'.repeat(3 * 1024 ** 2)), ['f: has 3145728 characters, more than the 2097152 allowed'])
})

t.test('a file that cannot be read is a problem like others', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'sidegate-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const file = join(dir, 'config.yaml')
  t.strictSame((await loadConfig(file)).problems, [{ path: [], message: 'there is no such file; check the path, and in a pod that the volume is mounted' }])
  t.strictSame((await loadConfig(dir)).problems, [{ path: [], message: 'this is a directory; name the file in it' }])
  writeFileSync(file, CONTRACT)
  t.ok((await loadConfig(file)).config)
  writeFileSync(file, Buffer.from([0xef, 0xbb, 0xbf, ...Buffer.from(stringify(LEAST))]))
  t.ok((await loadConfig(file)).config, 'with a byte order mark')
})

t.test('the overlay is laid over what the file says, before it is judged', async (t) => {
  const { config } = await parseConfig('issuers: []', (raw) => ({ ...raw as object, ...LEAST }))
  t.equal(config?.issuers[0]?.name, 'corp')
})

t.test('properties: never a crash, never an unknown field accepted', async (t) => {
  const names = Object.keys(configSchema.entries)
  const anything = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom('127.0.0.1:1', '30s', '1MiB', 'audit', true, 0, '/**'))
  const config = fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), anything, { maxKeys: 5 })
  const texts: string[] = []
  holds(t, 'cases made', fc.oneof(config.map((value) => JSON.stringify(value)), config.map((value) => stringify(value)), fc.string(), config.map((value) => JSON.stringify({ ...LEAST, ...value }))), (text) => { texts.push(text) }, 600)
  let accepted = 0
  for (const text of texts) {
    const { config, problems } = await parseConfig(text)
    if (config === undefined && problems.length === 0) t.fail('refused without a problem', { text })
    if (config !== undefined && !Object.keys(config).every((name) => names.includes(name))) t.fail('an unknown field', { text })
    accepted += config === undefined ? 0 : 1
  }
  t.ok(accepted > 0, `${texts.length} texts, ${accepted} of them accepted`)

  // One unknown field at any place of a whole configuration must be refused.
  const whole = (await import('yaml')).parse(CONTRACT) as Record<string, unknown>
  const places: (readonly (string | number)[])[] = [[]]
  for (const place of places) {
    const at = place.reduce<unknown>((value, step) => (value as Record<string | number, unknown>)[step], whole)
    if (typeof at === 'object' && at !== null) places.push(...Object.keys(at).map((key) => [...place, Array.isArray(at) ? Number(key) : key]))
  }
  for (const place of places) {
    const copy = structuredClone(whole)
    const at = place.reduce<unknown>((value, step) => (value as Record<string | number, unknown>)[step], copy)
    if (typeof at !== 'object' || at === null || Array.isArray(at)) continue
    if (place.at(-1) === 'claims' || place.join('.') === 'identity.headers') continue // The names are the author's.
    Object.assign(at, { unknownField: 1 })
    t.match(await problemsOf(JSON.stringify(copy)), [/unknownField: there is no such field here/], formatProblem({ path: place, message: 'refused' }))
  }
})
