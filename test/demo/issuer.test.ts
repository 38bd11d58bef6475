import t from 'tap'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { startIssuer } from '../../src/demo/issuer.ts'

t.test('serves discovery and keys; signs what its keys verify', async (t) => {
  const issuer = await startIssuer({ algorithms: ['RS256', 'ES256', 'EdDSA'], path: '/realms/demo' })
  t.teardown(() => issuer.close())
  const discovery = await (await fetch(`${issuer.url}/.well-known/openid-configuration`)).json() as Record<string, string>
  t.equal(discovery.issuer, issuer.url)
  const set = await (await fetch(discovery.jwks_uri!)).json() as Parameters<typeof createLocalJWKSet>[0]
  for (const alg of ['RS256', 'ES256', 'EdDSA']) {
    const token = await issuer.sign({ sub: 'bob' }, { alg })
    const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(set), { issuer: issuer.url, audience: 'internal-services' })
    t.match({ payload, protectedHeader }, { payload: { sub: 'bob' }, protectedHeader: { alg } })
  }
  t.match(issuer.requests, { '/realms/demo/jwks': 1, '/realms/demo/.well-known/openid-configuration': 1 })
})

t.test('rotates, removes, stops and starts again on the same port', async (t) => {
  const issuer = await startIssuer({ algorithms: ['ES256'] })
  t.teardown(() => issuer.close())
  const [old] = issuer.keys
  const next = await issuer.rotate()
  t.same(issuer.jwks.keys.map((key) => key.kid), [old!.kid, next.kid])
  issuer.removeKey(old!.kid)
  t.same(issuer.jwks.keys.map((key) => key.kid), [next.kid])
  t.hasOwnProps(issuer.jwks.keys[0]!, ['x', 'y'])
  t.notOk('d' in issuer.jwks.keys[0]!, 'no private half is published')
  await issuer.stop()
  await t.rejects(fetch(issuer.jwksUri))
  await issuer.start()
  t.equal((await fetch(issuer.jwksUri)).status, 200)
})
