import { exposedPorts, listeningSockets, readListening, watchExposure } from '../../src/sidecar/exposure.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const row = (local: string, state = '0A') => `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n`

t.test('the kernel\'s tables are read: IPv4, IPv6, mapped, listening only', async (t) => {
  t.same(listeningSockets(HEAD + row('0100007F:1F90') + row('00000000:1F91') + row('0500A8C0:1F92', '01')), [
    { host: '127.0.0.1', port: 8080 }, { host: '0.0.0.0', port: 8081 },
  ])
  t.same(listeningSockets(HEAD + row(`${'0'.repeat(32)}:0050`) + row('00000000000000000000000001000000:0051') + row('0000000000000000FFFF00000100007F:0052')
    + row('B80D0120000000000000000001000000:0053')), [
    { host: '::', port: 80 }, { host: '::1', port: 81 }, { host: '::ffff:127.0.0.1', port: 82 }, { host: '2001:db8::1', port: 83 },
  ])
  t.same(listeningSockets(''), [])
  t.same(listeningSockets('nonsense\nmore : nonsense\n\n'), [])
})

t.test('of a long table only the lines of listening sockets are kept, wherever they are', async (t) => {
  const other = row('0500A8C0:1F92', '01')
  // The one behind so many others lies across the end of the first piece that is read, of 16 KiB.
  const across = Math.floor((16_384 - HEAD.length) / other.length)
  for (const before of [0, 1, across - 1, across, across + 1, 5_000]) {
    const text = HEAD + other.repeat(before) + row('00000000:1F91') + other.repeat(200) + row('0100007F:1F90')
    const path = join(t.testdir({ [`tcp${before}`]: text }), `tcp${before}`)
    const kept = await readListening(path)
    t.same(listeningSockets(kept), listeningSockets(text), `behind ${before} others`)
    t.equal(kept.split('\n').length, 3)
  }
  t.same(listeningSockets(await readListening(join(t.testdir({ cut: row('00000000:1F91').trimEnd() }), 'cut'))), [{ host: '0.0.0.0', port: 8081 }], 'without a line end')
  t.equal(await readListening(join(t.testdir({ empty: '' }), 'empty')), '')
  await t.rejects(readListening(join(t.testdir({ long: '0'.repeat(20_000) }), 'long')), /a line of/)
  await t.rejects(readListening('/nowhere/tcp'), { code: 'ENOENT' })
})

t.test('an app port beyond loopback is exposed; the sidecar\'s own socket and other ports are not', async (t) => {
  const sockets = [{ host: '0.0.0.0', port: 8080 }, { host: '127.0.0.1', port: 8081 }, { host: '10.0.0.5', port: 8081 }, { host: '::', port: 9999 }]
  t.same(exposedPorts(sockets, [8080, 8081], []), [{ host: '0.0.0.0', port: 8080 }, { host: '10.0.0.5', port: 8081 }])
  t.same(exposedPorts(sockets, [8080, 8081], [{ host: '10.0.0.5', port: 8081 }]), [{ host: '0.0.0.0', port: 8080 }])
})

t.test('A11: a real socket is seen, reported once by log and metric, and forgotten when it closes', async (t) => {
  const lines: string[] = []
  const log = createLog({ sink: (bytes, done) => { lines.push(...bytes.toString().trim().split('\n')); setImmediate(done, null, bytes.length) } })
  const metrics = createMetrics()
  const app = createServer().listen(0, '0.0.0.0')
  await once(app, 'listening')
  const { port } = app.address() as AddressInfo
  // This machine's own table: the reader has to cope with whatever else is in it.
  const exposure = watchExposure({ targets: () => ({ appPorts: [port], own: [] }), log, metrics, everyMs: 1e6 })
  t.teardown(() => exposure.stop())
  t.ok(readFileSync('/proc/net/tcp', 'latin1').length > 0)
  await exposure.look()
  await exposure.look()
  t.same(exposure.exposed, [{ host: '0.0.0.0', port }])
  t.match(metrics.render(), 'sidegate_exposed_ports 1')
  app.close()
  await once(app, 'close')
  await exposure.look()
  t.same(exposure.exposed, [])
  t.match(metrics.render(), 'sidegate_exposed_ports 0')
  await log.flush()
  t.equal(lines.length, 2)
  t.match(lines[0], `0.0.0.0:${port}`)
})

t.test('no /proc: nothing is reported, nothing fails', async (t) => {
  const exposure = watchExposure({ targets: () => ({ appPorts: [1], own: [] }), log: createLog({ sink: (b, done) => done(null, b.length) }), metrics: createMetrics(), readTable: () => Promise.reject(new Error('ENOENT')), everyMs: 1e6 })
  t.teardown(() => exposure.stop())
  await exposure.look()
  t.same(exposure.exposed, [])
})
