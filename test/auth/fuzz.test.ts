/** Whatever comes in, from clients or from issuers: an answer, never an exception, and nothing left behind. */
import * as fc from 'fast-check'
import t from 'tap'
import { compileExtractor } from '../../src/auth/extract.ts'
import type { Extraction } from '../../src/auth/extract.ts'
import { openDenylist } from '../../src/auth/denylist.ts'
import { importJwk, parseJwks } from '../../src/auth/jwks.ts'
import { mintKey } from '../../src/demo/issuer.ts'
import { isDenial } from '../../src/telemetry/reason.ts'
import { codeUnit, holds, holdsAsync } from '../helpers/property.ts'
import { inlineIssuer, openBench } from '../helpers/tokens.ts'

type Source = Parameters<typeof compileExtractor>[0][number]
const [rsa, ec, ed] = await Promise.all([mintKey('RS256', 'rsa'), mintKey('ES256', 'ec'), mintKey('EdDSA', 'ed')])

t.test('any text as a token is denied', async (t) => {
  const bench = openBench([inlineIssuer([rsa, ec])])
  const part = fc.oneof(fc.string(), fc.base64String(), fc.json().map((text) => Buffer.from(text).toString('base64url')), fc.constant('eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9'))
  const text = fc.oneof(fc.string({ unit: codeUnit }), fc.array(part, { maxLength: 6 }).map((parts) => parts.join('.')))
  holds(t, 'denied', text, (token) => isDenial(bench.authenticate(token)), 2000)
  t.equal(bench.cache.size, 0, 'and leaves nothing in the cache')
})

t.test('any header list: after the edits there is no token in any configured place, and nothing else is touched', async (t) => {
  const sources: Source[] = [{ header: 'Authorization', scheme: 'Bearer' }, { header: 'X-Auth-Token' }, { cookie: 'session' }, { query: 'access_token' }]
  const extract = compileExtractor(sources, 1024)
  const name = fc.constantFrom('Authorization', 'authorization', 'AUTHORIZATION', 'X-Auth-Token', 'x_auth_token', 'X.Auth.Token', 'Cookie', 'cookie', 'Host', 'X-Other', 'Cookies')
  const value = fc.oneof(
    fc.string(),
    fc.constantFrom('Bearer aaa.bbb.ccc', 'bearer   x', 'Bearer', 'Basic YTpi', 'Basic x, Bearer y', 'session=aaa', 'a=b; session=aaa; c=d', 'session="x"; session=y', ';;session=;', 'a=b'),
  )
  const target = fc.oneof(
    fc.constantFrom('/', '/a?b=c', '/?access_token=x', '/?a=1&access%5Ftoken=x&b', '/?access_token=x&access_token=y', '/?&&=&access_token'),
    fc.array(fc.constantFrom('a', 'a=b', '=', '', 'access_token', 'access_token=x', 'access%5ftoken=y', 'access+token=z', 'x=access_token', '%', '%zz=1'), { maxLength: 6 })
      .map((parts) => `/a?${parts.join('&')}`),
  )
  const apply = (headers: readonly string[], { edits }: Extraction): string[] => {
    const edited = [...headers]
    for (const { index, value: next } of [...edits].reverse()) {
      if (next === undefined) edited.splice(index, 2)
      else edited[index + 1] = next
    }
    return edited
  }
  holds(t, 'clean', fc.tuple(fc.array(fc.tuple(name, value), { maxLength: 8 }), target), ([pairs, path]) => {
    const headers = pairs.flat()
    const first = extract({ target: path, headers })
    const rest = apply(headers, first)
    const second = extract({ target: first.target, headers: rest })
    const left = pairs.filter(([each]) => each === 'Host' || each === 'X-Other' || each === 'Cookies').flat()
    const others = rest.filter((_, index) => ['Host', 'X-Other', 'Cookies'].includes(rest[index - (index % 2)]!))
    // What may be left in a token's header is another scheme's credentials, which are nobody's token and no "no token" either.
    const clean = second.token === undefined || (isDenial(second.token) && ['scheme_unknown', 'token_ambiguous'].includes(second.token.denied))
    return clean && second.edits.length === 0 && second.target === first.target && JSON.stringify(others) === JSON.stringify(left)
  }, 2000)
})

t.test('any JWKS: keys or one sentence; any key: usable or a clause', async (t) => {
  const member = fc.constantFrom('kty', 'n', 'e', 'x', 'y', 'crv', 'kid', 'alg', 'use', 'key_ops', 'd', 'k', 'x5c', 'ext', '__proto__')
  const odd = fc.oneof(fc.jsonValue(), fc.base64String(), fc.constantFrom('RSA', 'EC', 'OKP', 'oct', 'P-256', 'P-521', 'Ed25519', 'X448', 'AQAB', 'RS256', 'EdDSA', 'sig', 'enc'))
  const jwk = fc.tuple(fc.constantFrom(rsa.jwk, ec.jwk, ed.jwk, {}), fc.array(fc.tuple(member, odd), { maxLength: 4 }))
    .map(([base, changes]) => Object.fromEntries([...Object.entries(base), ...changes]))
  let usable = 0
  holds(t, 'a key', jwk, (each) => {
    const key = importJwk(each)
    if (typeof key !== 'string') usable++
    return typeof key === 'string' ? key.length > 0 : key.verifiers.size > 0
  })
  t.ok(usable > 0, `${usable} of them usable`)
  const document = fc.oneof(fc.jsonValue(), fc.record({ keys: fc.oneof(fc.jsonValue(), fc.array(fc.oneof(fc.jsonValue(), jwk), { maxLength: 5 })) }))
  holds(t, 'a set', document, (each) => {
    try {
      return parseJwks(each, 3).keys.length > 0
    } catch (error) {
      return /^(not a JWKS|the JWKS is empty|no key of the JWKS is usable)/.test((error as Error).message)
    }
  })
})

t.test('any deny-list file: in force or one sentence that names the file', async (t) => {
  const { writeFileSync } = await import('node:fs')
  const file = `${t.testdir({})}/deny.json`
  const text = fc.oneof(
    fc.string(), fc.json(),
    fc.record({ jti: fc.jsonValue(), issuedBefore: fc.jsonValue() }, { requiredKeys: [] }).map((each) => JSON.stringify(each)),
    fc.record({ jti: fc.array(fc.string({ minLength: 1 })), sub: fc.array(fc.string({ minLength: 1 })) }, { requiredKeys: [] }).map((each) => JSON.stringify(each)),
  )
  let good = 0
  await holdsAsync(t, 'a list or a sentence', text, async (each) => {
    writeFileSync(file, each)
    try {
      (await openDenylist({ file })).close()
      good++
    } catch (error) {
      if (!(error as Error).message.startsWith(`the deny-list ${file} is `)) throw error
    }
  }, 300)
  t.ok(good > 0, `${good} were lists`)
})
