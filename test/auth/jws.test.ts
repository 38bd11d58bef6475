import t from 'tap'
import { createJwsParser } from '../../src/auth/jws.ts'
import type { Jws } from '../../src/auth/jws.ts'
import { base64url } from '../helpers/tokens.ts'

const token = (header: object, payload = '{}'): string => `${base64url(JSON.stringify(header))}.${base64url(payload)}.AAAA`

t.test('takes a token apart, byte for byte', async (t) => {
  const text = token({ alg: 'RS256', kid: 'k', typ: 'JWT', x5c: ['never read'] }, '{"sub":"bob"}')
  const jws = createJwsParser().parse(text) as Jws
  t.same(jws.header, { alg: 'RS256', kid: 'k', typ: 'JWT' })
  t.equal(jws.payload.toString(), '{"sub":"bob"}')
  t.equal(`${jws.signingInput.toString()}.AAAA`, text)
  t.equal(jws.signature.length, 3)
})

t.test('remembers the headers it is told to, and no others: a stranger\'s header is parsed afresh each time', async (t) => {
  const parser = createJwsParser()
  const header = (text: string): unknown => (parser.parse(text) as Jws).header
  const trusted = token({ alg: 'RS256', kid: 'k' })
  t.not(header(trusted), header(trusted))
  parser.remember(trusted, (parser.parse(trusted) as Jws).header)
  t.equal(header(trusted), header(token({ alg: 'RS256', kid: 'k' }, '{"other":1}')), 'one header for all tokens that have it')
  for (let i = 0; i < 1000; i++) {
    const each = token({ alg: 'RS256', kid: `k${i}` })
    parser.remember(each, (parser.parse(each) as Jws).header)
  }
  t.same(header(trusted), { alg: 'RS256', kid: 'k', typ: undefined }, 'bounded; what was forgotten is parsed again')
  t.not(header(trusted), header(trusted))
})
