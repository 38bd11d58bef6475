import * as fc from 'fast-check'
import t from 'tap'
import { compileCidrs, parseCidr, plainAddress } from '../../src/lib/cidr.ts'
import { holds } from '../helpers/property.ts'

t.test('blocks and single addresses of both families', (t) => {
  t.strictSame(parseCidr('10.0.0.0/8'), { network: '10.0.0.0', bits: 8, family: 'ipv4' })
  t.strictSame(parseCidr('fd00::1'), { network: 'fd00::1', bits: 128, family: 'ipv6' })
  for (const text of ['', '10.0.0.0/33', 'fd00::/129', '10.0.0/8', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0.0/-1', '10.0.0.0/1e1', 'localhost', 'a/8', '10.0.0.0/08x']) t.equal(parseCidr(text), undefined, text)
  t.end()
})

t.test('mapped addresses are IPv4', (t) => {
  t.equal(plainAddress('::ffff:10.0.0.1'), '10.0.0.1')
  t.equal(plainAddress('::FFFF:10.0.0.1'), '10.0.0.1')
  t.equal(plainAddress('fd00::1'), 'fd00::1')
  t.end()
})

t.test('properties', (t) => {
  const ip = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))
  const toNumber = ([a, b, c, d]: readonly number[]) => BigInt(a!) << 24n | BigInt(b!) << 16n | BigInt(c!) << 8n | BigInt(d!)
  const near = fc.tuple(ip, fc.nat(32), fc.nat(31)).map(([network, bits, flip]) => {
    const flipped = toNumber(network) ^ 1n << BigInt(flip)
    return { network, bits, address: [24n, 16n, 8n, 0n].map((shift) => Number(flipped >> shift & 255n)) }
  })
  holds(t, 'an IPv4 address is in a block when their first bits are equal', near, ({ network, bits, address }) => {
    const shift = BigInt(32 - bits)
    const inside = toNumber(network) >> shift === toNumber(address) >> shift
    const test = compileCidrs([`${network.join('.')}/${bits}`])
    return test(address.join('.')) === inside && test(address.join('.')) === inside && test(`::ffff:${address.join('.')}`) === inside
  })
  t.end()
})
