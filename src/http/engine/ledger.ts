/**
 * What strangers make the process keep, and a bound to it: connections, unfinished heads, requests that wait for the app, what was sent ahead,
 * what a slow reader has not taken. Each of these has a limit of its own, but a thousand times each limit is more memory than a sidecar has. One
 * ledger for all of the process, because there is one memory limit. Ordinary traffic is not in it, but for a number for each connection.
 *
 * Over the bound, in this order: a connection to the app that nobody uses is closed; of those that keep bytes, the one that got nowhere for longest is ended; an idle client
 * is sent away. (Envoy's overload manager resets streams for the same reason.)
 */
import { memoryLimit } from '../../lib/memory-limit.ts'

/** Who can be made to let go. */
export interface Holder {
  /** What it keeps beyond being connected, as the ledger knows it; the ledger alone writes it. */
  held: number
  /** Nothing is under way: closing it hurts nobody. */
  readonly idle: boolean
  /** Ends it: it keeps too much for too long. */
  shed(): void
  /** Closes it, when {@link idle}. */
  leave(): void
}

/** Who can close a connection that nobody uses. Returns false when there is none. */
export interface Spare { closeIdle(): boolean }

/** What a connection takes, be it to a client or to the app: measured, kernel memory included. Bytes. */
export const CONNECTION = 8_192
/** How much of the memory limit may be kept. The rest is the program, the heap's garbage, the caches. */
const SHARE = 4
/** How many clients are asked whether they are idle, for one that must go. */
const LOOK_AT = 32

export class Ledger {
  /** Bytes that may be kept. */
  readonly most: number
  /** How many were ended or sent away. */
  shed = 0
  #bytes = 0
  #connections = 0
  #relieving = false
  /** Those that keep bytes: first the one that got nowhere for longest. */
  readonly #holders = new Set<Holder>()
  readonly #clients = new Set<Holder>()
  readonly #spares = new Set<Spare>()

  constructor(most: number) {
    this.most = most
  }

  /** Bytes kept. */
  get total(): number { return this.#bytes + this.#connections * CONNECTION }
  /** Little is left: reads are small, so that slow readers keep less. */
  get tight(): boolean { return this.total > this.most / 2 }
  /** Connections of clients. */
  get clients(): number { return this.#clients.size }

  /**
   * Whether there is room for one more connection; makes some if it can.
   * @param byForce whether a client with a request under way may be ended for it: not from within its own call
   */
  makeRoom(byForce: boolean): boolean {
    if (this.total + CONNECTION > this.most) this.#relieve(this.most - CONNECTION, byForce)
    return this.total + CONNECTION <= this.most
  }

  /** A client is connected. */
  enter(client: Holder): void {
    this.#clients.add(client)
    this.connected()
  }

  /** It is gone, or as good as gone. */
  exit(client: Holder): void {
    this.hold(client, 0)
    if (this.#clients.delete(client)) this.disconnected()
  }

  /** A connection more. */
  connected(): void { this.#connections++ }

  disconnected(): void { this.#connections-- }

  /** Says how much a client keeps now. It is in line since it first kept anything; {@link moved} sends it to the end. */
  hold(client: Holder, bytes: number): void {
    if (bytes === client.held) return
    this.#bytes += bytes - client.held
    client.held = bytes
    if (bytes === 0) this.#holders.delete(client)
    else {
      this.#holders.add(client)
      if (this.total > this.most) this.#relieve(this.most, true)
    }
  }

  /** A client that keeps bytes got on. */
  moved(client: Holder): void {
    if (this.#holders.delete(client)) this.#holders.add(client)
  }

  addSpare(spare: Spare): void { this.#spares.add(spare) }
  removeSpare(spare: Spare): void { this.#spares.delete(spare) }

  #relieve(target: number, byForce: boolean): void {
    // Ending one may make others say what they keep.
    if (this.#relieving) return
    this.#relieving = true
    while (this.total > target && (this.#closeSpare() || (byForce ? this.#closeOne() : this.#sendAway())));
    this.#relieving = false
  }

  #closeOne(): boolean {
    return this.#bytes > this.most / 2 ? this.#shedHolder() : this.#sendAway() || this.#shedHolder()
  }

  #closeSpare(): boolean {
    for (const spare of this.#spares) if (spare.closeIdle()) return true
    return false
  }

  #shedHolder(): boolean {
    const [client] = this.#holders
    if (!client) return false
    this.shed++
    this.exit(client)
    client.shed()
    return true
  }

  #sendAway(): boolean {
    let looks = Math.min(LOOK_AT, this.#clients.size)
    for (const client of this.#clients) {
      if (looks-- === 0) return false
      if (client.idle) {
        this.shed++
        this.exit(client)
        client.leave()
        return true
      }
      // It is asked again when all others were.
      this.#clients.delete(client)
      this.#clients.add(client)
    }
    return false
  }
}

/** The process's. */
export const ledger = new Ledger(memoryLimit() / SHARE)
