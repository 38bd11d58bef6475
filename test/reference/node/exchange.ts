/** One request from its head to the end of its answer: decide, then reply or forward, and tell the handler once how it ended. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { resetSocket } from '../../../src/lib/reset-socket.ts'
import type { Reason } from '../../../src/telemetry/reason.ts'
import type { Forward, Handler, Reply, RequestHead, Verdict } from '../../../src/http/contract.ts'
import { AppCall, type AppEvents } from './app-call.ts'
import { checkHead, upgradeOf, type BodyFraming, type CheckedHead } from './check-head.ts'
import type { Connection } from './connection.ts'
import type { Context } from './context.ts'
import { RequestBody } from './request-body.ts'
import { readResponseHead, readTrailers } from './response-head.ts'
import { openTunnel, type Tunnel } from './tunnel.ts'

/** An unread body up to this is read and forgotten to keep the connection; a larger one closes it (attack S12). Bytes. */
const DRAIN_BYTES = 65_536
/** How often a watched exchange is asked about; a little less than a second, so that the timer's jitter does not make it two. */
const WATCH_MS = 900

export class Exchange implements AppEvents {
  readonly #context: Context
  readonly #connection: Connection
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  /** For an upgrade: Node has given up the socket, and these are the bytes that came with the head. */
  readonly #early: Buffer | undefined
  readonly #head: RequestHead
  readonly #began: number
  #handler: Handler
  #verdict: Verdict | undefined
  #framing: BodyFraming = undefined
  #expectsContinue = false
  #spoiled: Reason | undefined
  #failed: Reason | undefined
  #call: AppCall | undefined
  #tunnel: Tunnel | undefined
  /** Status sent; 0: none yet. */
  #status = 0
  #eventStream = false
  #over = false
  #addedMs = 0
  #sentAt = 0
  /** Since when the client has not taken what was written; 0: it has. */
  #blockedAt = 0
  /** When the app last sent something. */
  #movedAt = 0
  #polledAt: number

