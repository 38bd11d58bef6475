/** Makes certificate authorities and server certificates (RFC 5280). P-256 throughout: small, fast, accepted by every API server. */
import 'reflect-metadata'
import { isIP } from 'node:net'
import { createPrivateKey, KeyObject, randomBytes, webcrypto } from 'node:crypto'
import {
  AuthorityKeyIdentifierExtension, BasicConstraintsExtension, ExtendedKeyUsage, ExtendedKeyUsageExtension, KeyUsageFlags,
  KeyUsagesExtension, SubjectAlternativeNameExtension, SubjectKeyIdentifierExtension, X509Certificate, X509CertificateGenerator,
} from '@peculiar/x509'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
/** Clocks of API server and controller may differ: certificates are valid from a little before they are made. */
const BACKDATE_MS = 5 * 60_000

/** A certificate and its private key, both PEM (PKCS #8). */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

/** What a certificate is made for. Times are Unix milliseconds. */
export interface Validity {
  readonly now: number
  readonly validityMs: number
}

/** A positive serial number of 127 random bits (RFC 5280 section 4.1.2.2 allows 20 octets). */
function serial(): string {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0]! & 0x7f) | 0x40
  return bytes.toString('hex')
}

function exportKey(key: webcrypto.CryptoKey): string {
  return KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' })
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' })
  return webcrypto.subtle.importKey('pkcs8', new Uint8Array(der), ALGORITHM, false, ['sign'])
}

const dates = ({ now, validityMs }: Validity) => ({ notBefore: new Date(now - BACKDATE_MS), notAfter: new Date(now + validityMs) })

/**
 * Makes a self-signed CA.
 * @param commonName its subject; two CAs of one project should differ in it, so that a verifier never confuses them
 */
export async function createAuthority(commonName: string, validity: Validity): Promise<KeyPair> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const cert = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: [{ CN: [commonName] }],
    ...dates(validity),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { cert: `${cert.toString('pem')}\n`, key: exportKey(keys.privateKey) }
}

/**
 * Makes a server certificate.
 * @param authority the CA that signs
 * @param names DNS names and IP addresses it is valid for; the first one is also the subject
 * @throws Error when the authority's key is not a P-256 private key
 */
export async function issueLeaf(authority: KeyPair, names: readonly string[], validity: Validity): Promise<KeyPair> {
  const ca = new X509Certificate(authority.cert)
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const cert = await X509CertificateGenerator.create({
    serialNumber: serial(),
    // RFC 5280: a common name has at most 64 characters. Verifiers look at the alternative names only.
    subject: [{ CN: [(names[0] ?? 'sidegate').slice(0, 64)] }],
    issuer: ca.subjectName,
    ...dates(validity),
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(names.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value }))),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(ca.publicKey),
    ],
  })
  return { cert: `${cert.toString('pem')}\n`, key: exportKey(keys.privateKey) }
}
