/** One issuer's key, and as many tokens of it as a flood needs. */
import { generateKeyPairSync, sign } from 'node:crypto'

export interface Minter {
  /** The `issuers` entry that trusts it. */
  readonly issuer: object
  /** A new token; `size`: of about so many characters. */
  readonly mint: (size?: number) => string
  /** A new token whose signature is wrong. */
  readonly forge: () => string
}

const ISSUER = 'https://auth.internal'
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

export function createMinter(): Minter {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const header = part({ alg: 'ES256', typ: 'JWT', kid: 'k1' })
  const exp = Math.floor(Date.now() / 1000) + 3_600
  let n = 0
  const claims = (size: number): string => {
    const usual = { iss: ISSUER, aud: 'internal-services', sub: `user-${n}`, jti: `token-${n++}`, roles: ['user', 'orders-admin', 'auditor'], scope: 'orders.read orders.write', tenantId: 'acme', email: 'someone@example.com', exp }
    return part({ ...usual, ...size > 500 && { groups: Array.from({ length: (size - 500) * 3 / 4 / 16 }, (_, at) => `group-${n % 997}-${at}`.padEnd(13, 'x')) } })
  }
  const signed = (text: string): string => sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')
  return {
    issuer: { name: 'corp', issuer: ISSUER, audiences: ['internal-services'], keys: { inline: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'ES256', use: 'sig' }] } } },
    mint(size = 0) {
      const text = `${header}.${claims(size)}`
      return `${text}.${signed(text)}`
    },
    forge() {
      const text = `${header}.${claims(0)}`
      return `${text}.${Buffer.alloc(64, `no${n}`).toString('base64url')}`
    },
  }
}
