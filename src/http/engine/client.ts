/**
 * One client's connection: reads requests one after the other, each handed to an {@link Exchange} of its own, and writes the responses in
 * order. While a request is being answered, what the client sends ahead is kept, up to one read.
 */
import type { Reason } from '../../telemetry/reason.ts'
import type { Reply, RequestHead } from '../contract.ts'
import type { Socket } from 'node:net'
import { Backlog } from './backlog.ts'
import { SMALL_READ } from './buffers.ts'
import { AHEAD, DISCARD, HEAD, TUNNEL } from './client-state.ts'
import type { Port } from './core.ts'
import { Exchange } from './exchange.ts'
import { CHUNKED, Framing, LENGTH, NONE, requestFault, requestVersion, upgradeAsked } from './framing.ts'
import { replyText } from './head.ts'
import { ledger, type Holder } from './ledger.ts'
import { Linger } from './linger.ts'
import { adopt, type Link, type LinkOwner } from './link.ts'
import type { Parser } from './llhttp.ts'
import { refuse } from './refuse.ts'
import { RequestBody } from './request-body.ts'
import { RequestHeadReader } from './request-head.ts'
import { Timed } from './wheel.ts'

/** An unread body up to this size is read and thrown away to keep the connection. */
const SKIP = 65_536
/** How long we go on reading after our last answer. Milliseconds. */
const LINGER = 2_000
const LINGER_BYTES = 16 << 20
/** A request with a head up to this size is not worth counting while it waits for the app. */
const SMALL_HEAD = 4_096

export class Client extends Timed implements LinkOwner, Holder {
  readonly link: Link
  readonly port: Port
  readonly framing = new Framing()
  /** The socket is closed. */
  gone = false
  held = 0
  stalled = false
  #exchange: Exchange | undefined
  #mode = HEAD
  readonly #head = new RequestHeadReader()
  readonly #backlog = new Backlog()
  #consuming = false
  /** Close after this response: one of us said so. */
  #last = false
  /** Of an unread body, after its response. */
  #skipping = false
  #skipped = 0
  readonly #body = new RequestBody()
  #asked100 = false
  readonly #linger = new Linger()
  /** The request came while another was being answered, or in the same read. */
  #pipelined = false
  /** The protocol that the request asks for. */
  upgrade: string | undefined

  constructor(port: Port, accepted: Socket) {
    super()
    this.port = port
    this.link = adopt(accepted, this)
    ledger.enter(this)
    this.wait(port.core.limits.idleTimeout)
    this.link.resume()
  }

