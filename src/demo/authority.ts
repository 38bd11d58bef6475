import { webcrypto } from 'node:crypto'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const HOUR = 3_600_000

/** What a TLS server needs, PEM. */
export interface ServerCertificate {
  readonly cert: string
  readonly key: string
}

/** A certificate authority that lives as long as the process. */
export interface Authority {
  /** Its own certificate, PEM. */
  readonly ca: string
  /** Issues a leaf certificate for DNS names and IP addresses, valid for `validMs` from now (negative: already expired). */
  issue(names: readonly string[], validMs?: number): Promise<ServerCertificate>
}

const serial = (): string => `00${webcrypto.getRandomValues(Buffer.alloc(8)).toString('hex')}`

const isIp = (name: string): boolean => /^[\d.]+$|:/.test(name)

/** Mints a certificate authority at run time: no key of ours is ever on a disk or in the repository. */
export async function createAuthority(name = 'Sidegate demo CA'): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: `CN=${name}`,
    notBefore: new Date(Date.now() - HOUR),
    notAfter: new Date(Date.now() + 24 * HOUR),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  })

  return {
    ca: ca.toString('pem'),
    async issue(names, validMs = 12 * HOUR) {
      const leaf = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
      const cert = await x509.X509CertificateGenerator.create({
        serialNumber: serial(),
        issuer: ca.subject,
        subject: `CN=${names[0] ?? 'localhost'}`,
        notBefore: new Date(Date.now() - HOUR),
        notAfter: new Date(Date.now() + validMs),
        publicKey: leaf.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: ALGORITHM,
        extensions: [
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
          new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: isIp(value) ? 'ip' : 'dns', value }))),
        ],
      })
      const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', leaf.privateKey))
      return { cert: cert.toString('pem'), key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY') }
    },
  }
}
