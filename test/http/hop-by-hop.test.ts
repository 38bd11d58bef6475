import * as fc from 'fast-check'
import t from 'tap'
import { endToEnd, HOP_BY_HOP, nominated, readUpgrade } from '../../src/http/hop-by-hop.ts'
import { isDenial } from '../../src/telemetry/reason.ts'
import { holds } from '../helpers/property.ts'

const none = () => false

t.test('hop-by-hop and framing headers are consumed in any spelling, the rest stays in order', (t) => {
  const consumed = [...HOP_BY_HOP, 'Content-Length', 'Expect'].flatMap((name) => [name, name.toUpperCase(), name.replaceAll('-', '_'), name.replaceAll('-', '.')])
  const headers = ['Host', 'a', ...consumed.flatMap((name) => [name, name.toLowerCase() === 'connection' ? 'keep-alive' : 'x']), 'Accept', '*/*', 'accept', 'b']
  t.strictSame(endToEnd(headers, none), ['Host', 'a', 'Accept', '*/*', 'accept', 'b'])
  t.end()
})

t.test('what Connection names is consumed, in one field or several, whatever the case', (t) => {
  const headers = ['Connection', 'close, X-One ,,\tx-two', 'CONNECTION', 'X-Three', 'X-One', '1', 'x-TWO', '2', 'X-three', '3', 'X-Four', '4']
  t.strictSame(endToEnd(headers, none), ['X-Four', '4'])
  t.strictSame(nominated(headers), ['close', 'x-one', 'x-two', 'x-three'])
  t.end()
})

t.test('a Connection that names what makes the message is refused', (t) => {
  for (const name of ['Host', 'content-length', 'Transfer-Encoding', 'TRANSFER_ENCODING', 'content.length']) {
    t.strictSame(endToEnd(['Connection', `close, ${name}`, 'Host', 'a'], none), { denied: 'protected_connection', detail: `Connection names ${name.toLowerCase()}` }, name)
  }
  t.end()
})

t.test('upgrades: exactly one allowed protocol, named by Connection', (t) => {
  const allowed = new Set(['websocket'])
  t.equal(readUpgrade(['Connection', 'keep-alive, Upgrade', 'Upgrade', ' WebSocket '], allowed), 'websocket')
  t.equal(readUpgrade(['Upgrade', 'websocket'], allowed), undefined, 'not named')
  t.equal(readUpgrade(['Connection', 'upgrade'], allowed), undefined, 'nothing asked for')
  t.equal(readUpgrade(['Connection', 'upgrade', 'Upgrade', 'h2c'], allowed), undefined, 'not allowed')
  t.equal(readUpgrade(['Connection', 'upgrade', 'Upgrade', 'websocket, h2c'], allowed), undefined, 'two in one field')
  t.equal(readUpgrade(['Connection', 'upgrade', 'Upgrade', 'websocket', 'Upgrade', 'websocket'], allowed), undefined, 'two fields')
  t.equal(readUpgrade(['Connection', 'upgrade', 'Upgrade', 'constructor'], allowed), undefined)
  t.end()
})

t.test('properties', (t) => {
  const name = fc.constantFrom('Host', 'Connection', 'X-A', 'x-a', 'X-B', 'TE', 'Upgrade', 'Content_Length', 'X-Secret', '__proto__')
  const value = fc.constantFrom('close', 'x-a', 'X-B, close', 'x-secret', '__proto__', 'host', ',', '')
  const headers = fc.array(fc.tuple(name, value), { maxLength: 12 }).map((pairs) => pairs.flat())
  const strips = (header: string) => header === 'X-Secret'
  holds(t, 'what is left is a part of what came, in order, without anything consumed, named or stripped', headers, (headers) => {
    const kept = endToEnd(headers, strips)
    const named = nominated(headers)
    if (isDenial(kept)) return named.includes('host')
    const expected = headers.filter((_, i) => {
      const header = headers[i - i % 2]!
      return !['connection', 'te', 'upgrade', 'content-length'].includes(header.toLowerCase().replaceAll('_', '-')) && !named.includes(header.toLowerCase()) && !strips(header)
    })
    return JSON.stringify(kept) === JSON.stringify(expected)
  }, 3000)
  t.end()
})
