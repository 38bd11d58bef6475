import t from 'tap'
import { compileForwarding, FOREIGN_IDENTITY_HEADERS, ORIGIN_HEADERS, OVERRIDE_HEADERS } from '../../src/http/forwarded.ts'

const { strips, write } = compileForwarding(['10.0.0.0/8', 'fd00::/8'])
const written = (headers: readonly string[], peer: string) => {
  const out: string[] = []
  write(headers, peer, out)
  return out
}

t.test('from anyone else every forwarding header is removed, and what the sidecar saw is written', (t) => {
  for (const name of [...ORIGIN_HEADERS, ...FOREIGN_IDENTITY_HEADERS, ...OVERRIDE_HEADERS]) {
    for (const spelling of [name, name.toLowerCase(), name.replaceAll('-', '_')]) t.ok(strips(spelling, '192.0.2.1'), spelling)
  }
  for (const name of ['Accept', 'X-Request-Id', 'Traceparent', 'Cookie', 'Authorization']) t.notOk(strips(name, '192.0.2.1'), name)
  const lies = ['Host', 'app.example', 'X-Forwarded-For', '127.0.0.1', 'X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'evil', 'Forwarded', 'for=127.0.0.1']
  t.strictSame(written(lies, '192.0.2.1'), ['X-Forwarded-For', '192.0.2.1', 'X-Forwarded-Proto', 'http', 'X-Forwarded-Host', 'app.example'])
  t.strictSame(written([], '2001:db8::1'), ['X-Forwarded-For', '2001:db8::1', 'X-Forwarded-Proto', 'http'], 'HTTP/1.0 without Host')
  t.end()
})

t.test('from a trusted proxy what it said is kept and the proxy appended', (t) => {
  const said = ['Host', 'app.example', 'X-Forwarded-For', '203.0.113.9', 'x-forwarded-for', '198.51.100.7', 'X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'www.example', 'Forwarded', 'for=203.0.113.9', 'X-Real-IP', '203.0.113.9']
  t.strictSame(written(said, '10.1.2.3'), [
    'X-Forwarded-For', '203.0.113.9, 198.51.100.7, 10.1.2.3', 'X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'www.example', 'Forwarded', 'for=203.0.113.9, for=10.1.2.3',
  ])
  t.strictSame(written(['Forwarded', 'for=_x'], 'fd00::1'), ['X-Forwarded-For', 'fd00::1', 'X-Forwarded-Proto', 'http', 'Forwarded', 'for=_x, for="[fd00::1]"'])
  t.notOk(strips('X-Real-IP', '10.1.2.3'), 'kept')
  t.notOk(strips('X-Forwarded-User', '10.1.2.3'), 'kept')
  t.notOk(strips('X-Forwarded-Port', 'fd00::1'), 'kept')
  t.ok(strips('X-Forwarded-For', '10.1.2.3'), 'written anew')
  for (const name of OVERRIDE_HEADERS) t.ok(strips(name, '10.1.2.3'), `${name}: no proxy is trusted with that`)
  t.end()
})

t.test('an IPv4 peer of a dual-stack socket is the IPv4 address that it is', (t) => {
  t.notOk(strips('X-Real-IP', '::ffff:10.1.2.3'))
  t.ok(strips('X-Real-IP', '::ffff:11.1.2.3'))
  t.strictSame(written([], '::ffff:192.0.2.1').slice(0, 2), ['X-Forwarded-For', '192.0.2.1'])
  t.end()
})

t.test('nobody is trusted by default, and a block that is not one is an error', (t) => {
  t.ok(compileForwarding([]).strips('X-Forwarded-For', '127.0.0.1'))
  t.ok(strips('X-Real-IP', ''), 'an unknown peer is no proxy')
  t.ok(strips('X-Real-IP', 'localhost'))
  t.throws(() => compileForwarding(['10.0.0.0/33']), { message: '10.0.0.0/33 is not a CIDR block: write for example 10.0.0.0/8 or fd00::/8' })
  t.end()
})
