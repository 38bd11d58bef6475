/**
 * A small real OpenID Connect issuer on loopback, for the demo and for the tests: discovery document, JWKS, keys minted at run
 * time, key rotation, and tokens. It is not part of the sidecar.
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createHttpsServer, Server as HttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { CompactSign, exportJWK, generateKeyPair } from 'jose'
import type { CompactJWSHeaderParameters, JWK } from 'jose'
import { resetSocket } from '../lib/reset-socket.ts'
import { createAuthority } from './authority.ts'
import type { Authority } from './authority.ts'
import type { KeyPair } from '../pki/authority.ts'

/** A key of the issuer: the private half signs, the public half is what the JWKS publishes. */
export interface SigningKey {
  readonly kid: string
  readonly algorithm: string
  readonly privateKey: CryptoKey
  readonly jwk: JWK
}

export interface IssuerOptions {
  /** https with a certificate authority minted now (see {@link Issuer.ca}). Default: plain http. */
  readonly tls?: boolean
  /** The authority to take the certificate from, where several servers share one. */
  readonly authority?: Authority
  /** Algorithms of the first keys; the first of them signs by default. Default RS256. */
  readonly algorithms?: readonly string[]
  /** `aud` of the tokens. Default `internal-services`. */
  readonly audience?: string | readonly string[]
  /** Port; 0 takes a free one. */
  readonly port?: number
  /** Appended to the origin to make `iss`, such as `/realms/demo`. */
  readonly path?: string
  /** `Cache-Control` of the JWKS. */
  readonly cacheControl?: string
  /** Sees each request first; answers it itself when it returns true. For faults. */
  readonly intercept?: (request: IncomingMessage, response: ServerResponse) => boolean
}

export interface SignOptions {
  /** Which key signs. Default: the newest. */
  readonly kid?: string
  /** Which algorithm signs; takes the newest key of it. */
  readonly alg?: string
  /** Further header members, or others in place of `alg`, `kid`, `typ`; undefined removes one. */
  readonly header?: Readonly<Record<string, unknown>>
}

/** A running issuer. */
export interface Issuer {
  /** The `iss` of its tokens. */
  readonly url: string
  readonly port: number
  readonly jwksUri: string
  /** PEM of the authority to trust; undefined on plain http. */
  readonly ca: string | undefined
  /** Published keys, oldest first. */
  readonly keys: readonly SigningKey[]
  /** The JWKS as it is served now. */
  readonly jwks: { keys: JWK[] }
  /** Requests so far, by path. */
  readonly requests: Readonly<Record<string, number>>
  /** Publishes a new key. It signs from now on unless `sign` names another. */
  addKey(algorithm?: string, kid?: string): Promise<SigningKey>
  /** Takes a key out of the JWKS; a {@link SigningKey} in the caller's hand can still sign by {@link Issuer.signWith}. */
  removeKey(kid: string): void
  /** A new key of the newest key's algorithm takes over; the old ones stay published until removed. */
  rotate(): Promise<SigningKey>
  /**
   * Signs a token.
   * @param claims in place of or beside the defaults: iss, aud, sub `user-1`, iat now, exp in 5 minutes, a fresh jti; undefined removes one
   */
  sign(claims?: Readonly<Record<string, unknown>>, options?: SignOptions): Promise<string>
  /** As {@link Issuer.sign}, by any key. */
  signWith(key: SigningKey, claims?: Readonly<Record<string, unknown>>, header?: Readonly<Record<string, unknown>>): Promise<string>
  /** Stops listening and resets every connection: connecting is refused until {@link Issuer.start}. */
  stop(): Promise<void>
  /** Serves another certificate from the next connection on. Only with TLS. */
  useCertificate(certificate: KeyPair): void
  /** Listens again, on the same port. */
  start(): Promise<void>
  close(): Promise<void>
}

/** Makes a key pair; nothing is published. */
export async function mintKey(algorithm = 'RS256', kid: string = randomUUID()): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true })
  return { kid, algorithm, privateKey, jwk: { ...await exportJWK(publicKey), kid, alg: algorithm, use: 'sig' } }
}

