/**
 * One connection to the app. It carries one exchange at a time, reads the response strictly, and is given back to the pool only if the
 * response ended exactly where it said, the request went out whole, and nobody asked to close. A byte that was not asked for closes it.
 */
import type { Reason } from '../../telemetry/reason.ts'
import { ChunkBudget } from './chunk-budget.ts'
import type { Exchange } from './exchange.ts'
import { CHUNKED, CLOSE, Framing, LENGTH, NONE, readFields, responseBody } from './framing.ts'
import { connect, type Link, type LinkOwner } from './link.ts'
import { RESPONSE, leaseParser, releaseParser, type Parser } from './llhttp.ts'
import type { Pool } from './pool.ts'
import { Timed } from './wheel.ts'

/** Bytes of a response head; apps' cookies and policies are longer than what clients may send. */
const HEAD_BYTES = 65_536
const HEAD_FIELDS = 1_000
/** Interim responses that one exchange may have (attack S14). */
const MOST_INTERIM = 32
const PROMISE = /(?:^|[,\s])timeout=(\d{1,6})(?:$|[,\s])/i

/** What is being read. */
const HEAD = 10
const TUNNEL = 11

export class Upstream extends Timed implements LinkOwner {
  readonly link: Link
  readonly pool: Pool
  exchange: Exchange | undefined
  connected = false
  /** It has carried an exchange before. */
  reused = false
  /** Of the exchange under way: the response has begun. */
  answered = false
  /** Of the exchange under way: the request is out, body and all. */
  sent = false
  readonly framing = new Framing()
  #mode = HEAD
  #parser: Parser | undefined
  #headBytes = 0
  #interim = 0
  readonly #budget = new ChunkBudget()
  /** Writes before the exchange under way. */
  #before = 0
  #timedOut = false

  constructor(pool: Pool) {
    super()
    this.pool = pool
    this.link = connect(pool.address.host, pool.address.port, this)
    this.link.socket.once('connect', () => this.#onConnect())
    pool.core.wheel.set(this, pool.core.time + pool.core.limits.connectTimeout)
  }

  /** Nothing of the request under way has been written. */
  get unwritten(): boolean { return this.link.writes === this.#before }

  /** Begins an exchange. Its request is put on {@link link} by the caller. */
  begin(exchange: Exchange): void {
    this.exchange = exchange
    this.#before = this.link.writes
    this.answered = this.sent = false
    this.#mode = HEAD
    this.#headBytes = this.#interim = 0
    if (this.connected) this.pool.core.wheel.set(this, Infinity)
  }

  /** The request is out: the app's time runs. */
  requestSent(): void {
    this.sent = true
    if (this.connected && this.#mode === HEAD) this.#await()
  }

  #await(): void {
    const { core } = this.pool
    if (core.limits.upstreamTimeout > 0) core.wheel.set(this, core.time + core.limits.upstreamTimeout)
  }

  #onConnect(): void {
    this.pool.core.now()
    this.connected = true
    this.pool.core.wheel.set(this, Infinity)
    if (this.sent) this.#await()
    this.exchange?.connected()
  }

  onBytes(bytes: Buffer, length: number): boolean {
    const { exchange } = this
    // Nobody asks, or the question is not out yet: it is no answer.
    if (!exchange || this.unwritten) {
      this.link.destroy()
      return false
    }
    this.pool.core.now()
    let from = 0
    while (from < length && this.exchange === exchange && !this.link.destroyed) from = this.#read(exchange, bytes, from, length)
    if (this.exchange !== exchange) return true
    exchange.passedOn()
    return !exchange.client.link.congested
  }

  #read(exchange: Exchange, bytes: Buffer, from: number, to: number): number {
    switch (this.#mode) {
      case HEAD: return this.#readHead(exchange, bytes, from, to)
      case LENGTH: {
        const end = Math.min(to, from + this.framing.length)
        this.framing.length -= end - from
        exchange.onBody(bytes, from, end)
        if (this.framing.length === 0) this.#end(exchange, end === to)
        return end
      }
      case CHUNKED: return this.#readChunks(exchange, bytes, from, to)
      default:
        exchange.onBody(bytes, from, to)
        return to
    }
  }