  /** The request's body is not complete. */
  get receiving(): boolean { return this.#mode === LENGTH || this.#mode === CHUNKED }
  /** Between two requests: closing now hurts nobody. */
  get idle(): boolean { return this.#mode === HEAD && this.#head.bytes === 0 && !this.#exchange }

  onBytes(bytes: Buffer, length: number): boolean {
    this.port.core.now()
    this.#pipelined = false
    const from = this.#backlog.length === 0 ? this.#consume(bytes, 0, length) : 0
    if (from < length) this.#backlog.add(bytes, from, length)
    if (this.#blind) this.wait(this.port.core.limits.idleTimeout)
    return this.#flush()
  }

  /** An answer has begun, and so much was sent ahead of it that reading has stopped: nobody sees whether the client is still there. */
  get #blind(): boolean { return this.#mode === AHEAD && this.#backlog.length >= SMALL_READ && this.#exchange?.begun === true }

  /** Something that was waited for is there: goes on with what was kept, then with what comes. */
  pump(): void {
    if (this.#consuming || this.gone) return
    if (this.#backlog.length > 0) {
      this.#pipelined = true
      this.#backlog.read((bytes, from, to) => this.#consume(bytes, from, to))
    }
    if (this.#flush()) this.link.resume()
  }

  /** Sends what has come of it. Returns whether to read on. */
  #flush(): boolean {
    this.#exchange?.flush()
    this.link.post()
    if (this.link.destroyed) return false
    const more = this.#readsOn()
    if (more && this.held === 0 && this.#backlog.length === 0 && !this.#headKept && this.#body.kept < SMALL_HEAD) return true
    this.#weigh()
    return !this.link.destroyed && this.#readsOn()
  }

  /** Whether to read on. */
  #readsOn(): boolean {
    switch (this.#mode) {
      // A client that sends ahead and does not read its answers gets no further ones.
      case HEAD: return !this.link.congested
      case AHEAD: return this.#backlog.length < SMALL_READ
      case TUNNEL: return !this.#exchange!.upstream?.link.congested
      case DISCARD: return true
      default: return this.#skipping || (this.#backlog.length === 0 && this.#exchange!.accepts) || (this.#backlog.length === 0 && this.#exchange!.waiting)
    }
  }

  /** Tells the ledger what is kept for this client. */
  #weigh(): void {
    // A head: as it came, and in pieces or as it goes to the app.
    const bytes = (this.#headKept ? 2 * this.#head.bytes : 0) + this.#body.kept + this.#backlog.length + this.link.kept + (this.#exchange?.upstream?.link.kept ?? 0)
    if (this.held === 0) this.link.takes()
    ledger.hold(this, bytes, this.#mode === HEAD || this.#backlog.length > 0 || this.link.congested)
  }

  /** A head that is not complete, or one to count while its request waits for the app. */
  get #headKept(): boolean { return this.#head.bytes > (this.#mode === HEAD ? 0 : SMALL_HEAD) }

  /** Bytes that were kept for this client are on their way. */
  moved(): void {
    if (this.held === 0) return
    ledger.moved(this)
    this.#weigh()
  }

  moves(): boolean { return this.link.takes() }

  /** Memory is short, and no other client has kept some for so long. */
  shed(): void {
    if (this.#exchange?.decided) {
      this.#last = true
      this.#exchange.fail('overloaded')
    } else if (this.#mode === HEAD && this.#head.bytes > 0) this.#refuse('overloaded')
    else this.link.reset()
    // Who does not read gets no answer, either.
    if (this.link.unsent > 0) this.link.reset()
  }

  #consume(bytes: Buffer, from: number, to: number): number {
    this.#consuming = true
    try {
      while (from < to && !this.link.destroyed) {
        const at = this.#read(bytes, from, to)
        if (at === from) break
        from = at
      }
    } finally {
      this.#consuming = false
    }
    return this.link.destroyed ? to : from
  }

  /** Reads as far as one step goes; returns `from` when nothing can be read now. */
  #read(bytes: Buffer, from: number, to: number): number {
    switch (this.#mode) {
      case HEAD: return this.link.congested ? from : this.#readHead(bytes, from, to)
      case AHEAD:
        if (this.upgrade === undefined) return from
        // Bytes behind an upgrade's head and before the app's 101: nobody has agreed to read them as anything (attack S8).
        this.#exchange!.fail('upgrade_refused')
        return to
      case DISCARD:
        if ((this.#skipped += to - from) > LINGER_BYTES) this.link.destroy()
        return to
      case TUNNEL:
        this.#exchange!.bodyBytes(bytes, from, to)
        return to
      default: return this.#skipping || this.#exchange!.accepts ? this.#readBody(bytes, from, to) : from
    }
  }

  #readHead(bytes: Buffer, from: number, to: number): number {
    const { limits } = this.port.core
    const head = this.#head
    const { begun } = head
    const at = head.read(bytes, from, to, limits)
    if (head.failure !== undefined) this.#refuse(head.failure)
    else if (head.parser?.headDone) this.#onHead(head.parser, limits.targetBytes, at < to)
    // From its first byte on.
    else if (!begun) this.wait(limits.headerTimeout)
    return at
  }

  /** @param more whether bytes behind the head were read with it */
  #onHead(parser: Parser, targetBytes: number, more: boolean): void {
    const { framing } = this
    const version = requestVersion(parser)
    if (typeof version === 'string') return this.#refuse(version)
    const { method, target, headers, raw, starts } = parser
    const head: RequestHead = { method, target, headers, version: version === 1 ? '1.1' : '1.0', peer: this.link.peer, listener: this.port.listener }
    const fault = requestFault(head, framing, targetBytes)
    if (fault !== undefined) return this.#refuse(fault, head)
    this.upgrade = version === 1 ? upgradeAsked(framing) : undefined
    if (this.upgrade !== undefined && (framing.kind !== NONE || framing.hasLength || more || this.#pipelined)) return this.#refuse('upgrade_refused', head)
    // Who expects to be asked for a body that is none may mean something else by it.
    this.#last = framing.close || version === 0 || (framing.expectations > 0 && framing.kind === NONE)
    // What need not be asked for is as good as asked for.
    this.#asked100 = version === 0 || framing.expectations === 0
    this.#skipped = 0
    this.#body.reset()
    if (framing.kind === CHUNKED) parser.startBody()
    else this.#head.release()
    this.#mode = framing.kind === NONE ? AHEAD : framing.kind
    this.wait(framing.kind === NONE ? Infinity : this.port.core.limits.idleTimeout)
    this.#exchange = new Exchange(this, head, { raw, starts })
    this.#exchange.start()
  }

  #readBody(bytes: Buffer, from: number, to: number): number {
    const end = this.#body.read(this.framing, this.#head.parser, this.#exchange, bytes, from, to)
    const { failure, ended, trailers } = this.#body
    if (failure !== undefined) {
      this.#exchange?.fail(failure)
      this.hangUp()
      return to
    }
    if (this.#skipping && (this.#skipped += end - from) > SKIP) this.hangUp()
    else if (ended) this.#bodyEnded(trailers)
    else this.wait(this.port.core.limits.idleTimeout)
    return end
  }

  #bodyEnded(trailers: readonly string[] | undefined): void {
    this.#head.release()
    if (this.#skipping) {
      this.#skipping = false
      return this.#nextHead()
    }
    this.#mode = AHEAD
    this.wait(Infinity)
    this.#exchange!.bodyEnd(trailers)
    this.#body.reset()
  }

  #nextHead(): void {
    this.#mode = HEAD
    this.#head.reset()
    this.framing.forget()
    this.upgrade = undefined
    this.#pipelined = true
    const { core } = this.port
    core.wheel.set(this, core.time + core.limits.idleTimeout)
    if (core.draining && this.#backlog.length === 0) this.hangUp()
  }

  // What an exchange asks for.

  /** The app can take the body: a client that waits for 100 is told to send it. */
  bodyWanted(): void {
    if (!this.#asked100 && this.receiving) {
      this.#asked100 = true
      this.link.put('HTTP/1.1 100 Continue\r\n\r\n')
    }
    // Who has sent all waits for the app, whose time is limited on its own connection.
    this.wait(this.receiving || this.link.congested ? this.port.core.limits.idleTimeout : Infinity)
    this.pump()
  }

  /**
   * Decides, when a response head is written, whether the connection ends behind it, and remembers it.
   * @param must the response itself needs that
   */
  closeAfter(must: boolean): boolean {
    const unread = this.#mode === CHUNKED || (this.#mode === LENGTH && (this.framing.length > SKIP || !this.#asked100))
    this.#last ||= must || unread || this.upgrade !== undefined || this.port.core.draining
    return this.#last
  }

  /** Answers with a reply of the handler's. */
  reply(reply: Reply, close: boolean): void {
    this.link.put(replyText(reply, this.#exchange?.head.method ?? 'GET', this.closeAfter(close)))
    this.responded()
  }

  /** More of the response was written. */
  written(): void {
    if (this.held !== 0 && !this.stalled) ledger.moved(this)
    if (!this.link.congested && !this.#blind) return
    this.wait(this.port.core.limits.idleTimeout)
    this.#weigh()
  }

  /** The response is complete. */
  responded(): void {
    this.#exchange = undefined
    if (this.#last) this.hangUp()
    else if (this.#mode === AHEAD) this.#nextHead()
    else this.#skipping = true
    this.pump()
  }

  startTunnel(): void {
    this.#mode = TUNNEL
    this.wait(Infinity)
    this.pump()
  }

  /** Ends the connection in good order: what was put is sent, then FIN, and for a while what comes is thrown away. */
  hangUp(): void {
    this.#mode = DISCARD
    this.#head.reset()
    this.framing.forget()
    this.#backlog.drop()
    this.#exchange = undefined
    this.#head.release()
    this.wait(LINGER)
    this.link.end()
    this.link.resume()
  }

  /** Closes an idle connection. */
  leave(): void {
    if (this.link.unsent === 0) this.link.destroy()
    else this.hangUp()
  }

  /** Breaks the connection, so that nobody takes what was sent for the whole: where its end ends the body, only a reset tells. */
  break(): void { this.link.reset() }

  /** Refuses what cannot be a request, and hangs up. */
  #refuse(reason: Reason, head?: RequestHead): void {
    this.#head.release()
    this.link.put(replyText(refuse(this.port.core.handler, reason, head, undefined, this.link.peer), head?.method ?? 'GET', true))
    this.hangUp()
  }

  /** Waits at most so long for whatever is next. */
  wait(timeoutMs: number): void {
    const { core } = this.port
    core.wheel.set(this, core.time + timeoutMs)
  }

  expired(now: number): void {
    this.port.core.time = now
    if (this.#exchange) {
      if (this.link.congested || this.#blind) this.break()
      else this.#exchange.stalled()
    } else if (this.#mode === DISCARD && this.link.unsent > 0) {
      // The last answer is still on its way to a slow reader: it has as long as any other, while it takes something.
      if (this.held !== 0) this.#weigh()
      const left = this.port.core.limits.idleTimeout - this.#linger.look(this.link.unsent, now)
      if (left > 0) this.wait(Math.min(left, LINGER))
      else this.break()
    } else if (this.#mode === HEAD && this.#head.begun) this.#refuse('request_timeout')
    else this.link.destroy()
  }

  onDrain(): void {
    this.port.core.now()
    this.moved()
    if (this.#mode === DISCARD) return
    // A head that has begun keeps its deadline.
    if (this.#mode !== HEAD || !this.#head.begun) this.wait((this.#mode === AHEAD && !this.#blind) || (this.#mode === TUNNEL && !this.#exchange!.halved) ? Infinity : this.port.core.limits.idleTimeout)
    this.#exchange?.upstream?.link.resume()
    if (this.#mode === HEAD) this.pump()
  }

  onEnd(): void {
    this.port.core.now()
    if (this.#mode === TUNNEL) this.#exchange!.clientEnded()
    else this.link.destroy()
  }

  onClose(): void {
    this.port.core.now()
    this.gone = true
    this.#backlog.drop()
    this.#head.release()
    ledger.exit(this)
    this.port.core.wheel.drop(this)
    this.port.clients.delete(this)
    this.#exchange?.clientGone()
    this.#exchange = undefined
  }
}
