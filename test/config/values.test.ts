import * as fc from 'fast-check'
import t from 'tap'
import { formatAddress, isLoopback, parseAddress, parseDuration, parseSize, parseTime } from '../../src/config/values.ts'
import { holds } from '../helpers/property.ts'

t.test('durations', (t) => {
  for (const [text, ms] of [['0', 0], ['500ms', 500], ['30s', 30_000], ['5m', 300_000], ['1h', 3_600_000], ['7d', 604_800_000], ['0s', 0]] as const) t.equal(parseDuration(text), ms, text)
  for (const text of ['', '1', '-1s', '1.5s', '1 s', ' 1s', '1s ', '1S', '1w', 's', '1ss', '1m30s', '0x1s', '1e3s', '9999999999s', 'Infinity']) t.equal(parseDuration(text), undefined, text)
  t.end()
})

t.test('times', (t) => {
  const noon = Date.UTC(2026, 0, 31, 12) / 1000
  for (const text of ['2026-01-31T12:00:00Z', '2026-01-31t12:00:00z', '2026-01-31 12:00:00Z', '2026-01-31T13:30:00+01:30', '2026-01-31T12:00:00-00:00', noon]) t.equal(parseTime(text), noon, String(text))
  t.equal(parseTime('2028-02-29T00:00:00.5Z'), Date.UTC(2028, 1, 29) / 1000 + 0.5)
  t.equal(parseTime(0), 0)
  for (const text of ['', 'yesterday', '2026-01-31', '2026-01-31T12:00Z', '2026-01-31T12:00:00', '2026-02-30T12:00:00Z', '2026-02-29T12:00:00Z', '2026-13-01T12:00:00Z', '2026-00-01T12:00:00Z', '2026-01-00T12:00:00Z', '2026-01-31T24:00:00Z', '2026-01-31T12:60:00Z',
    '2026-01-31T12:00:00+24:00', '2026-01-31  12:00:00Z', '2026-01-31T12:00:00.Z', ' 2026-01-31T12:00:00Z', '1769860800', Infinity, Number.NaN]) t.equal(parseTime(text), undefined, String(text))
  t.end()
})

t.test('sizes', (t) => {
  for (const [text, bytes] of [['0', 0], ['16384', 16_384], ['16KiB', 16_384], ['1MiB', 1_048_576]] as const) t.equal(parseSize(text), bytes, text)
  for (const text of ['', '-1', '1.5KiB', '1KB', '1kib', '1GiB', '1 KiB', '0x10', '1e3', 'KiB', '1234567890123']) t.equal(parseSize(text), undefined, text)
  t.end()
})

t.test('addresses', (t) => {
  t.strictSame(parseAddress('127.0.0.1:8080'), { host: '127.0.0.1', port: 8080 })
  t.strictSame(parseAddress('[::1]:0'), { host: '::1', port: 0 })
  t.strictSame(parseAddress('app.ns:65535'), { host: 'app.ns', port: 65_535 })
  for (const text of ['', ':80', '127.0.0.1', '127.0.0.1:', '127.0.0.1:65536', '127.0.0.1:-1', '127.0.0.1:8a', '::1:80', '[::1]', 'a b:80', 'http://a:80', 'a/b:80', '127.0.0.1:80 ']) t.equal(parseAddress(text), undefined, text)
  t.end()
})

t.test('loopback is what cannot leave the pod', (t) => {
  for (const host of ['127.0.0.1', '127.255.0.9', '::1', 'localhost', '::ffff:127.0.0.1']) t.ok(isLoopback(host), host)
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', '1127.0.0.1', '127.0.0.1.evil.example', 'localhost.evil', '127.1', '2130706433', '']) t.notOk(isLoopback(host), host)
  t.end()
})

t.test('properties', (t) => {
  const octets = fc.array(fc.nat(255), { minLength: 4, maxLength: 4 }).map((parts) => parts.join('.'))
  const ipv6 = fc.array(fc.nat(0xffff), { minLength: 8, maxLength: 8 }).map((parts) => parts.map((part) => part.toString(16)).join(':'))
  holds(t, 'an address is what its writing parses to', fc.tuple(fc.oneof(octets, ipv6, fc.domain()), fc.nat(65_535)), ([host, port]) => {
    const back = parseAddress(formatAddress({ host, port }))
    return back?.host === host && back.port === port
  })
  holds(t, 'a duration is a number of milliseconds, in proportion', fc.tuple(fc.nat(1e6), fc.constantFrom(['s', 1e3], ['m', 6e4], ['h', 36e5], ['ms', 1], ['d', 864e5])), ([count, [unit, factor]]) =>
    parseDuration(`${count}${unit}`) === count * factor)
  holds(t, 'a size is a number of bytes, in proportion', fc.tuple(fc.nat(1e6), fc.constantFrom(['KiB', 1024], ['MiB', 1024 ** 2], ['', 1])), ([count, [unit, factor]]) =>
    parseSize(`${count}${unit}`) === count * factor)
  holds(t, 'any text parses to something sane or to nothing', fc.string({ maxLength: 15 }), (text) => {
    const [ms, bytes, address] = [parseDuration(text), parseSize(text), parseAddress(text)]
    return (ms === undefined || (Number.isSafeInteger(ms) && ms >= 0)) && (bytes === undefined || (Number.isSafeInteger(bytes) && bytes >= 0)) && (address === undefined || address.port <= 65_535)
  }, 3000)
  t.end()
})
