/**
 * One client connection: its requests one after the other. Node parses pipelined requests as they come and would have us serve them at once; here each waits
 * until the one before it is over, so that none is decided, let alone forwarded, behind an answer that closes the connection (RFC 9112 section 9.3.2).
 */
import { Socket } from 'node:net'
import type { Reason } from '../../../src/telemetry/reason.ts'
import type { Listener } from '../../../src/http/contract.ts'
import type { Context } from './context.ts'
import type { Exchange } from './exchange.ts'
import { linger } from './linger.ts'
import { rawReply } from './raw-reply.ts'

/** Requests that may wait behind the one being served. What comes after them is not read; the answer to the last says `Connection: close`. */
const MOST_WAITING = 32

export class Connection {
  readonly socket: Socket
  readonly peer: string
  readonly listener: Listener
  readonly #context: Context
  readonly #waiting: Exchange[] = []
  #active: Exchange | undefined
  /** Refused bytes: answered when all requests before them are over. */
  #refusal: Reason | undefined
  #full = false
  #closing = false

  constructor(context: Context, socket: Socket, listener: Listener) {
    this.#context = context
    this.socket = socket
    this.listener = listener
    const address = socket.remoteAddress ?? ''
    this.peer = address.startsWith('::ffff:') ? address.slice(7) : address
  }

  /** Nothing is being served or waits. */
  get idle(): boolean { return this.#active === undefined && this.#waiting.length === 0 }

  /** Whether the answer to the active request must be the connection's last. */
  get lastAnswer(): boolean {
    return this.#context.draining || this.#closing || (this.#full && this.#waiting.length === 0)
  }

  /** The client's next request has a body that nobody reads yet: reading has stopped, and with it the view of whether the client is still there. */
  get blind(): boolean { return this.#waiting.at(-1)?.receiving === true }

  /** Takes a request whose head is complete. */
  add(exchange: Exchange): void {
    if (this.#closing || this.#full || this.#refusal !== undefined) return
    if (this.#active === undefined) this.#serve(exchange)
    else if (this.#waiting.push(exchange) >= MOST_WAITING) this.#full = true
  }

  /** The active exchange is over. */
  done(exchange: Exchange): void {
    if (this.#active !== exchange) return
    this.#active = undefined
    // A client that has gone asks for nothing any more: what it left waiting is neither decided nor forwarded.
    if (this.#closing || this.socket.destroyed) return
    const next = this.#waiting.shift()
    if (next !== undefined) this.#serve(next)
    else if (this.#refusal !== undefined) this.#answer(this.#refusal)
  }

  /**
   * Bytes that are no request, a head that takes too long, or (`client_aborted`) an end in the middle of a message: one answer in its turn, then close.
   */
  refuse(reason: Reason): void {
    // The end came in the middle of a further message, while an answer is on its way: the client is gone, as one that ends between two is.
    if (reason === 'client_aborted' && this.#active !== undefined) {
      this.socket.destroy()
      return
    }
    const last = this.#waiting.at(-1) ?? this.#active
    // It is in the body of a request that came before.
    if (last?.receiving === true) return last.spoil(reason)
    if (this.#closing || this.#refusal !== undefined) return
    this.#refusal = reason === 'client_aborted' ? 'malformed_request' : reason
    if (this.#active === undefined) this.#answer(this.#refusal)
  }

  /** The answer being written is the last; nothing that waits will be served. `receiving` when the client may still be sending. */
  close(receiving: boolean): void {
    this.#closing = true
    this.#waiting.length = 0
    // Node closes by destroySoon() when the last answer is written.
    if (receiving) this.socket.destroySoon = () => { linger(this.socket) }
  }

  /** Too many connections: one answer, then close. */
  turnAway(): void {
    this.close(false)
    this.socket.write(rawReply(this.#context.handler.refuse('overloaded', this.peer)))
    // No lingering: whoever floods must not hold on to what there is too little of.
    this.socket.destroySoon()
  }

  #serve(exchange: Exchange): void {
    this.#active = exchange
    exchange.start()
  }

  #answer(reason: Reason): void {
    this.close(true)
    if (!this.socket.writable) {
      this.socket.destroy()
      return
    }
    this.socket.write(rawReply(this.#context.handler.refuse(reason, this.peer)))
    linger(this.socket)
  }
}