async function signCompact(key: SigningKey, claims: object, header: Readonly<Record<string, unknown>>): Promise<string> {
  const all = { alg: key.algorithm, kid: key.kid, typ: 'JWT', ...header }
  const present = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
  return new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader(present as unknown as CompactJWSHeaderParameters)
    .sign(key.privateKey)
}

function sendJson(response: ServerResponse, body: unknown, cacheControl?: string): void {
  response.writeHead(200, { 'content-type': 'application/json', ...cacheControl && { 'cache-control': cacheControl } })
  response.end(JSON.stringify(body))
}

/** Starts an issuer on 127.0.0.1. */
export async function startIssuer(options: IssuerOptions = {}): Promise<Issuer> {
  const { algorithms = ['RS256'], audience = 'internal-services', path = '', intercept } = options
  const authority = options.tls ? options.authority ?? await createAuthority() : undefined
  const keys = await Promise.all(algorithms.map((algorithm) => mintKey(algorithm)))
  keys.reverse() // the last key signs by default
  const requests: Record<string, number> = {}
  const sockets = new Set<Socket>()

  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const at = (request.url ?? '/').split('?')[0]!
    requests[at] = (requests[at] ?? 0) + 1
    if (intercept?.(request, response)) return
    if (at === `${path}/jwks`) sendJson(response, issuer.jwks, options.cacheControl)
    else if (at === `${path}/.well-known/openid-configuration`) sendJson(response, discovery())
    else response.writeHead(404).end()
  }
  const server = authority
    ? createHttpsServer(await authority.issue(['127.0.0.1', 'localhost']), answer)
    : createHttpServer(answer)
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })

  let port = options.port ?? 0
  const start = async (): Promise<void> => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    ;({ port } = server.address() as AddressInfo)
  }
  const stop = async (): Promise<void> => {
    if (!server.listening) return
    server.close()
    for (const socket of sockets) resetSocket(socket)
    await once(server, 'close')
  }
  await start()

  const url = `${authority ? 'https' : 'http'}://127.0.0.1:${port}${path}`
  const jwksUri = `${url}/jwks`
  const discovery = (): object => ({
    issuer: url,
    jwks_uri: jwksUri,
    authorization_endpoint: `${url}/authorize`,
    token_endpoint: `${url}/token`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [...new Set(keys.map((key) => key.algorithm))],
  })

  const pick = ({ kid, alg }: SignOptions): SigningKey => {
    const key = keys.findLast((each) => (kid === undefined || each.kid === kid) && (alg === undefined || each.algorithm === alg))
    if (!key) throw new Error(`the issuer has no key ${JSON.stringify({ kid, alg })}; add it with addKey()`)
    return key
  }
  const issuer: Issuer = {
    url,
    port,
    jwksUri,
    ca: authority?.ca,
    keys,
    get jwks() { return { keys: keys.map((key) => key.jwk) } },
    requests,
    async addKey(algorithm = 'RS256', kid) {
      const key = await mintKey(algorithm, kid)
      keys.push(key)
      return key
    },
    removeKey(kid) {
      const index = keys.findIndex((key) => key.kid === kid)
      if (index === -1) throw new Error(`the issuer has no key ${kid}`)
      keys.splice(index, 1)
    },
    rotate: () => issuer.addKey(keys.at(-1)?.algorithm),
    sign: async (claims = {}, signing = {}) => issuer.signWith(pick(signing), claims, signing.header),
    async signWith(key, claims = {}, header = {}) {
      const now = Math.floor(Date.now() / 1000)
      return signCompact(key, { iss: url, aud: audience, sub: 'user-1', iat: now, exp: now + 300, jti: randomUUID(), ...claims }, header)
    },
    useCertificate(certificate) {
      if (!(server instanceof HttpsServer)) throw new Error('the issuer speaks plain http; start it with tls')
      server.setSecureContext(certificate)
    },
    start,
    stop,
    close: stop,
  }
  return issuer
}
