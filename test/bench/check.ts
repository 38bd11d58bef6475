/** Before anything is timed: does each peer refuse what it must? One that does not check is no peer. */
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import type { Peer } from './peers/peers.ts'
import { ISSUER, WORK, mint, spoil, type Keys } from './workspace.ts'

interface Case {
  readonly name: string
  readonly token: string | undefined
  readonly passes: boolean
  /** Beside headers that say who somebody else is. */
  readonly forges?: boolean
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function cases({ rsa, ec }: Keys): Case[] {
  const good = mint(rsa)
  const claims = good.split('.')[1]!
  const hmacHead = part({ alg: 'HS256', typ: 'JWT', kid: 'k1' })
  const hmac = createHmac('sha256', readFileSync(`${WORK}rsa.pem`)).update(`${hmacHead}.${claims}`).digest('base64url')
  const now = Math.floor(Date.now() / 1000)
  const bad = (name: string, token: string | undefined): Case => ({ name, token, passes: false })
  return [
    { name: 'good RS256', token: good, passes: true }, { name: 'good ES256', token: mint(ec), passes: true },
    { name: 'good, beside forged headers', token: good, passes: true, forges: true },
    bad('no token', undefined), bad('garbage', 'abc'), bad('bad signature', spoil(good)), bad('expired', mint(rsa, { exp: now - 3_600 })), bad('wrong audience', mint(rsa, { aud: 'others' })),
    bad('wrong issuer', mint(rsa, { iss: `${ISSUER}/` })), bad('no exp', mint(rsa, { exp: undefined })), bad('nbf ahead', mint(rsa, { nbf: now + 3_600 })), bad('alg none', `${part({ alg: 'none', typ: 'JWT' })}.${claims}.`),
    bad('HS256 by public PEM', `${hmacHead}.${claims}.${hmac}`), bad('unknown kid', mint(rsa, {}, { kid: 'other' })), bad('another key', mint(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)),
  ]
}

function get(port: number, token: string | undefined, headers: Record<string, string> = {}): Promise<{ status: number, text: string }> {
  return new Promise((resolve, reject) => {
    http.get({ port, host: '127.0.0.1', path: '/headers', agent: false, headers: { ...headers, ...token !== undefined && { Authorization: `Bearer ${token}` } } }, (response) => {
      let text = ''
      response.setEncoding('latin1').on('data', (piece: string) => { text += piece }).on('end', () => resolve({ status: response.statusCode!, text }))
    }).on('error', reject)
  })
}

/** A table row: what the peer answered to each case; a cell starts with `!` where it did not do what it must. */
export async function check(peer: Peer, keys: Keys): Promise<Record<string, string>> {
  const row: Record<string, string> = {}
  const [user, roles] = peer.identityHeaders ?? ['X-User-Id', 'x-user-roles']
  for (const { name, token, passes, forges } of cases(keys)) {
    const { status, text } = await get(peer.port, token, forges ? { [user!]: 'admin', [roles!]: 'root' } : {})
    const forged = /admin|root/.test(text.replaceAll('orders-admin', ''))
    const leaked = /authorization=Bearer/.test(text)
    const right = passes ? status === 200 && !forged && !leaked : status === 401 || status === 403
    row[name] = `${right ? '' : '!'}${status}${forged ? ' forged' : ''}${leaked ? ' token kept' : ''}`
  }
  return row
}