  #readHead(exchange: Exchange, bytes: Buffer, from: number, to: number): number {
    const parser = this.#parser ??= leaseParser(RESPONSE, HEAD_FIELDS)
    if (!this.answered) {
      this.answered = true
      exchange.answering()
    }
    const at = parser.head(bytes, from, to)
    this.#headBytes += at - from
    if (parser.error !== 0 || this.#headBytes > HEAD_BYTES) this.#malformed(exchange)
    else if (parser.headDone) this.#onHead(exchange, parser, at === to)
    return at
  }

  #onHead(exchange: Exchange, parser: Parser, last: boolean): void {
    const { framing } = this
    if (!readFields(parser.headers, framing) || !responseBody(parser, exchange.head.method, framing)) return this.#malformed(exchange)
    if (parser.status === 101) {
      if (!exchange.onSwitch(parser, framing)) return this.#malformed(exchange)
      this.#mode = TUNNEL
      this.#releaseParser()
      this.pool.core.wheel.set(this, Infinity)
      return
    }
    if (parser.status < 200) {
      if (++this.#interim > MOST_INTERIM) return this.#malformed(exchange)
      exchange.onInterim(parser, framing)
      this.#headBytes = 0
      parser.reset(HEAD_FIELDS)
      return
    }
    this.pool.core.wheel.set(this, Infinity)
    exchange.onHead(parser, framing)
    this.#mode = framing.kind
    if (framing.kind === CHUNKED) {
      this.#budget.reset()
      parser.startBody()
    } else this.#releaseParser()
    if (framing.kind === NONE) this.#end(exchange, last)
  }

  #readChunks(exchange: Exchange, bytes: Buffer, from: number, to: number): number {
    const parser = this.#parser!
    const at = parser.body(bytes, from, to)
    exchange.onChunks(bytes, from, parser.spans)
    if (parser.error !== 0 || !this.#budget.take(at - from, parser.spans)) this.#malformed(exchange)
    else if (parser.ended) {
      const trailers = parser.headers
      this.#releaseParser()
      this.#end(exchange, at === to, trailers)
    }
    return at
  }

  /** @param last whether the response's last byte is also the last one read */
  #end(exchange: Exchange, last: boolean, trailers?: readonly string[]): void {
    const reusable = last && this.sent && !this.framing.close && !this.link.congested
    const promised = Number(PROMISE.exec(this.framing.keepAlive)?.[1] ?? NaN)
    this.exchange = undefined
    this.framing.forget()
    if (reusable) {
      this.reused = true
      this.pool.release(this, promised)
    } else this.link.destroy()
    exchange.onEnd(trailers)
  }

  #malformed(exchange: Exchange): void {
    this.exchange = undefined
    this.link.destroy()
    exchange.fail('upstream_malformed')
  }

  #releaseParser(): void {
    if (this.#parser) releaseParser(this.#parser)
    this.#parser = undefined
  }

  onEnd(): void {
    this.pool.core.now()
    const { exchange } = this
    if (exchange && this.#mode === TUNNEL) return exchange.appEnded()
    if (exchange && this.#mode === CLOSE) {
      return this.#end(exchange, false)
    }
    this.link.destroy()
  }

  onDrain(): void {
    this.pool.core.now()
    this.exchange?.appDrained()
  }

  onClose(failure: NodeJS.ErrnoException | undefined): void {
    this.pool.core.now()
    const { exchange } = this
    this.exchange = undefined
    this.#releaseParser()
    this.pool.core.wheel.drop(this)
    this.pool.gone(this)
    exchange?.lost(this, this.#reason(failure))
  }

  #reason(failure: NodeJS.ErrnoException | undefined): Reason {
    if (this.#timedOut || failure?.code === 'ETIMEDOUT') return 'upstream_timeout'
    return this.connected ? 'upstream_reset' : 'upstream_unreachable'
  }

  /** Ends it on behalf of its exchange, which is not told. */
  abandon(): void {
    this.exchange = undefined
    this.link.destroy()
    this.pool.gone(this)
  }

  expired(now: number): void {
    this.pool.core.time = now
    this.#timedOut = true
    this.link.destroy()
  }
}
