/**
 * One request to the app and its response, by undici's dispatch: takes a connection from the pool, sends, tries once more where that is safe, and tells
 * what comes back. It knows nothing of the client's side.
 */
import type { Socket } from 'node:net'
import type { Dispatcher } from 'undici'
import type { Reason } from '../../../src/telemetry/reason.ts'
import { ConnectError, type AppConnection, type AppPool, type Ticket } from './app-pool.ts'
import type { RequestBody } from './request-body.ts'

/** What to send. Headers end to end, without framing. */
export interface AppRequest {
  readonly method: string
  readonly target: string
  readonly headers: readonly string[]
  /** Makes the body's stream; undefined: no body. */
  readonly body: (() => RequestBody) | undefined
  /** Content-Length to say; undefined with a body means chunked. */
  readonly length: number | undefined
  readonly upgrade: string | undefined
}

/** What comes back, in this order: information*, then switched, or head data* end; failed at any time, once, and then nothing more. */
export interface AppEvents {
  /** The request has been written whole. */
  sent(): void
  information(status: number, raw: unknown): void
  head(status: number, statusText: string, raw: unknown): void
  /** @returns false to pause until {@link AppCall.resume} */
  data(chunk: Buffer): boolean
  end(rawTrailers: unknown): void
  switched(raw: unknown, socket: Socket): void
  failed(reason: Reason): void
}

/** Interim responses that one exchange may have (attack S14). */
const MOST_INFORMATION = 32
/** RFC 9110 section 9.2.2. TRACE is never forwarded. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])

export class AppCall {
  body: RequestBody | undefined
  readonly #pool: AppPool
  readonly #request: AppRequest
  readonly #events: AppEvents
  #ticket: Ticket | undefined
  #connection: AppConnection | undefined
  #controller: Dispatcher.DispatchController | undefined
  #information = 0
  #answered = false
  #headSeen = false
  #retried = false
  #over = false

  constructor(pool: AppPool, request: AppRequest, events: AppEvents) {
    this.#pool = pool
    this.#request = request
    this.#events = events
  }

  /** Whether a connection has been found (else the call waits for one). */
  get started(): boolean { return this.#connection !== undefined }

  /** @returns false when the app is too busy; then nothing will come */
  start(): boolean {
    this.#ticket = this.#pool.ask((connection) => { this.#send(connection) }, this.#retried)
    return this.#ticket !== undefined
  }

  resume(): void { this.#controller?.resume() }

  /** Ends the call: the app sees its connection close. Nothing is told any more. */
  abort(): void {
    if (this.#over) return
    this.#over = true
    this.#ticket?.cancel()
    if (this.#connection !== undefined) this.#pool.discard(this.#connection)
  }

  #send(connection: AppConnection): void {
    const { method, target, headers, body, length, upgrade } = this.#request
    this.#connection = connection
    this.body = body?.()
    connection.client.dispatch({
      method, path: target, upgrade: upgrade ?? null,
      headers: length === undefined ? headers as string[] : [...headers, 'content-length', String(length)],
      body: this.body ?? null, idempotent: false, blocking: false,
    }, this.#handler(connection))
  }

  #handler(connection: AppConnection): Dispatcher.DispatchHandler & { onRequestSent(): void; onResponseStarted(): void } {
    return {
      onRequestStart: (controller) => {
        connection.sent++
        this.#controller = controller
      },
      onRequestSent: () => { if (!this.#over) this.#events.sent() },
      onResponseStarted: () => { this.#answered = true },
      onRequestUpgrade: (controller, status, _headers, socket) => {
        if (this.#over) { socket.destroy(); return }
        this.#over = true
        this.#pool.detach(connection, socket as Socket)
        this.#events.switched(status === 101 ? controller.rawHeaders : undefined, socket as Socket)
      },
      onResponseStart: (controller, status, _headers, statusText) => {
        if (this.#over) return
        if (status >= 200) {
          this.#headSeen = true
          this.#events.head(status, statusText ?? '', controller.rawHeaders)
        } else if (++this.#information > MOST_INFORMATION) this.#fail('upstream_malformed')
        else this.#events.information(status, controller.rawHeaders)
      },
      onResponseData: (controller, chunk) => {
        if (!this.#over && !this.#events.data(chunk)) controller.pause()
      },
      onResponseEnd: (controller) => {
        if (this.#over) return
        // undici takes a reset at the end of a close-delimited body for its end; a truncated answer must not look whole.
        if (connection.socket?.errored) { this.#fail('upstream_reset'); return }
        this.#over = true
        this.#pool.release(connection)
        this.#events.end((controller as { rawTrailers?: unknown }).rawTrailers)
      },
      onResponseError: (_controller, error) => { if (!this.#over) this.#onError(connection, error) },
    }
  }

  #onError(connection: AppConnection, error: Error): void {
    const reused = connection.sent > 1
    this.#pool.discard(connection)
    // A kept connection may be closed by the app just as we use it. Only what cannot have been done twice, and only if not a byte came back.
    if (reused && !this.#answered && !this.#retried && this.#request.body === undefined && IDEMPOTENT.has(this.#request.method) && isGone(error)) {
      this.#retried = true
      this.#connection = undefined
      if (this.start()) return
    }
    this.#fail(reasonOf(error, this.#headSeen))
  }

  #fail(reason: Reason): void {
    if (this.#over) return
    this.abort()
    this.#events.failed(reason)
  }
}

function codeOf(error: Error): string { return (error as { code?: string }).code ?? '' }

const GONE = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ETIMEDOUT', 'UND_ERR_CLOSED', 'UND_ERR_DESTROYED', 'UND_ERR_INFO', 'UND_ERR_ABORTED'])

function isGone(error: Error): boolean {
  return GONE.has(codeOf(error)) || (codeOf(error) === 'UND_ERR_SOCKET' && !error.message.startsWith('bad '))
}

/** undici's errors in our words. */
function reasonOf(error: Error, headSeen: boolean): Reason {
  if (error instanceof ConnectError) return error.timedOut ? 'upstream_timeout' : 'upstream_unreachable'
  if (isGone(error)) return 'upstream_reset'
  const code = codeOf(error)
  // After the head: the body was shorter than said, the connection ended within it. Before: a malformed head that has a length, too.
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH') return headSeen ? 'upstream_reset' : 'upstream_malformed'
  if (error.name === 'HTTPParserError' || code.startsWith('HPE_') || code === 'UND_ERR_SOCKET' || code === 'UND_ERR_HEADERS_OVERFLOW' || error.name === 'AssertionError') return 'upstream_malformed'
  return 'internal_error'
}
