/** Which sockets count as an exposed port of the app. */
import t from 'tap'
import { exposedPorts, watchExposure } from '../../src/sidecar/exposure.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'

t.test('only the sidecar\'s own address is its own: the same port on another one is the app\'s', (t) => {
  t.same(exposedPorts([{ host: '10.0.0.5', port: 8081 }, { host: '10.0.0.6', port: 8081 }], [8081], [{ host: '10.0.0.5', port: 8081 }]), [{ host: '10.0.0.6', port: 8081 }])
  t.end()
})

t.test('a port that is open over IPv4 and IPv6 is one exposed port', async (t) => {
  const metrics = createMetrics()
  const row = (local: string) => `   0: ${local} 00000000:0000 0A 0 0 0 0 0 0\n`
  const exposure = watchExposure({ targets: () => ({ appPorts: [8080], own: [] }), log: createLog({ sink: (b, done) => done(null, b.length) }), metrics, everyMs: 1e6,
    readTable: (path) => Promise.resolve(row(path.endsWith('6') ? `${'0'.repeat(32)}:1F90` : '00000000:1F90')) })
  t.teardown(() => exposure.stop())
  await exposure.look()
  t.equal(exposure.exposed.length, 2)
  t.match(metrics.render(), 'sidegate_exposed_ports 1')
})
