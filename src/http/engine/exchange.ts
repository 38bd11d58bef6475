/**
 * One request and its response, from the complete head to the end: asks the handler, sends the request to the app, brings the response
 * back, or fails. It is a plain object of one connection pair; both connections call it, neither knows the other.
 */
import type { Reason } from '../../telemetry/reason.ts'
import type { Forward, Handler, RequestHead, Verdict } from '../contract.ts'
import { FrameWatch } from '../frame-watch.ts'
import type { Client } from './client.ts'
import { CHUNKED, CLOSE, NONE, hasToken, type Framing } from './framing.ts'
import { isEventStream, requestText, responseText, trailersText } from './head.ts'
import type { Received } from './lines.ts'
import type { Link } from './link.ts'
import type { Parser } from './llhttp.ts'
import { witness, type Witness } from './outbox.ts'
import { refuse } from './refuse.ts'
import type { Upstream } from './upstream.ts'

/** RFC 9110 section 9.2.2, without TRACE, which never comes this far. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'QUERY', 'PROPFIND'])

/** How long a request waits for a connection when the app's time is not limited. Milliseconds. */
const QUEUE_TIMEOUT = 60_000

/** A WebSocket close frame, unmasked as a server's is, with code 1008, policy violation (RFC 6455 sections 5.5.1, 7.4.1); latin1. */
const CLOSE_1008 = '\x88\x02\x03\xf0'

export class Exchange implements Witness {
  readonly client: Client
  readonly head: RequestHead
  upstream: Upstream | undefined
  /** The verdict is not known yet, or no connection to the app is there: the request's body must wait. */
  waiting = true
  readonly #received: Received
  readonly #handler: Handler
  readonly #started: number
  #verdict: Verdict | undefined
  /** The verdict when it lets the request pass. */
  #forward: Forward | undefined
  #text = ''
  #upgrade: string | undefined
  #queued = false
  #retried = false
  #status = 0
  #failed: Reason | undefined
  #headSent = false
  #chunked = false
  #tunnel = false
  /** One side of the tunnel has ended: the other has as long as anybody who says nothing. */
  halved = false
  /** The response is a stream of events, or ends with its connection: a clean end tells its reader to ask again. */
  #eventStream = false
  /** Of a watched WebSocket: where the app's frames end. */
  #frames: FrameWatch | undefined
  /** Why it must end; it waits for the end of a frame. */
  #lapsed: Reason | undefined
  #over = false
  /** The handler knows that it is over, or need not. */
  #told = false
  #addedMs = 0
  /** When the sidecar's own share of the time began that is not yet added; 0: it is not ours now. */
  #since: number

  constructor(client: Client, head: RequestHead, received: Received) {
    this.client = client
    this.head = head
    this.#received = received
    this.#handler = client.port.core.handler
    this.#started = this.#since = client.port.core.time
  }