  constructor(context: Context, connection: Connection, request: IncomingMessage, response: ServerResponse, early?: Buffer) {
    this.#context = context
    this.#connection = connection
    this.#request = request
    this.#response = response
    this.#early = early
    this.#handler = context.handler
    this.#began = this.#polledAt = context.now()
    this.#head = {
      method: request.method!, target: request.url!, headers: request.rawHeaders, version: request.httpVersion as RequestHead['version'],
      peer: connection.peer, listener: connection.listener,
    }
  }

  /** Whether the request's body is still coming. */
  get receiving(): boolean { return this.#early === undefined && !this.#request.complete }

  /** Its turn has come. */
  start(): void {
    this.#context.live.add(this)
    this.#handler = this.#context.handler
    this.#response.on('close', this.#onClose)
    this.#response.on('error', () => {})
    const checked = this.#check()
    if (typeof checked === 'string') return this.#reply(this.#handler.refuse(checked, this.#head.peer, this.#head))
    this.#framing = checked.body
    this.#expectsContinue = checked.expectsContinue
    if (this.#early !== undefined) this.#connection.socket.on('data', this.#onEarlyData).on('end', this.#onEarlyEnd)
    let verdict
    try {
      verdict = this.#handler.decide(this.#head)
    } catch {
      return this.#reply(this.#handler.refuse('internal_error', this.#head.peer, this.#head))
    }
    if (!(verdict instanceof Promise)) return this.#follow(verdict)
    verdict.then((made) => { this.#follow(made) }, () => { if (!this.#over) this.#reply(this.#handler.refuse('internal_error', this.#head.peer, this.#head)) })
  }

  /** Bytes of its body turned out to be malformed. */
  spoil(reason: Reason): void {
    if (this.#spoiled !== undefined) return
    this.#spoiled = reason
    if (this.#context.live.has(this)) this.failed(reason)
  }

  /** Looks after time: called every now and then while the exchange lives. */
  tick(now: number): void {
    if (this.#over || this.#verdict === undefined) return
    const late = this.#tunnel === undefined ? this.#overdue(now) : undefined
    if (late !== undefined) return this.failed(late)
    if (this.#verdict.kind !== 'forward' || !this.#verdict.watched || now - this.#polledAt < WATCH_MS) return
    this.#polledAt = now
    const lapsed = this.#handler.lapsed(this.#verdict, Date.now())
    if (lapsed !== undefined) this.#lapse(lapsed)
  }

  /** The drain's grace is over. */
  destroy(): void { this.#connection.socket.destroy() }

  #check(): CheckedHead | Reason {
    if (this.#spoiled !== undefined) return this.#spoiled === 'client_aborted' ? 'malformed_request' : this.#spoiled
    const checked = checkHead(this.#head, this.#request.httpVersion, this.#context.limits)
    if (typeof checked === 'string') return checked
    const asked = this.#head.version === '1.1' ? upgradeOf(this.#head.headers) : undefined
    // An upgrade with a body, with bytes that came too early, to several protocols, or behind another request (attack S8).
    if (asked !== undefined && (this.#early === undefined || this.#early.length > 0 || checked.body !== undefined)) return 'upgrade_refused'
    return checked
  }

  #follow(verdict: Verdict): void {
    this.#verdict = verdict
    if (this.#over) return this.#report()
    if (this.#spoiled !== undefined) return this.failed(this.#spoiled)
    if (verdict.kind === 'reply') this.#reply(verdict)
    else this.#forward(verdict)
  }

  #forward(verdict: Forward): void {
    const { listener, method } = this.#head
    const framing = this.#framing
    const upgrade = this.#early !== undefined && verdict.upgrade === upgradeOf(this.#head.headers) ? verdict.upgrade : undefined
    const body = framing === undefined ? undefined : (): RequestBody => new RequestBody(this.#request, this.#onWanted, this.#context.now)
    const pool = this.#context.poolOf(listener, verdict.upstream)
    this.#call = new AppCall(pool, { method, target: verdict.target, headers: verdict.headers, body, length: framing?.length, upgrade }, this)
    this.#addedMs = this.#context.now() - this.#began
    this.#response.on('drain', this.#onDrain)
    if (!this.#call.start()) this.failed('upstream_busy')
  }

  /** The app's connection is there and the body is asked for: the client may send it. */
  readonly #onWanted = (): void => { if (this.#expectsContinue && this.#status === 0 && !this.#over) this.#response.writeContinue() }

  readonly #onDrain = (): void => {
    this.#blockedAt = 0
    this.#call?.resume()
  }

  // What the app says.

  sent(): void { this.#sentAt = this.#context.now() }

  information(status: number, raw: unknown): void {
    const head = readResponseHead(status, '', raw, this.#forwarded().dropsResponseHeader)
    if (head === undefined) return this.failed('upstream_malformed')
    if (this.#head.version === '1.1' && this.#response.writable) this.#response.writeInformation(status, head.headers as never)
  }

  head(status: number, statusText: string, raw: unknown): void {
    const at = this.#context.now()
    const response = this.#response
    const head = readResponseHead(status, statusText, raw, this.#forwarded().dropsResponseHeader)
    if (head === undefined) return this.failed('upstream_malformed')
    response.sendDate = false
    this.#settle(this.receiving)
    const headers = head.length === undefined || status === 204 ? head.headers : [...head.headers, 'Content-Length', head.length]
    this.#eventStream = head.headers.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-type' && head.headers[i + 1]!.startsWith('text/event-stream'))
    response.socket?.cork()
    response.writeHead(status, head.statusText, headers as never)
    this.#status = status
    this.#movedAt = at
    process.nextTick(this.#flush, response.socket)
    this.#addedMs += this.#context.now() - at
  }

  /** A head goes out together with what has come of the body, and at once when nothing has. */
  readonly #flush = (socket: Socket | null): void => {
    if (!this.#over && !this.#response.writableEnded) this.#response.flushHeaders()
    socket?.uncork()
  }

  data(chunk: Buffer): boolean {
    this.#movedAt = this.#context.now()
    if (this.#response.write(chunk)) return true
    this.#blockedAt = this.#context.now()
    return false
  }

  end(rawTrailers: unknown): void {
    const trailers = readTrailers(rawTrailers, this.#forwarded().dropsResponseHeader)
    if (trailers.length > 0 && this.#head.version === '1.1') this.#response.addTrailers(trailers)
    this.#response.end()
  }

  switched(raw: unknown, socket: Socket): void {
    const verdict = this.#forwarded()
    const head = raw === undefined ? undefined : readResponseHead(101, '', raw, verdict.dropsResponseHeader)
    if (head === undefined || head.upgrade !== verdict.upgrade || this.#early === undefined) {
      socket.destroy()
      return this.failed('upstream_malformed')
    }
    const client = this.#connection.socket
    client.off('data', this.#onEarlyData).off('end', this.#onEarlyEnd)
    this.#response.off('close', this.#onClose)
    this.#response.detachSocket(client)
    let text = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n`
    for (let i = 0; i < head.headers.length; i += 2) text += `${head.headers[i]}: ${head.headers[i + 1]}\r\n`
    client.write(`${text}\r\n`, 'latin1')
    this.#status = 101
    this.#tunnel = openTunnel(client, socket, verdict.watched && verdict.upgrade === 'websocket', () => { this.#finish() })
  }

  /** The exchange cannot go on. Answers if nothing has been answered yet; else cuts the connection, so that the answer does not look whole. */
  failed(reason: Reason): void {
    if (this.#over) return
    this.#failed ??= reason
    this.#call?.abort()
    if (this.#tunnel !== undefined) this.#tunnel.destroy()
    else if (reason === 'client_aborted') this.#connection.socket.destroy()
    else if (this.#status === 0) this.#reply(this.#handler.refuse(reason, this.#head.peer, this.#head, this.#verdict))
    else if (this.#response.writableEnded) this.#connection.socket.destroy()
    // Without a length or chunks the end of the connection is the end of the body: only a reset tells.
    else resetSocket(this.#connection.socket)
  }

  // Our own answers, and the end.

  #reply(reply: Reply): void {
    const body = Buffer.from(reply.body)
    const large = this.#framing !== undefined && (this.#expectsContinue || this.#framing.length === undefined || this.#framing.length > DRAIN_BYTES)
    this.#settle(this.receiving && (large || this.#failed !== undefined || this.#spoiled !== undefined || this.#verdict === undefined))
    this.#status = reply.status
    this.#response.sendDate = true
    this.#response.writeHead(reply.status, [...reply.headers, 'Content-Length', String(body.length)] as never)
    this.#response.end(body)
    this.#blockedAt = this.#context.now()
  }

  /** Whether the connection may live on after this answer. */
  #settle(mustClose: boolean): void {
    if (this.#head.version === '1.0') this.#response.useChunkedEncodingByDefault = false
    if (mustClose || this.#head.version === '1.0' || this.#early !== undefined || this.#connection.lastAnswer) this.#response.shouldKeepAlive = false
    if (!this.#response.shouldKeepAlive) this.#connection.close(mustClose)
  }

  #forwarded(): Forward { return this.#verdict as Forward }

  #overdue(now: number): Reason | undefined {
    const { idleTimeout, upstreamTimeout } = this.#context.limits
    const idle = (since: number): boolean => idleTimeout > 0 && now - since > idleTimeout
    // An answer may take its time, but not while a body stalls behind it: its client may have left long ago.
    if (this.#status !== 0 && this.#connection.blind && idle(this.#movedAt)) return 'request_timeout'
    if (this.#blockedAt > 0) return idle(this.#blockedAt) ? 'client_aborted' : undefined
    const call = this.#call
    if (call === undefined) return undefined
    if (!call.started) return now - this.#began > (upstreamTimeout || 60_000) ? 'upstream_busy' : undefined
    const { body } = call
    if (body !== undefined && this.#sentAt === 0) return idle(body.movedAt) ? (body.full ? 'upstream_timeout' : 'request_timeout') : undefined
    return this.#status === 0 && this.#sentAt > 0 && upstreamTimeout > 0 && now - this.#sentAt > upstreamTimeout ? 'upstream_timeout' : undefined
  }

  /** The token has lapsed. An event stream ends as if it were over: its clients reconnect, and are refused. Anything else must not look whole. */
  #lapse(reason: Reason): void {
    this.#failed ??= reason
    if (this.#tunnel !== undefined) return this.#tunnel.lapse()
    if (!this.#eventStream || this.#status === 0 || this.#head.version === '1.0') return this.failed(reason)
    this.#call?.abort()
    this.#connection.close(this.receiving)
    this.#response.end()
    setImmediate(() => { this.#connection.socket.destroySoon() })
  }

  /** Bytes after an upgrade's head and before the app's 101: nobody has agreed to read them as anything (attack S8). */
  readonly #onEarlyData = (): void => {
    if (this.#status === 0) this.failed('upgrade_refused')
  }

  readonly #onEarlyEnd = (): void => { this.failed('client_aborted') }

  readonly #onClose = (): void => {
    if (!this.#response.writableFinished) this.#failed ??= 'client_aborted'
    this.#finish()
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    this.#context.live.delete(this)
    this.#call?.abort()
    if (this.#early === undefined && !this.#request.readableEnded) this.#request.resume()
    if (this.#verdict !== undefined) this.#report()
    this.#connection.done(this)
  }

  #report(): void {
    this.#handler.finished(this.#head, this.#verdict!, { status: this.#status, failed: this.#failed, totalMs: this.#context.now() - this.#began, addedMs: this.#addedMs })
  }
}
