/** The mixed load of the soak: what one client does, over and over, and what must come of it. */
import { answers, chunked, reply, takeOver, type Answer } from '../helpers/app.ts'
import { connect, exchange, request, type RawClient } from '../helpers/raw.ts'

/** Where the sidecar is and who may pass. */
export interface Target {
  readonly address: { readonly host: string; readonly port: number }
  /** A few tokens that pass; a fresh one now and then. */
  readonly tokens: readonly string[]
}

const BLOCK = Buffer.alloc(1 << 20, 'x')

/** The app: behaves by the path it is asked for. */
export const app: Answer = async (got, connection) => {
  if (got.target === '/large') {
    await got.body
    await connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${BLOCK.length}\r\n\r\n`)
    await connection.write(BLOCK)
  } else if (got.target === '/events') {
    await connection.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n')
    for (let i = 0; i < 5 && !connection.socket.destroyed; i++) await connection.write('9\r\ndata: x\n\n\r\n')
    await connection.write('0\r\n\r\n')
  } else if (got.target === '/chat') {
    takeOver(connection.socket, (chunk) => { connection.socket.write(chunk) })
    await connection.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  } else if (got.target === '/early') await answers.early(reply(413, ['Connection: close'], 'no'))(got, connection)
  else if (got.target === '/reset') connection.reset()
  else if (got.target === '/poison') await answers.raw(Buffer.concat([reply(200, [], 'ok'), reply(200, [], 'poison')]))(got, connection)
  else await answers.echo(got, connection)
}

type Step = (target: Target, token: string) => Promise<void>

const expect = (what: string, got: unknown, wanted: unknown): void => {
  if (got !== wanted) throw new Error(`${what}: ${String(got)}, not ${String(wanted)}`)
}
const bearer = (token: string): string => `Authorization: Bearer ${token}`

async function withClient(target: Target, run: (client: RawClient) => Promise<void>): Promise<void> {
  const client = await connect(target.address)
  try { await run(client) } finally { client.destroy() }
}

/** Name -> what one client does. Each throws when what comes back is not what must. */
export const STEPS: Readonly<Record<string, Step>> = {
  keepAlive: (target, token) => withClient(target, async (client) => {
    for (let i = 0; i < 20; i++) {
      await client.send(request(`GET /${i}`, [bearer(token), 'X-User-Id: admin']))
      expect('GET', (await client.next()).status, 200)
    }
  }),
  pipelined: (target, token) => withClient(target, async (client) => {
    await client.send(request('GET /1', [bearer(token)]) + request('GET /2') + request('POST /3', [bearer(token), 'Content-Length: 2'], 'ab'))
    for (const status of [200, 401, 200]) expect('pipelined', (await client.next()).status, status)
  }),
  denied: async (target, token) => {
    expect('no token', (await exchange(target.address, request('GET /'))).status, 401)
    expect('bad signature', (await exchange(target.address, request('GET /', [bearer(`${token.slice(0, -8)}AAAAAAAA`)]))).status, 401)
    expect('bad path', (await exchange(target.address, request('GET /a/../b', [bearer(token)]))).status, 400)
  },
  malformed: async (target) => {
    expect('two lengths', (await exchange(target.address, request('POST /', ['Content-Length: 1', 'Content-Length: 2'], 'ab'))).status, 400)
    expect('bare LF', (await exchange(target.address, 'GET / HTTP/1.1\nHost: app\n\n')).status, 400)
  },
  upload: (target, token) => withClient(target, async (client) => {
    await client.send(request('POST /', [bearer(token), 'Content-Length: 200000'], 'x'.repeat(100_000)), 'x'.repeat(100_000))
    expect('upload', (await client.next('POST')).body.length, 200_000)
    await client.send(request('POST /', [bearer(token), 'Transfer-Encoding: chunked'], chunked(['one', 'two'])))
    expect('chunks', (await client.next('POST')).text, 'onetwo')
  }),
  large: (target, token) => withClient(target, async (client) => {
    await client.send(request('GET /large', [bearer(token)]))
    expect('large', (await client.next('GET', 20_000)).body.length, BLOCK.length)
  }),
  events: async (target, token) => { expect('events', (await exchange(target.address, request('GET /events', [bearer(token)]))).body.length, 45) },
  chat: (target, token) => withClient(target, async (client) => {
    await client.send(request('GET /chat', [bearer(token), 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']))
    expect('upgrade', (await client.next()).status, 101)
    await client.send('\x81\x02hi')
    await client.until((bytes) => bytes.includes('hi'))
  }),
  early: (target, token) => withClient(target, async (client) => {
    await client.send(request('POST /early', [bearer(token), 'Content-Length: 1000000'], 'x'.repeat(50_000)))
    expect('early', (await client.next('POST')).status, 413)
  }),
  reset: async (target, token) => { expect('reset', (await exchange(target.address, request('POST /reset', [bearer(token), 'Content-Length: 1'], 'x'))).status, 502) },
  poison: (target, token) => withClient(target, async (client) => {
    for (const path of ['/poison', '/after']) {
      await client.send(request(`GET ${path}`, [bearer(token)]))
      expect(path, (await client.next()).text === 'poison', false)
    }
  }),
  abortUpload: (target, token) => withClient(target, async (client) => { await client.send(request('POST /', [bearer(token), 'Content-Length: 100000'], 'begun')); client.reset() }),
  abortDownload: (target, token) => withClient(target, async (client) => { await client.send(request('GET /large', [bearer(token)])); await client.until((bytes) => bytes.length > 100_000) }),
}