  start(): void {
    let verdict: Verdict | Promise<Verdict>
    try {
      verdict = this.#handler.decide(this.head)
    } catch {
      return this.#broken()
    }
    if (!(verdict instanceof Promise)) return this.#decided(verdict)
    const late = (): void => this.client.pump()
    const { core } = this.client.port
    verdict.then((known) => { core.now(); this.#decided(known) }, () => { core.now(); this.#broken() }).then(late, late)
  }

  /** The handler threw: a bug, and no verdict. Nothing is forwarded. */
  #broken(): void {
    if (this.#over) return
    this.#over = this.#told = true
    if (!this.client.gone) this.client.reply(refuse(this.#handler, 'internal_error', this.head), true)
  }

  #decided(verdict: Verdict): void {
    this.#verdict = verdict
    // Refused while the verdict was waited for.
    if (this.#over) return this.#tell(this.client.port.core.time)
    if (this.client.gone) return this.#finish('client_aborted')
    if (verdict.kind === 'reply') {
      this.#status = verdict.status
      this.#finish(undefined)
      return this.client.reply(verdict, false)
    }
    this.#forward = verdict
    const { framing, port: { core } } = this.client
    if (verdict.upgrade !== undefined && verdict.upgrade === this.client.upgrade) this.#upgrade = verdict.upgrade
    const text = requestText(this.head, this.#received, verdict, framing, this.#upgrade)
    if (text === undefined) return this.fail('internal_error')
    this.#text = text
    if (verdict.watched) core.watch(this)
    this.#acquire(false)
  }

  #acquire(fresh: boolean): void {
    const { port } = this.client
    const { upstream } = this.#forward!
    const { listener } = port
    const pool = upstream.port === listener.upstream.port && upstream.host === listener.upstream.host ? port.pool : port.core.pool(upstream)
    this.#queued = true
    if (!pool.acquire(this, fresh)) return this.fail('upstream_busy')
    if (this.#queued) this.client.wait(port.core.limits.upstreamTimeout || QUEUE_TIMEOUT)
  }

  // The request, to the app.

  /** The pool has a connection for us. */
  send(upstream: Upstream): void {
    this.#queued = false
    this.upstream = upstream
    upstream.begin(this)
    upstream.link.put(this.#text)
    // On a new connection it is not sent again.
    if (!upstream.reused) this.#text = ''
    if (this.client.framing.kind === NONE) upstream.requestSent()
    if (upstream.connected) this.connected()
  }

  /** The connection to the app stands: its body may come, and be asked for. */
  connected(): void {
    if (!this.waiting) return
    this.waiting = false
    this.client.bodyWanted()
  }

  /** Whether body bytes can be taken now. */
  get accepts(): boolean {
    return !this.waiting && this.upstream !== undefined && !this.upstream.link.congested
  }

  bodyBytes(bytes: Buffer, from: number, to: number): void {
    this.#halfWaits()
    this.upstream?.link.putBytes(bytes, from, to)
  }

  bodyChunks(bytes: Buffer, from: number, spans: readonly number[]): void {
    this.upstream?.link.putChunk(bytes, from, spans)
  }

  /** The client's body is complete. */
  bodyEnd(trailers: readonly string[] | undefined): void {
    const { upstream } = this
    if (!upstream) return
    if (trailers) upstream.link.put(`0\r\n${trailersText(trailers, this.#forward!.dropsTrailer)}`)
    upstream.requestSent()
  }

  /** What was read from the client so far is on its way. */
  flush(): void {
    const { upstream } = this
    if (!upstream) return
    if (upstream.sent && !this.#tunnel) upstream.link.post()
    else upstream.link.flush()
    if (this.#since !== 0) witness(this)
  }

  appDrained(): void {
    this.client.moved()
    if (this.#tunnel) this.client.link.resume()
    else this.client.pump()
  }

  // The response, to the client.

  /** The first byte of the answer is there. */
  answering(): void {
    this.#text = ''
    if (this.#since === 0) this.#since = this.client.port.core.time
  }

  /** What was read from the app so far is on its way. */
  passedOn(): void {
    this.client.link.flush()
    // A head may be what fills the socket: from then on its reader has a deadline.
    if (this.client.link.congested) this.client.written()
    if (this.#since !== 0 && this.#headSent) witness(this)
  }

  onInterim(parser: Parser, framing: Framing): void {
    // 100 was said by us, when the body was asked for. HTTP/1.0 knows no 1xx.
    if (parser.status === 100 || this.head.version === '1.0') return
    this.client.link.put(responseText(parser, framing, this.#forward!, { method: this.head.method, close: false, chunked: false, upgrade: undefined }))
  }

  onHead(parser: Parser, framing: Framing): void {
    const { client, head } = this
    const bodiless = framing.kind === NONE
    this.#chunked = !bodiless && head.version === '1.1' && (framing.kind === CHUNKED || framing.kind === CLOSE)
    const unbounded = !bodiless && !this.#chunked && !framing.hasLength
    const close = client.closeAfter(unbounded)
    client.link.put(responseText(parser, framing, this.#forward!, { method: head.method, close, chunked: this.#chunked, upgrade: undefined }))
    this.#status = parser.status
    this.#headSent = true
    if (this.#forward!.watched) this.#eventStream = isEventStream(parser.headers)
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    const { link } = this.client
    if (this.#frames) {
      const boundary = this.#frames.take(bytes.subarray(from, to), this.#lapsed !== undefined)
      if (boundary !== undefined) {
        link.putBytes(bytes, from, from + boundary)
        return this.#sayLapsed()
      }
    }
    if (this.#chunked) link.putChunk(bytes, 0, [from, to])
    else link.putBytes(bytes, from, to)
    this.#halfWaits()
    this.client.written()
  }

  onChunks(bytes: Buffer, from: number, spans: readonly number[]): void {
    if (this.#chunked) this.client.link.putChunk(bytes, from, spans)
    else this.client.link.putSpans(bytes, from, spans)
    this.client.written()
  }

  /** The response is complete. */
  onEnd(trailers: readonly string[] | undefined): void {
    this.upstream = undefined
    if (this.#chunked) this.client.link.put(`0\r\n${trailersText(trailers ?? [], this.#forward!.dropsResponseHeader)}`)
    this.client.link.post()
    // How long it took is known when that is written.
    this.#end(undefined)
    witness(this)
    this.client.responded()
  }

  // Upgrades.

  /** The app answered 101. Returns false when nobody asked for that. */
  onSwitch(parser: Parser, framing: Framing): boolean {
    const { client } = this
    const protocol = this.#upgrade
    if (protocol === undefined || framing.upgrade.toLowerCase() !== protocol || !hasToken(framing.connection, 'upgrade')) return false
    client.link.put(responseText(parser, framing, this.#forward!, { method: this.head.method, close: false, chunked: false, upgrade: protocol }))
    this.#status = 101
    if (this.#forward!.watched && protocol === 'websocket') this.#frames = new FrameWatch()
    this.#headSent = this.#tunnel = true
    client.startTunnel()
    return true
  }

  /** One side will send nothing more: the other is told, and may still talk. */
  clientEnded(): void { this.#halve(this.upstream?.link) }
  appEnded(): void { this.#halve(this.client.link) }

  #halve(other: Link | undefined): void {
    this.halved = true
    other?.end()
    this.#halfWaits()
  }

  #halfWaits(): void { if (this.halved) this.client.wait(this.client.port.core.limits.idleTimeout) }

  // Ends.

  /** The connection to the app is gone before the response was complete. */
  lost(upstream: Upstream, reason: Reason): void {
    if (this.#over) return
    this.upstream = undefined
    if (this.#tunnel) return this.#part()
    const { kind } = this.client.framing
    if (reason === 'upstream_reset' && upstream.reused && !upstream.answered && !this.#retried && kind === NONE && (upstream.unwritten || IDEMPOTENT.has(this.head.method))) {
      this.#retried = true
      this.waiting = true
      this.#acquire(true)
      return this.flush()
    }
    this.fail(reason)
  }

  /** Ends it in good order, whatever is still to come. */
  #part(reason?: Reason): void {
    this.#letGo()
    this.#finish(reason)
    this.client.hangUp()
  }

  /** The client's connection is closed. */
  clientGone(): void {
    if (this.#over || this.#verdict === undefined) return
    this.#letGo()
    this.#finish(this.#tunnel ? undefined : 'client_aborted')
  }

  /** Ends it otherwise than the verdict promised: by an answer if none has begun, else by breaking the connection, so that nobody takes a part for the whole. */
  fail(reason: Reason): void {
    if (this.#over) return
    this.#letGo()
    const { client } = this
    client.port.core.now()
    if (this.#headSent) {
      this.#finish(reason)
      client.break()
      return
    }
    const reply = refuse(this.#handler, reason, this.head, this.#verdict)
    this.#status = reply.status
    this.#finish(reason)
    client.reply(reply, client.receiving)
    client.pump()
  }

  /** Of the app. */
  #letGo(): void {
    if (this.#queued) this.client.port.core.pool(this.#forward!.upstream).leave(this)
    this.upstream?.abandon()
    this.upstream = undefined
  }

  /** The handler has said what is to be done. */
  get decided(): boolean { return this.#verdict !== undefined }

  /** The answer's head has been sent. */
  get begun(): boolean { return this.#headSent }

  /** Nothing came from the client, or the queue did not move, for as long as allowed. */
  stalled(): void {
    // The handler's own work has its own limits.
    if (this.#verdict === undefined) return this.client.wait(this.client.port.core.limits.idleTimeout)
    if (this.#tunnel) return this.#part()
    this.fail(this.#queued ? 'upstream_busy' : this.accepts ? 'request_timeout' : 'upstream_timeout')
  }

  /** Asks whether it may still live. */
  look(): void {
    if (this.#over) return
    const reason = this.#lapsed ?? this.#handler.lapsed(this.#forward!, Date.now())
    if (reason === undefined) return
    // Asked again and still here: the app's frame does not end.
    if (this.#lapsed) return this.fail(reason)
    this.#lapsed = reason
    if (this.#tunnel) {
      if (this.#frames?.sound !== true) this.fail(reason)
      else if (this.#frames.atBoundary) this.#sayLapsed()
    } else if (this.#headSent && this.#eventStream && this.#chunked) {
      this.client.link.put('0\r\n\r\n')
      this.#part(reason)
    } else this.fail(reason)
  }

  /** A WebSocket whose token lapsed, between two frames of the app's: its client is told by a close frame. */
  #sayLapsed(): void {
    this.client.link.put(CLOSE_1008)
    this.#part(this.#lapsed)
  }

  #finish(failed: Reason | undefined): void {
    if (this.#over) return
    this.#end(failed)
    this.#tell(this.client.port.core.time)
  }

  #end(failed: Reason | undefined): void {
    this.#over = true
    this.#failed = failed
    if (this.#forward?.watched) this.client.port.core.unwatch(this)
  }

  /** What we had to send is out: until now the time was ours. */
  written(now: number): void {
    if (this.#since !== 0) this.#addedMs += now - this.#since
    this.#since = 0
    if (this.#over) this.#tell(now)
  }

  /** Tells the handler that it is over; if its verdict is yet to come, then. */
  #tell(now: number): void {
    if (this.#told || this.#verdict === undefined) return
    this.#told = true
    if (this.#since !== 0) this.#addedMs += now - this.#since
    const outcome = { status: this.#status, failed: this.#failed, totalMs: now - this.#started, addedMs: this.#addedMs }
    try {
      this.#handler.finished(this.head, this.#verdict, outcome)
    } catch {
      // Counting must never hurt the exchange; the handler promises not to throw.
    }
  }
}
