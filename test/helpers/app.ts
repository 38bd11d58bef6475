/**
 * The app double: a TCP server that keeps the raw bytes of every request it gets and answers by a script, well or badly. It reads requests
 * strictly (see message.ts): bytes that are no request are kept as an `anomaly`, never skipped.
 */
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { resetSocket } from '../../src/lib/reset-socket.ts'
import { fieldValue, fieldValues, framingOf, readBody, readHead, type MessageBody } from './message.ts'

/** One request as the app got it. */
export interface AppRequest {
  readonly method: string
  readonly target: string
  /** Flat list: name, value, ... */
  readonly headers: readonly string[]
  /** The one value; throws when it comes more than once. */
  readonly header: (name: string) => string | undefined
  readonly values: (name: string) => string[]
  /** Head as bytes. */
  readonly raw: string
  /** Resolves when the body is wholly there; rejects when the connection ends first. */
  readonly body: Promise<MessageBody>
  /** What has come of the body's bytes so far (framing included). */
  readonly partial: () => Buffer
  /** Which connection to the app it came over: 0, 1, ... */
  readonly connection: number
}

/** What a script may do with the connection of its request. */
export interface AppConnection {
  readonly socket: net.Socket
  /** Writes bytes; strings are latin1. Resolves when handed to the kernel, or when the connection is gone. */
  write(bytes: string | Uint8Array): Promise<void>
  end(): void
  /** Closes with RST. */
  reset(): void
  /** Resolves when the other side has closed or reset. */
  readonly gone: Promise<void>
}

/** Answers one request; called when its head is there. What it throws ends the connection. */
export type Answer = (request: AppRequest, connection: AppConnection) => void | Promise<void>

export interface App {
  readonly address: { readonly host: string; readonly port: number }
  /** Requests whose head arrived, in order. */
  readonly requests: readonly AppRequest[]
  /** Bytes that are not a well-formed request, as sentences. A correct proxy leaves this empty. */
  readonly anomalies: readonly string[]
  /** Connections accepted so far. */
  readonly connections: () => number
  readonly open: () => number
  /** All bytes of one connection. */
  readonly bytes: (connection: number) => Buffer
  /** Replaces the script. */
  answer(script: Answer): void
  /** Waits until `count` heads have come. */
  got(count: number, timeoutMs?: number): Promise<void>
  clear(): void
  close(): Promise<void>
}

/** A content-length response as bytes. */
export function reply(status: number, fields: readonly string[] = [], body: string | Uint8Array = ''): Buffer {
  const content = typeof body === 'string' ? Buffer.from(body, 'latin1') : body
  const length = status === 204 || status === 304 ? [] : [`Content-Length: ${content.length}`]
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status} X\r\n${[...fields, ...length].map((field) => `${field}\r\n`).join('')}\r\n`, 'latin1'), content])
}

/** A chunked body as bytes: each piece a chunk, then the last chunk and trailers. */
export function chunked(pieces: readonly string[], trailers: readonly string[] = []): string {
  return `${pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('')}0\r\n${trailers.map((field) => `${field}\r\n`).join('')}\r\n`
}

/** Scripts: what an app may do, well and badly. */
export const answers = {
  /** Reads the body, answers with these bytes, keeps the connection. */
  raw: (bytes: string | Uint8Array): Answer => async (request, connection) => { await request.body; await connection.write(bytes) },
  /** Reads the body, answers 200 and its length and content. */
  echo: (async (request, connection) => {
    const { content } = await request.body
    await connection.write(reply(200, ['X-App: echo'], request.method === 'HEAD' ? '' : content))
  }) as Answer,
  ok: (async (request, connection) => { await request.body; await connection.write(reply(200, [], 'ok')) }) as Answer,
  /** Answers at once and leaves the body unread. */
  early: (bytes: string | Uint8Array): Answer => async (_, connection) => { connection.socket.pause(); await connection.write(bytes) },
  /** Writes and closes: a close-delimited body, or a truncated one. */
  thenClose: (bytes: string | Uint8Array): Answer => async (request, connection) => { await request.body; await connection.write(bytes); connection.end() },
  thenReset: (bytes: string | Uint8Array): Answer => async (request, connection) => { await request.body; await connection.write(bytes); await sleep(20); connection.reset() },
  resetAtOnce: ((_, connection) => { connection.reset() }) as Answer,
  never: (() => {}) as Answer,
  /** Pieces with pauses between them. */
  slow: (pieces: readonly (string | Uint8Array)[], pauseMs: number): Answer => async (request, connection) => {
    await request.body
    for (const piece of pieces) { await connection.write(piece); await sleep(pauseMs) }
  },
  /** Accepts an upgrade and echoes what comes through the tunnel. */
  upgrade: (protocol: string, fields: readonly string[] = []): Answer => async (_, connection) => {
    await connection.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`)
    takeOver(connection.socket, (chunk) => { connection.socket.write(chunk) })
  },
}

const TAKEN = new WeakMap<net.Socket, (chunk: Buffer) => void>()

