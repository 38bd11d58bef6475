import t from 'tap'
import * as v from 'valibot'
import { mergePodOverlay, parsePodOverlay, type PodOverlay } from '../../src/config/pod-overlay.ts'
import { configSchema } from '../../src/config/schema.ts'

const profile = { issuers: [{ name: 'corp', issuer: 'https://auth.internal', audiences: ['a'], keys: { discovery: true } }] }
const overlay = (more: Partial<PodOverlay> = {}): PodOverlay => ({
  ips: '10.0.0.7', listeners: [{ port: 15_001, on: 'any', upstream: '127.0.0.1:8080' }], health: 15_020, ...more,
})
const merged = (o: PodOverlay, file: unknown = profile) => v.parse(configSchema, mergePodOverlay(file, o))

t.test('the pod\'s facts make a profile a whole configuration', async (t) => {
  const config = merged(overlay())
  t.strictSame(config.listeners.map(({ bind, upstream }) => ({ bind, upstream })), [{ bind: { host: '0.0.0.0', port: 15_001 }, upstream: { host: '127.0.0.1', port: 8080 } }])
  t.strictSame(config.health, { bind: { host: '0.0.0.0', port: 15_020 } })
  t.equal(config.mode, 'enforce')
})

t.test('on: pod binds every address of a dual-stack pod and not loopback', async (t) => {
  const config = merged(overlay({ ips: '10.0.0.7,fd00::7', listeners: [{ port: 8080, on: 'pod', upstream: '127.0.0.1:8080' }] }))
  t.strictSame(config.listeners.map(({ bind }) => bind), [{ host: '10.0.0.7', port: 8080 }, { host: 'fd00::7', port: 8080 }])
  t.strictSame(config.health, { bind: { host: '::', port: 15_020 } })
})

t.test('an IPv6-only pod', async (t) => {
  const config = merged(overlay({ ips: 'fd00::7' }))
  t.strictSame(config.listeners[0]?.bind, { host: '::', port: 15_001 })
})

t.test('the pod wins where it says something, and only there', async (t) => {
  const file = { ...profile, mode: 'enforce', listeners: [{ bind: '127.0.0.1:1', upstream: '127.0.0.1:2' }], health: false, exposure: { unready: true } }
  const config = merged(overlay({ mode: 'audit', exposure: { check: false }, probes: { 'app/liveness': { type: 'tcp', address: '127.0.0.1:8080' } } }), file)
  t.equal(config.mode, 'audit')
  t.equal(config.listeners.length, 1)
  t.strictSame(config.exposure, { check: false, unready: true })
  t.strictSame(Object.keys(config.probes), ['app/liveness'])
  t.equal(merged(overlay(), { ...profile, mode: 'audit' }).mode, 'audit', 'a pod without mode keeps the profile\'s')
})

t.test('the file is not changed, and what is not an object is left to the schema', async (t) => {
  const file = Object.freeze({ ...profile })
  mergePodOverlay(file, overlay())
  t.notOk('listeners' in file)
  t.equal(mergePodOverlay('text', overlay()), 'text')
  t.equal(mergePodOverlay(null, overlay()), null)
})

t.test('a bad argument is told, never thrown', async (t) => {
  t.match(parsePodOverlay('{'), { problems: [/not JSON/] })
  t.match(parsePodOverlay('[]'), { problems: [/--pod/] })
  t.match(parsePodOverlay(JSON.stringify({ ...overlay(), ips: '$(SIDEGATE_POD_IPS)' })), { problems: [/status\.podIPs/] })
  t.match(parsePodOverlay(JSON.stringify({ ...overlay(), listeners: [] })), { problems: [/listeners/] })
  t.strictSame(parsePodOverlay(JSON.stringify(overlay())), { overlay: overlay() })
})
