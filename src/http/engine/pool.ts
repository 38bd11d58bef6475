/** Connections to one app address: kept for the next request only when nothing at all is doubtful about them. */
import type { Address } from '../contract.ts'
import type { Core } from './core.ts'
import type { Exchange } from './exchange.ts'
import { ledger, type Spare } from './ledger.ts'
import { Upstream } from './upstream.ts'

/** Most apps close idle connections after 5 s or more (node: 5 s); one that says less is believed. Milliseconds. */
const IDLE = 4_000
/** The app's promise is cut by this, so that we close before it does. */
const MARGIN = 1_000

/** So many connections there may be however short memory is. */
const ALWAYS = 16

export class Pool implements Spare {
  readonly core: Core
  readonly address: Address
  /** The last one returned is the first one taken: few connections stay warm, the rest expire. */
  readonly #idle: Upstream[] = []
  readonly #open = new Set<Upstream>()
  /** Exchanges waiting for a connection, oldest first. */
  readonly #queue = new Set<Exchange>()

  get open(): number { return this.#open.size }

  constructor(core: Core, address: Address) {
    this.core = core
    this.address = address
    ledger.addSpare(this)
  }

  /**
   * Gives the exchange a connection, now or when one is free, by calling `exchange.send`.
   * @param fresh demand a new one: the last, reused, turned out dead
   * @returns false when all are in use and the queue is full
   */
  acquire(exchange: Exchange, fresh = false): boolean {
    let reused = fresh ? undefined : this.#idle.pop()
    while (reused?.link.destroyed) reused = this.#idle.pop()
    if (reused) {
      exchange.send(reused)
      return true
    }
    const most = this.core.limits.upstreamConnections
    // Room for a fresh one: the oldest of the idle goes.
    if (fresh && this.#open.size >= most) this.#idle.shift()?.abandon()
    if (this.#open.size < most && (this.#open.size < ALWAYS || ledger.makeRoom(exchange.client))) {
      const upstream = new Upstream(this)
      ledger.connected()
      this.#open.add(upstream)
      exchange.send(upstream)
      return true
    }
    if (this.#queue.size >= most) return false
    this.#queue.add(exchange)
    return true
  }

  /** The exchange no longer waits. */
  leave(exchange: Exchange): void { this.#queue.delete(exchange) }

  /**
   * Takes back a connection whose exchange ended in perfect order.
   * @param promised seconds the app said it keeps it, or NaN
   */
  release(upstream: Upstream, promised: number): void {
    const keep = promised >= 0 ? Math.min(promised * 1000 - MARGIN, IDLE) : IDLE
    if (keep <= 0 || this.core.draining) return upstream.link.destroy()
    this.core.wheel.set(upstream, this.core.time + keep)
    this.#idle.push(upstream)
    this.#next()
  }

  /** A connection is no more. */
  gone(upstream: Upstream): void {
    if (!this.#open.delete(upstream)) return
    ledger.disconnected()
    const at = this.#idle.indexOf(upstream)
    if (at >= 0) this.#idle.splice(at, 1)
    this.#next()
  }

  /** Closes the connection that was idle for longest. */
  closeIdle(): boolean {
    const upstream = this.#idle.shift()
    upstream?.abandon()
    return upstream !== undefined
  }

  close(): void {
    ledger.removeSpare(this)
    for (const upstream of this.#open) upstream.link.destroy()
  }

  #next(): void {
    const [exchange] = this.#queue
    if (!exchange || (this.#idle.length === 0 && this.#open.size >= this.core.limits.upstreamConnections)) return
    this.#queue.delete(exchange)
    this.acquire(exchange)
    exchange.client.pump()
  }
}
