/** Edges of keys, key sources and deny-lists. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { openDenylist } from '../../src/auth/denylist.ts'
import { fetchDocument } from '../../src/auth/fetch-document.ts'
import { importJwk } from '../../src/auth/jwks.ts'
import { mintKey } from '../../src/demo/issuer.ts'
import { issuerConfig } from '../helpers/issuer.ts'
import { until } from '../helpers/sidecar.ts'
import { openBench } from '../helpers/tokens.ts'

t.test('an answer that is refused is not left hanging: the connection to the issuer closes', async (t) => {
  const issuer = createServer((_, response) => { response.writeHead(500).write('x'.repeat(1_000)) }).listen(0, '127.0.0.1')
  t.teardown(() => { issuer.closeAllConnections(); issuer.close() })
  await once(issuer, 'listening')
  const connections: Socket[] = []
  issuer.on('connection', (socket) => { connections.push(socket.on('error', () => {})) })
  await t.rejects(fetchDocument(new URL(`http://127.0.0.1:${(issuer.address() as AddressInfo).port}/`), { maxBytes: 1_000, deadline: new AbortController().signal }), /status 500/)
  await until(() => connections.length === 1 && connections[0]!.destroyed, 2_000)
})

t.test('an empty entry of a deny-list file is a mistake, not an entry', async (t) => {
  const file = join(t.testdir({}), 'deny.json')
  for (const list of ['jti', 'sub', 'kid']) {
    writeFileSync(file, JSON.stringify({ [list]: ['x', ''] }))
    await t.rejects(openDenylist({ file }), /is wrong/, list)
  }
})

t.test('a URL with a password and no user is refused, too', async (t) => {
  t.throws(() => openBench([issuerConfig({ issuer: 'https://auth.internal', keys: { jwksUri: 'https://:secret@auth.internal/jwks' } })]), /user name or password/)
})

t.test('RSA: 8192 bits are accepted, 8193 are not', async (t) => {
  const modulus = (bits: number) => { const bytes = Buffer.alloc(Math.ceil(bits / 8), 0xff); if (bits % 8) bytes[0] = 1; return bytes.toString('base64url') }
  t.type(importJwk({ kty: 'RSA', e: 'AQAB', n: modulus(8192) }), 'object')
  t.match(importJwk({ kty: 'RSA', e: 'AQAB', n: modulus(8193) }), /at most 8192/)
})

t.test('a kid of 256 characters is taken, one of 257 is not', async (t) => {
  const { jwk } = await mintKey('ES256')
  t.type(importJwk({ ...jwk, kid: 'k'.repeat(256) }), 'object')
  t.type(importJwk({ ...jwk, kid: 'k'.repeat(257) }), 'string')
})
