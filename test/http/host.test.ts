import * as fc from 'fast-check'
import t from 'tap'
import { canonicalPattern, compileHostLabel, compileHosts } from '../../src/http/host-pattern.ts'
import { canonicalHost, readHost } from '../../src/http/host.ts'
import { byte, holds } from '../helpers/property.ts'

t.test('one host in whatever spelling is one host', (t) => {
  for (const host of ['app.example', 'APP.example', 'app.example.', 'App.Example:8080', 'app.EXAMPLE.:80', 'app.example:']) t.equal(canonicalHost(host), 'app.example', host)
  t.equal(canonicalHost('[::1]:80'), '[::1]')
  t.equal(canonicalHost('[2001:DB8::A]'), '[2001:db8::a]')
  t.equal(canonicalHost('10.0.0.1:80'), '10.0.0.1')
  t.equal(canonicalHost('my_svc.ns'), 'my_svc.ns')
  t.end()
})

t.test('what is not a host and optional port is refused', (t) => {
  for (const host of ['', ' ', 'a b', 'a,b', 'user@a', 'a/b', 'a?b', 'a#b', 'a:b', 'a:123456', 'a:80:80', '::1', '[::1', '[g]', 'a%2eb', '.', '..', '.a', 'a..b', 'a..', ':80', 'a\x00b', 'ä.example', 'a\\b', 'x'.repeat(256)]) {
    t.equal(canonicalHost(host), undefined, JSON.stringify(host))
    t.strictSame(readHost(['Host', host], '1.1'), { denied: 'bad_host', detail: 'not a host and optional port' })
  }
  t.end()
})

t.test('exactly one Host', (t) => {
  t.equal(readHost(['HOST', 'A'], '1.1'), 'a')
  t.strictSame(readHost(['Accept', 'x'], '1.1'), { denied: 'bad_host', detail: 'no Host header' })
  t.strictSame(readHost(['Host', 'a', 'host', 'a'], '1.1'), { denied: 'bad_host', detail: '2 Host headers' })
  t.strictSame(readHost(['Host', 'a', 'host', 'b'], '1.0'), { denied: 'bad_host', detail: '2 Host headers' })
  t.equal(readHost([], '1.0'), '', 'HTTP/1.0 needs none')
  t.end()
})

t.test('host patterns: exact, or * for exactly one label', (t) => {
  const matches = compileHosts(['App.example.', '*.Tenants.example', '[::1]'])
  for (const host of ['app.example', 'a.tenants.example', '[::1]']) t.ok(matches(host), host)
  for (const host of ['b.app.example', 'tenants.example', 'a.b.tenants.example', 'xtenants.example', '', '.tenants.example']) t.notOk(matches(host), host)
  for (const pattern of ['', '*', '*.', '**.a', 'a.*', '*a.b', 'https://a', 'a/b']) {
    t.equal(canonicalPattern(pattern), undefined, pattern)
    t.throws(() => compileHosts([pattern]), { message: `${pattern} is not a host pattern: write a host, or *.example.com for one label` })
  }
  t.end()
})

t.test('the label for which * stands', (t) => {
  const label = compileHostLabel('*.Example.com')
  t.equal(label('acme.example.com'), 'acme')
  for (const host of ['example.com', 'a.acme.example.com', 'acme.example.org', '', 'acme']) t.equal(label(host), undefined, host)
  t.throws(() => compileHostLabel('example.com'), /has no \*/)
  t.end()
})

t.test('properties', (t) => {
  const label = fc.string({ unit: fc.constantFrom(...'abXY09-_'.split('')), minLength: 1, maxLength: 6 })
  const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'))
  holds(t, 'the canonical form is its own canonical form, and does not depend on case, port and trailing dot', host, (host) => {
    const canonical = canonicalHost(host)!
    return canonicalHost(canonical) === canonical && canonicalHost(`${host.toUpperCase()}.:8443`) === canonical
  })
  holds(t, 'no text crashes it, and what it accepts is a host to the URL parser', fc.string({ unit: byte, maxLength: 20 }), (text) => {
    const canonical = canonicalHost(text)
    return canonical === undefined || text.includes('_') || /[0-9.]+$/.test(canonical) || URL.canParse(`http://${text}/`)
  }, 1000)
  t.end()
})

t.test('reading one host does not change how the next is read', (t) => {
  const pairs = fc.array(fc.constantFrom('A.example.com', 'a.example.com:8443', 'b.example.com.', 'a..', 'a b', ''), { minLength: 1, maxLength: 8 })
  holds(t, 'in any order, each is what it is by itself', pairs, (hosts) => hosts.every((host) => {
    const read = readHost(['Host', host], '1.1')
    return typeof read === 'string' ? read === canonicalHost(host) : canonicalHost(host) === undefined
  }))
  t.end()
})
