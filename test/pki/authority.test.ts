import t from 'tap'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer, connect, type TLSSocket } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { createAuthority, issueLeaf } from '../../src/pki/authority.ts'

const HOUR = 3_600_000
const now = Date.now()

/** Handshakes with a real TLS server. */
async function handshake(pair: { cert: string, key: string }, ca: string, servername: string): Promise<string> {
  const server = createServer({ cert: pair.cert, key: pair.key }, (socket) => { socket.end() }).listen(0, '127.0.0.1')
  server.on('tlsClientError', () => {})
  await once(server, 'listening')
  const socket: TLSSocket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', ca, servername })
  try {
    await once(socket, 'secureConnect')
    return 'trusted'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  } finally {
    socket.destroy()
    server.close()
  }
}

t.test('a CA is a CA and no more: path length 0, signs certificates only', async (t) => {
  const ca = await createAuthority('sidegate test CA', { now, validityMs: 24 * HOUR })
  const cert = new X509Certificate(ca.cert)
  t.equal(cert.ca, true)
  t.equal(cert.subject, 'CN=sidegate test CA')
  t.ok(cert.verify(cert.publicKey))
  t.ok(cert.validFromDate.getTime() < now - 4 * 60_000, 'valid from a little before now')
  t.equal(cert.validToDate.getTime(), Math.floor((now + 24 * HOUR) / 1000) * 1000)
})

t.test('a leaf is trusted under its CA, for its names, and by no other CA', async (t) => {
  const ca = await createAuthority('sidegate test CA 1', { now, validityMs: 24 * HOUR })
  const other = await createAuthority('sidegate test CA 2', { now, validityMs: 24 * HOUR })
  const leaf = await issueLeaf(ca, ['sidegate-webhook.sidegate-system.svc', 'localhost', '127.0.0.1', '::1'], { now, validityMs: HOUR })
  const cert = new X509Certificate(leaf.cert)
  t.equal(cert.ca, false)
  t.match(cert.subjectAltName, /DNS:sidegate-webhook\.sidegate-system\.svc/)
  t.match(cert.subjectAltName, /IP Address:127\.0\.0\.1/)
  t.equal(await handshake(leaf, ca.cert, 'localhost'), 'trusted')
  t.equal(await handshake(leaf, other.cert + ca.cert, 'localhost'), 'trusted', 'a bundle of old and new trusts both')
  t.equal(await handshake(leaf, other.cert, 'localhost'), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE')
  t.equal(await handshake(leaf, ca.cert, 'evil.test'), 'ERR_TLS_CERT_ALTNAME_INVALID')
})

t.test('an expired leaf is refused', async (t) => {
  const ca = await createAuthority('sidegate test CA', { now: now - 3 * HOUR, validityMs: 24 * HOUR })
  const leaf = await issueLeaf(ca, ['localhost'], { now: now - 2 * HOUR, validityMs: HOUR })
  t.equal(await handshake(leaf, ca.cert, 'localhost'), 'CERT_HAS_EXPIRED')
})

t.test('long names are cut in the subject, never in the alternative names', async (t) => {
  const ca = await createAuthority('sidegate test CA', { now, validityMs: HOUR })
  const name = `${'a'.repeat(60)}.${'b'.repeat(60)}.svc`
  const cert = new X509Certificate((await issueLeaf(ca, [name], { now, validityMs: HOUR })).cert)
  t.match(cert.subjectAltName, name)
})
