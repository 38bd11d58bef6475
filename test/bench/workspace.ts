/** The bench's own folder (.bench/): keys, tokens and configurations, minted at run time and kept for the next run, never checked in. */
import { execFileSync } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))
export const WORK = `${ROOT}.bench/`
export const ISSUER = 'https://127.0.0.1:9443'
export const AUDIENCE = 'internal-services'

/** More tokens than any cache here holds: going round them finds every cache full of others, once {@link OTHERS} have filled it. */
const FRESH = 20_000
/** What fills the caches before. A cache takes whoever comes while it has room, and what it holds is not new. */
export const OTHERS = 6_000

export interface Keys { readonly rsa: KeyObject, readonly ec: KeyObject }

/** Makes a file of the folder, if it is not there from the last run. Returns its path. */
export function file(name: string, make: () => string | Uint8Array): string {
  const path = `${WORK}${name}`
  if (!existsSync(path)) writeFileSync(path, make(), { mode: 0o600 })
  return path
}

const pem = (key: KeyObject): string => key.export({ type: key.type === 'private' ? 'pkcs8' : 'spki', format: 'pem' })

function privateKey(name: string, make: () => KeyObject): KeyObject {
  return createPrivateKey(readFileSync(file(name, () => pem(make()))))
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Signs a token; `header` and `claims` are added to the usual ones, undefined takes one away. */
export function mint(key: KeyObject, claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}): string {
  const rsa = key.asymmetricKeyType === 'rsa'
  const now = Math.floor(Date.now() / 1000)
  const usual = {
    iss: ISSUER, aud: AUDIENCE, sub: 'user-4711', roles: ['user', 'orders-admin', 'auditor'], scope: 'orders.read orders.write', tenantId: 'acme', email: 'someone@example.com',
    iat: now, jti: `token-${Math.random().toString(36).slice(2)}`, exp: now + 30 * 86_400,
  }
  const signed = `${part({ alg: rsa ? 'RS256' : 'ES256', typ: 'JWT', kid: rsa ? 'k1' : 'e1', ...header })}.${part({ ...usual, ...claims })}`
  return `${signed}.${sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

/** The same token with other bytes in the middle of its signature. */
export function spoil(token: string): string {
  const [head, claims, signature = ''] = token.split('.')
  const middle = signature.length >> 1
  const other = signature.slice(middle, middle + 8) === 'AAAAAAAA' ? 'BBBBBBBB' : 'AAAAAAAA'
  return `${head}.${claims}.${signature.slice(0, middle)}${other}${signature.slice(middle + 8)}`
}

/** So many tokens, one a line. */
export const lines = (count: number, make: (at: number) => string): string => Array.from({ length: count }, (_, at) => make(at)).join('\n')

/** Tokens live 30 days. */
function dropOldTokens(): void {
  const old = Date.now() - 20 * 86_400_000
  for (const name of readdirSync(WORK).filter((each) => /^tokens-.*\.txt$/.test(each))) if (statSync(`${WORK}${name}`).mtimeMs < old) rmSync(`${WORK}${name}`)
}

/** Makes what is missing in the folder. Returns the keys; the rest is read by name. */
export function openWorkspace(): Keys {
  for (const folder of ['', 'run', 'log', 'www/body']) mkdirSync(`${WORK}${folder}`, { recursive: true })
  dropOldTokens()
  const rsa = privateKey('rsa-private.pem', () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)
  const ec = privateKey('ec-private.pem', () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
  const publicJwk = (key: KeyObject, more: object): object => {
    const { kty, n, e, crv, x, y } = key.export({ format: 'jwk' })
    return { kty, n, e, crv, x, y, use: 'sig', ...more }
  }
  const jwks = JSON.stringify({ keys: [publicJwk(rsa, { kid: 'k1', alg: 'RS256' }), publicJwk(ec, { kid: 'e1', alg: 'ES256' })] })
  file('jwks.json', () => jwks)
  // The app gives it to those that fetch it; its worker is another user.
  chmodSync(file('www/jwks.json', () => jwks), 0o644)
  for (const [name, key] of [['rsa', rsa], ['ec', ec]] as const) {
    file(`${name}.pem`, () => execFileSync('openssl', ['pkey', '-pubout'], { input: pem(key) }))
  }
  if (!existsSync(`${WORK}tokens-others.txt`)) console.log(`minting ${2 * FRESH + OTHERS} tokens, once`)
  file('tokens-one.txt', () => mint(rsa))
  file('tokens-thousand.txt', () => lines(1_000, (at) => mint(rsa, { sub: `user-${at}` })))
  file('tokens-fresh-rs.txt', () => lines(FRESH, (at) => mint(rsa, { sub: `user-${at}` })))
  file('tokens-fresh-es.txt', () => lines(FRESH, (at) => mint(ec, { sub: `user-${at}` })))
  file('tokens-others.txt', () => lines(OTHERS, (at) => mint(rsa, { sub: `other-${at}` })))
  file('tokens-bad.txt', () => readFileSync(`${WORK}tokens-fresh-rs.txt`, 'utf8').split('\n').map(spoil).join('\n'))
  chmodSync(file('www/body/64k.bin', () => Buffer.alloc(65_536, 'sidegate ')), 0o644)
  return { rsa, ec }
}
