/** What all connections of one transport share. */
import type { Address, Handler, Listener, TransportLimits } from '../contract.ts'
import type { Client } from './client.ts'
import type { Exchange } from './exchange.ts'
import { Pool } from './pool.ts'
import { Wheel } from './wheel.ts'

const WATCH_EVERY = 1_000

export class Core {
  handler: Handler
  limits: TransportLimits
  /** Every response says `Connection: close`. */
  draining = false
  readonly wheel = new Wheel()
  readonly #pools = new Map<string, Pool>()
  readonly #watched = new Set<Exchange>()
  #watching: NodeJS.Timeout | undefined

  constructor(handler: Handler, limits: TransportLimits) {
    this.handler = handler
    this.limits = limits
    this.time = this.wheel.now()
  }

  /** Milliseconds on the wheel's clock. */
  now(): number { return this.time = this.wheel.now() }
  /** The time of the event under way: whatever begins one (bytes, a deadline, a verdict that was waited for) has asked {@link now}. */
  time: number

  /** The connections to one app address. */
  pool(address: Address): Pool {
    const key = `${address.host} ${address.port}`
    let pool = this.#pools.get(key)
    if (!pool) this.#pools.set(key, pool = new Pool(this, address))
    return pool
  }

  /** Connections to apps, of any kind. */
  get open(): number {
    let count = 0
    for (const pool of this.#pools.values()) count += pool.open
    return count
  }

  /** Asks about the exchange once a second until {@link unwatch}. */
  watch(exchange: Exchange): void {
    this.#watched.add(exchange)
    this.#watching ??= setInterval(() => {
      this.now()
      for (const each of this.#watched) each.look()
    }, WATCH_EVERY).unref()
  }

  unwatch(exchange: Exchange): void {
    this.#watched.delete(exchange)
    if (this.#watched.size > 0) return
    clearInterval(this.#watching)
    this.#watching = undefined
  }

  close(): void {
    for (const pool of this.#pools.values()) pool.close()
    clearInterval(this.#watching)
    this.wheel.close()
  }
}

/** One listener: where it is and who is connected. */
export interface Port {
  readonly core: Core
  readonly listener: Listener
  readonly pool: Pool
  readonly clients: Set<Client>
}
