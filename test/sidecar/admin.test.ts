import { createAdmin, withoutSecrets } from '../../src/sidecar/admin.ts'
import { configSchema } from '../../src/config/schema.ts'
import type { Reply, RequestHead } from '../../src/http/contract.ts'
import { createLog } from '../../src/telemetry/log.ts'
import * as v from 'valibot'
import t from 'tap'

const at = { host: '127.0.0.1', port: 15000 }
const config = v.parse(configSchema, {
  listeners: [{ bind: '127.0.0.1:15001', upstream: '127.0.0.1:8080' }],
  issuers: [
    { name: 'corp', issuer: 'https://auth.internal', audiences: ['a'], keys: { inline: { keys: [{ kty: 'RSA', d: 'PRIVATE' }] } } },
    { name: 'legacy', issuer: 'https://old.internal', audiences: ['a'], keys: { secretFile: '/etc/sidegate/secret' } },
  ],
  denylist: { file: '/etc/sidegate/denylist.json', sub: ['PERSON-1', 'PERSON-2'], jti: ['TOKEN-ID'] },
  probes: { 'app/readiness': { type: 'http', address: '127.0.0.1:8080', headers: [{ name: 'Authorization', value: 'Basic SECRET' }] } },
})

function service() {
  const log = createLog({ sink: (bytes, done) => setImmediate(done, null, bytes.length) })
  const handler = createAdmin({ config: () => config, keys: () => ({ corp: { keys: 1, usable: true } }), log })
  const ask = async (line: string, more: { peer?: string, headers?: string[] } = {}) => {
    const [method = '', target = ''] = line.split(' ')
    const head: RequestHead = { method, target, headers: more.headers ?? ['Host', 'localhost:15000'], version: '1.1', peer: more.peer ?? '127.0.0.1', listener: { bind: at, upstream: at } }
    return await handler.decide(head) as Reply
  }
  return { ask, log }
}

t.test('the configuration in force, without secrets', async (t) => {
  const { status, body } = await service().ask('GET /config')
  t.equal(status, 200)
  t.match(JSON.parse(body), {
    issuers: [{ name: 'corp', keys: { inline: '1 keys' } }, { keys: { secretFile: '/etc/sidegate/secret' } }],
    denylist: { file: '/etc/sidegate/denylist.json', sub: '2 entries', jti: '1 entries' },
    probes: { 'app/readiness': { headers: [{ name: 'Authorization', value: '[not shown]' }] } },
  })
  t.notMatch(body, /PRIVATE|PERSON|TOKEN-ID|SECRET/)
  t.match(withoutSecrets({ ...config, denylist: undefined }), { mode: 'enforce' })
})

t.test('keys, index, and nothing else', async (t) => {
  const { ask } = service()
  t.same(JSON.parse((await ask('GET /keys')).body), { corp: { keys: 1, usable: true } })
  t.match((await ask('GET /')).body, '/log-level')
  t.equal((await ask('GET /elsewhere')).status, 404)
  t.equal((await ask('POST /config')).status, 405)
  t.equal((await ask('DELETE /log-level')).status, 405)
})

t.test('the log level can be read and set', async (t) => {
  const { ask, log } = service()
  t.same(JSON.parse((await ask('GET /log-level')).body), { level: 'info' })
  t.equal((await ask('PUT /log-level?level=debug')).status, 200)
  t.equal(log.level, 'debug')
  t.equal((await ask('PUT /log-level?level=loud')).status, 400)
  t.equal((await ask('PUT /log-level')).status, 400)
  t.equal(log.level, 'debug')
})

t.test('A12: loopback only, and never for a web page', async (t) => {
  const { ask } = service()
  const cases: [string, Parameters<typeof ask>[1], number][] = [
    ['a peer from elsewhere', { peer: '10.0.0.7' }, 403],
    ['DNS rebinding: a foreign name that resolves to loopback', { headers: ['Host', 'evil.example:15000'] }, 403],
    ['a name that only begins like loopback', { headers: ['Host', '127.0.0.1.evil.example'] }, 403],
    ['no Host', { headers: [] }, 403],
    ['two Hosts', { headers: ['Host', 'localhost', 'host', 'localhost'] }, 403],
    ['a web page', { headers: ['Host', 'localhost', 'Origin', 'http://localhost'] }, 403],
    ['IPv4', { headers: ['Host', '127.0.0.1:15000'] }, 200],
    ['IPv6', { headers: ['Host', '[::1]:15000'], peer: '::1' }, 200],
    ['a dual-stack socket', { headers: ['host', 'LOCALHOST'], peer: '::ffff:127.0.0.1' }, 200],
  ]
  for (const [name, more, status] of cases) t.equal((await ask('GET /config', more)).status, status, name)
})