/** From now on the bytes of this connection go to `onData` and are no requests. */
export function takeOver(socket: net.Socket, onData: (chunk: Buffer) => void): void {
  TAKEN.set(socket, onData)
}

/**
 * Starts an app double on a free port of 127.0.0.1.
 * @param first the script; default `answers.echo`
 * @param options forget: keep no bytes of requests that are answered; for runs that are long
 */
export async function startApp(first: Answer = answers.echo, options: { readonly forget?: boolean } = {}): Promise<App> {
  let script = first
  const requests: AppRequest[] = []
  const anomalies: string[] = []
  const sockets: net.Socket[] = []
  const bytes: (() => Buffer)[] = []
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const connection = sockets.push(socket) - 1
    const seen = (request: AppRequest): Promise<void> => { requests.push(request); return Promise.resolve(script(request, connectionOf(socket))) }
    bytes[connection] = serve(socket, connection, seen, anomalies, options.forget === true)
    if (options.forget === true) socket.once('close', () => { bytes[connection] = () => Buffer.alloc(0) })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  return {
    address: { host: '127.0.0.1', port },
    requests, anomalies,
    connections: () => sockets.length,
    open: () => sockets.filter((socket) => !socket.destroyed).length,
    bytes: (connection) => bytes[connection]!(),
    answer: (next) => { script = next },
    got: async (count, timeoutMs = 5000) => {
      for (const deadline = Date.now() + timeoutMs; requests.length < count; await sleep(5)) {
        if (Date.now() > deadline) throw new Error(`the app got ${requests.length} requests, not ${count}`)
      }
    },
    clear: () => { requests.length = 0; anomalies.length = 0 },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      if (server.listening) await new Promise((resolve) => server.close(resolve))
    },
  }
}

function goneOf(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed || socket.readableEnded) resolve()
    else socket.once('end', resolve).once('close', resolve).resume()
  })
}

function connectionOf(socket: net.Socket): AppConnection {
  return {
    socket,
    write: (bytes) => new Promise((resolve) => {
      if (socket.destroyed || socket.writableEnded) return resolve()
      socket.once('close', resolve)
      socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, () => { socket.off('close', resolve); resolve() })
    }),
    end: () => { socket.end() },
    reset: () => { resetSocket(socket) },
    get gone() { return goneOf(socket) },
  }
}

/** Reads requests off one connection, one after the other; the next is looked at when the script of the last is done. Returns its bytes so far. */
function serve(socket: net.Socket, connection: number, seen: (request: AppRequest) => Promise<void>, anomalies: string[], forget: boolean): () => Buffer {
  const chunks: Buffer[] = []
  let position = 0
  let ended = false
  let waiting: (() => void)[] = []
  const all = (): Buffer => {
    if (chunks.length > 1) chunks.splice(0, chunks.length, Buffer.concat(chunks))
    return chunks[0] ?? Buffer.alloc(0)
  }
  const wake = (): void => { const resume = waiting; waiting = []; for (const each of resume) each() }
  const more = (): Promise<void> => new Promise((resolve) => { waiting.push(resolve) })
  socket.on('data', (chunk: Buffer) => { const taken = TAKEN.get(socket); if (taken !== undefined) return taken(chunk); chunks.push(chunk); wake() })
  socket.on('end', () => { ended = true; wake(); if (!socket.writableEnded) socket.end() })
  socket.on('close', () => { ended = true; wake() })
  socket.on('error', () => { ended = true; wake() })

  const one = async (): Promise<boolean> => {
    let found
    while ((found = readHead(all(), position)) === undefined) {
      if (ended && all().length > position) anomalies.push(`no request: ${JSON.stringify(all().toString('latin1', position, position + 500))}`)
      if (ended) return false
      await more()
    }
    const { head, end } = found
    const [method = '', target = '', version = '', ...others] = head.startLine.split(' ')
    if (version !== 'HTTP/1.1' || others.length > 0 || target === '') throw new Error(`request line ${JSON.stringify(head.startLine)}`)
    const framing = framingOf(head.headers, 'none')
    const body = (async () => {
      for (;;) {
        const read = readBody(all(), end, framing, false)
        if (read !== undefined) return read
        if (ended) throw new Error('the connection ended within the request body')
        await more()
      }
    })()
    body.catch(() => {})
    const request: AppRequest = {
      method, target, headers: head.headers, raw: head.raw, body, connection, partial: () => all().subarray(end),
      header: (name) => fieldValue(head.headers, name), values: (name) => fieldValues(head.headers, name),
    }
    const answered = seen(request)
    answered.catch(() => { socket.destroy() })
    const read = await body.catch(() => undefined)
    if (read === undefined) return false
    position = read.end
    await answered
    if (forget) {
      chunks.splice(0, chunks.length, Buffer.from(all().subarray(position)))
      position = 0
    }
    return !TAKEN.has(socket) && !socket.destroyed
  }
  void (async () => {
    try {
      while (await one()) {}
    } catch (error) {
      anomalies.push(error instanceof Error ? error.message : String(error))
      socket.destroy()
    }
  })()
  return all
}
