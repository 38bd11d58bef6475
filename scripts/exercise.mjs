// A start and the requests that every sidecar sees first, for the bytecode beside the bundle: what is not exercised here is only compiled later.
import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

function mint(key, alg, kid) {
  const now = Math.floor(Date.now() / 1000)
  const signed = `${part({ alg, kid, typ: 'JWT' })}.${part({ iss: 'https://a.test', aud: 'app', sub: 'someone', scope: 'read', roles: ['user'], iat: now, exp: now + 60 })}`
  return `${signed}.${sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

/** Writes a configuration with its keys, starts an app, mints tokens. */
export async function prepare(folder) {
  const app = createServer((request, response) => { request.resume().on('end', () => response.end('hello')) }).listen(0, '127.0.0.1')
  await once(app, 'listening')
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const keys = [{ ...rsa.publicKey.export({ format: 'jwk' }), kid: 'r', alg: 'RS256', use: 'sig' }, { ...ec.publicKey.export({ format: 'jwk' }), kid: 'e', alg: 'ES256', use: 'sig' }]
  const config = join(folder, 'config.json')
  const jwks = join(folder, 'jwks.json')
  writeFileSync(jwks, JSON.stringify({ keys }))
  writeFileSync(config, JSON.stringify({
    listeners: [{ bind: '127.0.0.1:0', upstream: `127.0.0.1:${app.address().port}` }], admin: { bind: '127.0.0.1:0' }, health: { bind: '127.0.0.1:0' }, shutdown: { delay: '0', grace: '1s' },
    issuers: [{ name: 'a', issuer: 'https://a.test', audiences: ['app'], keys: { file: jwks } }],
    identity: { headers: { 'X-User-Id': { claim: 'sub' }, 'X-User-Roles': { claim: 'roles', encoding: 'csv' } } },
    rules: [{ match: { path: '/healthz' }, allow: 'anonymous' }, { match: { path: '/admin/**', methods: ['POST'] }, require: { roles: { anyOf: ['admin'] } } }, { match: { path: '/**' }, require: { scopes: ['read'] } }],
  }))
  const token = mint(rsa.privateKey, 'RS256', 'r')
  return { config, token, tokens: [token, token, mint(ec.privateKey, 'ES256', 'e')], close: () => { app.closeAllConnections(); app.close() } }
}

/** One request by hand, so that it looks the same whatever client Node has; resolves with the status. */
async function send(address, head, body = '') {
  const socket = connect(Number(address.split(':')[1]), '127.0.0.1')
  socket.write(`${head} HTTP/1.1\r\nHost: app\r\nUser-Agent: exercise\r\nAccept: */*\r\nConnection: close\r\n${body}`)
  let text = ''
  for await (const chunk of socket) text += chunk.toString('latin1')
  return Number(text.slice(9, 12))
}

/** The requests. Throws when one is not answered as it should be. */
export async function exercise(address, health, { token, tokens }) {
  const bearer = (value) => `Authorization: Bearer ${value}\r\n`
  const expected = []
  const want = async (status, answer) => { const got = await answer; if (got !== status) expected.push(`${status}, got ${got}`) }
  for (const each of tokens) await want(200, send(address, 'GET /orders?x=1', `${bearer(each)}\r\n`))
  await want(401, send(address, 'GET /', '\r\n'))
  await want(401, send(address, 'GET /', `${bearer(`${token.slice(0, -8)}AAAAAAAA`)}\r\n`))
  await want(403, send(address, 'POST /admin/x', `${bearer(token)}Content-Length: 5\r\n\r\nhello`))
  await want(200, send(address, 'GET /healthz', '\r\n'))
  await want(200, send(address, 'POST /', `${bearer(token)}Content-Length: 5\r\n\r\nhello`))
  await want(200, send(address, 'POST /', `${bearer(token)}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`))
  for (const path of ['/startupz', '/livez', '/readyz', '/metrics']) await want(200, send(health, `GET ${path}`, '\r\n'))
  if (expected.length > 0) throw new Error(`bundle: the sidecar answers otherwise than expected: ${expected.join('; ')}`)
}
