import t from 'tap'
import * as fc from 'fast-check'
import { compileSource } from '../../src/injector/source-config.ts'

const corp = { name: 'corp', issuer: 'https://auth.internal', audiences: ['internal'], keys: { discovery: true } }
const other = { name: 'other', issuer: 'https://other.internal', audiences: ['x'], keys: { discovery: true } }
const source = (issuers: unknown, profiles: unknown) => ({ issuers: JSON.stringify(issuers), profiles: JSON.stringify(profiles) })

async function accepted(data: Record<string, string>): Promise<ReadonlyMap<string, string>> {
  const compiled = await compileSource(data)
  if (!('profiles' in compiled)) throw new Error(compiled.problems.join('\n'))
  return compiled.profiles
}

async function problems(data: Record<string, string> | undefined): Promise<string> {
  const compiled = await compileSource(data)
  return 'profiles' in compiled ? 'accepted' : compiled.problems.join('\n')
}

t.test('a profile gets its issuers, whole, and no listeners', async (t) => {
  const profiles = await accepted(source([corp, other], { default: { mode: 'audit' }, narrow: { issuers: ['other'] }, bare: null }))
  t.same(JSON.parse(profiles.get('default')!), { mode: 'audit', issuers: [corp, other] })
  t.same(JSON.parse(profiles.get('narrow')!), { issuers: [other] })
  t.same(JSON.parse(profiles.get('bare')!), { issuers: [corp, other] })
})

t.test('YAML as the chart writes it', async (t) => {
  const profiles = await accepted({
    issuers: '- name: corp\n  issuer: https://auth.internal\n  audiences: [internal]\n  keys:\n    discovery: true\n',
    profiles: 'default:\n  rules:\n    - match: { path: /healthz }\n      allow: anonymous\n    - match: { path: /** }\n      require: {}\n',
  })
  t.match(JSON.parse(profiles.get('default')!), { rules: [{ match: { path: '/healthz' }, allow: 'anonymous' }, { require: {} }] })
})

t.test('every problem at once, each with the path as it was written', async (t) => {
  const said = await problems(source(
    [{ ...corp, audiences: [] }, { ...other, keys: { discovery: true, jwksUri: 'https://x' } }],
    { default: { mode: 'of', listeners: [] }, b: { issuers: ['nobody'] }, 'bad name': {}, list: [] },
  ))
  t.match(said, /^issuers\[0\]\.audiences: name at least one audience/m)
  t.match(said, /^issuers\[1\]\.keys/m)
  t.match(said, /^profiles\.default\.mode: /m)
  t.match(said, /^profiles\.default\.listeners: is set for each pod/m)
  t.match(said, /^profiles\.b\.issuers: there is no issuer "nobody"; known are corp, other\./m)
  t.match(said, /^profiles: "bad name" is not a profile name/m)
  t.match(said, /^profiles\.list: must be a group of fields/m)
  t.equal(new Set(said.split('\n')).size, said.split('\n').length, 'an issuer\'s problem is said once, not once per profile')
})

t.test('an issuer\'s problem is at the issuer\'s own index, whichever profile names it', async (t) => {
  t.match(await problems(source([corp, { ...other, audiences: [] }], { default: { issuers: ['other'] } })), /^issuers\[1\]\.audiences/m)
  t.match(await problems(source([corp, { ...other, audiences: [] }], { default: { issuers: ['corp'] } })), /^issuers\[1\]\.audiences/m, 'used or not')
})

t.test('inline keys of which none is usable would keep every new sidecar from starting', async (t) => {
  const weak = { ...corp, keys: { inline: { keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: 'a' }] } } }
  t.match(await problems(source([other, weak], { default: { issuers: ['corp'] } })), /^issuers\[1\]\.keys\.inline\.keys: no key of the JWKS is usable/m)
})

t.test('nothing there, nothing in it, not even YAML', async (t) => {
  t.match(await problems(undefined), /issuers: the ConfigMap has no key "issuers".*\nprofiles: the ConfigMap has no key "profiles"/)
  t.match(await problems(source([], {})), /issuers: name at least one issuer.*\nprofiles: name at least one profile/)
  t.match(await problems(source('text', 7)), /issuers: name at least one issuer/)
  t.match(await problems({ issuers: '- {', profiles: 'a: b: c' }), /^issuers.*\n[^]*^profiles/m)
})

t.test('a profile that no ConfigMap could hold', async (t) => {
  const rules = Array.from({ length: 6_000 }, (_, index) => ({ match: { path: `/some/longer/path/${index}` }, require: { scopes: [`scope-${index}`] } }))
  t.match(await problems(source([corp], { default: { rules } })), /^profiles\.default: has \d+ bytes/m)
})

t.test('files that profiles name must be there', async (t) => {
  const pinned = { ...corp, keys: { discovery: true, caFile: '/etc/sidegate/corp.pem' } }
  t.match(await problems(source([pinned], { default: {} })), /^profiles\.default: names \/etc\/sidegate\/corp\.pem, but there is no such file; known are none\./m)
  const compiled = await compileSource({ ...source([pinned], { default: {} }), 'corp.pem': 'PEM' })
  t.same('profiles' in compiled && [...compiled.files], [['corp.pem', 'PEM']])
  t.match(await problems({ ...source([corp], { default: {} }), 'keys.json': '{}' }), /^files: "keys\.json" is not a name for a file/m)
  const service = { ...corp, keys: { discovery: true, caFile: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt' } }
  t.equal(await problems(source([service], { default: {} })), 'accepted', 'files of the pod\'s own are its own')
})

t.test('any text whatever: problems or a configuration, never an exception', async () => {
  await fc.assert(fc.asyncProperty(fc.string(), fc.string(), async (issuers, profiles) => { await compileSource({ issuers, profiles }) }), { numRuns: 300 })
  await fc.assert(fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), async (issuers, profiles) => { await compileSource(source(issuers, profiles)) }), { numRuns: 300 })
})
