/** A raw HTTP client over one TCP connection: sends exact bytes, in pieces if asked, keeps every byte that comes back, and reads responses strictly. */
import net from 'node:net'
import { resetSocket } from '../../src/lib/reset-socket.ts'
import { fieldValue, framingOf, readBody, readHead, type Framing } from './message.ts'

/** One response as it came. */
export interface RawResponse {
  readonly status: number
  readonly statusText: string
  readonly version: string
  /** Flat list: name, value, ... */
  readonly headers: readonly string[]
  readonly header: (name: string) => string | undefined
  readonly body: Buffer
  readonly text: string
  readonly trailers: readonly string[]
  /** Head as bytes. */
  readonly raw: string
  /** How the body was delimited. */
  readonly framing: Framing['kind']
}

/** How a connection ended: `open` still open, `end` the other side closed, `reset` it reset (or the write failed). */
export type Ending = 'open' | 'end' | 'reset'

export interface RawClient {
  readonly socket: net.Socket
  /** Sends pieces, each as its own segment (a turn of the event loop apart). Strings are latin1. */
  send(...pieces: (string | Uint8Array)[]): Promise<void>
  /** All bytes received so far. */
  received(): Buffer
  /**
   * The next response (1xx ones, too: each is one). Rejects when it is malformed, incomplete at the end of the connection, or not there in time.
   * @param method of its request: HEAD and a 2xx to CONNECT have no body
   */
  next(method?: string, timeoutMs?: number): Promise<RawResponse>
  /** Bytes received and not yet read by {@link next}. */
  rest(): Buffer
  ending(): Ending
  /** Waits for the other side to close or reset; `open` when it has not in time. */
  closed(timeoutMs?: number): Promise<Ending>
  /** Waits until `test` of all bytes holds. */
  until(test: (received: Buffer) => boolean, timeoutMs?: number): Promise<void>
  /** Half-closes. */
  end(): void
  /** Closes at once (FIN when nothing is unread). */
  destroy(): void
  /** Closes with RST. */
  reset(): void
}

const WAIT = 5000

/** Connects. `options.pauseReads` leaves what comes unread until `socket.resume()`. */
export async function connect(address: { host: string; port: number }, options: { pauseReads?: boolean } = {}): Promise<RawClient> {
  const socket = net.connect({ host: address.host, port: address.port, noDelay: true, allowHalfOpen: true })
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  const chunks: Buffer[] = []
  let ending: Ending = 'open'
  let position = 0
  let wake: () => void = () => {}
  const changed = (): void => wake()
  socket.on('end', () => { if (ending === 'open') ending = 'end'; changed() })
  socket.on('error', () => { ending = 'reset'; changed() })
  socket.on('close', () => { if (ending === 'open') ending = 'end'; changed() })
  if (options.pauseReads !== true) socket.on('data', (chunk: Buffer) => { chunks.push(chunk); changed() })

  const received = (): Buffer => {
    if (chunks.length > 1) chunks.splice(0, chunks.length, Buffer.concat(chunks))
    return chunks[0] ?? Buffer.alloc(0)
  }
  const until = async (test: () => boolean, timeoutMs: number): Promise<boolean> => {
    const deadline = Date.now() + timeoutMs
    while (!test()) {
      const left = deadline - Date.now()
      if (left <= 0) return false
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        wake = () => { clearTimeout(timer); resolve() }
      })
    }
    return true
  }

  return {
    socket,
    send: async (...pieces) => {
      for (const piece of pieces) {
        if (socket.destroyed) return
        socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
    received,
    rest: () => received().subarray(position),
    next: async (method = 'GET', timeoutMs = WAIT) => {
      let found: { response: RawResponse; end: number } | undefined
      const done = (): boolean => (found = readResponse(received(), position, method, ending !== 'open')) !== undefined || ending !== 'open'
      await until(done, timeoutMs)
      if (found === undefined) throw new Error(`no complete response (connection: ${ending}); got ${JSON.stringify(received().toString('latin1', position, position + 2000))}`)
      position = found.end
      return found.response
    },
    ending: () => ending,
    closed: async (timeoutMs = WAIT) => {
      await until(() => ending !== 'open', timeoutMs)
      return ending
    },
    until: async (test, timeoutMs = WAIT) => {
      if (!await until(() => test(received()), timeoutMs)) throw new Error(`never came; got ${JSON.stringify(received().toString('latin1').slice(-2000))}`)
    },
    end: () => { socket.end() },
    destroy: () => { socket.destroy() },
    reset: () => { resetSocket(socket) },
  }
}

/** Reads one response at `from`; undefined while incomplete. */
export function readResponse(bytes: Buffer, from: number, method: string, closed: boolean): { response: RawResponse; end: number } | undefined {
  const found = readHead(bytes, from)
  if (found === undefined) return undefined
  const { head, end } = found
  const match = /^HTTP\/(\d\.\d) (\d{3}) ?(.*)$/.exec(head.startLine)
  if (match === null) throw new Error(`not a status line: ${JSON.stringify(head.startLine)}`)
  const status = Number(match[2])
  const bodiless = method === 'HEAD' || status < 200 || status === 204 || status === 304
  const framing: Framing = bodiless ? { kind: 'none' } : framingOf(head.headers, 'close')
  const body = readBody(bytes, end, framing, closed)
  if (body === undefined) return undefined
  const response: RawResponse = {
    status, statusText: match[3]!, version: match[1]!, headers: head.headers, header: (name) => fieldValue(head.headers, name),
    body: body.content, text: body.content.toString('latin1'), trailers: body.trailers, raw: head.raw, framing: framing.kind,
  }
  return { response, end: body.end }
}

/** Opens a connection, sends the bytes, reads one final response (1xx ones skipped) and closes. */
export async function exchange(address: { host: string; port: number }, bytes: string | Uint8Array, method = 'GET'): Promise<RawResponse> {
  const client = await connect(address)
  try {
    await client.send(bytes)
    for (;;) {
      const response = await client.next(method)
      if (response.status >= 200) return response
    }
  } finally {
    client.destroy()
  }
}

/** A request as bytes: CRLF lines from a start line and fields, then the body. `Host: app` is added unless a field starts with `Host`. */
export function request(startLine: string, fields: readonly string[] = [], body = ''): string {
  const line = / HTTP\/\d\.\d$/.test(startLine) ? startLine : `${startLine} HTTP/1.1`
  const host = fields.some((field) => /^host:/i.test(field)) ? [] : ['Host: app']
  return `${[line, ...host, ...fields].join('\r\n')}\r\n\r\n${body}`
}
