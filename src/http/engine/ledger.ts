/**
 * What strangers make the process keep, its bound, and who goes first. Kept are connections, heads that are not complete, what was sent ahead of its turn,
 * what a slow reader has not taken, large requests that wait for the app. Each has a limit of its own, but a thousand times each limit is more memory than a
 * sidecar has. One ledger for the process, because there is one memory limit. Ordinary traffic is a number for each connection in it, nothing else.
 *
 * Over the bound, in this order: a connection to the app that nobody uses is closed; while the kept bytes are most of it, the client that made us keep some for
 * longest and gets nowhere is ended, first of those that we wait for, then of those that wait for the app; an idle client is sent away. (Envoy's overload
 * manager resets streams for the same reason.)
 */
import { memoryLimit } from '../../lib/memory-limit.ts'

/** Who can be made to let go. */
export interface Holder {
  /** Bytes kept for it beyond its connection, and whose turn it is; the ledger writes them. */
  held: number
  stalled: boolean
  /** Nothing is under way: closing it hurts nobody. */
  readonly idle: boolean
  /** Whether it has taken some of what is kept for it, since this was asked last or it was put down. */
  moves(): boolean
  /** Ends it. */
  shed(): void
  /** Closes it, when {@link idle}. */
  leave(): void
}

/** Who can close a connection that nobody uses. Returns false when there is none. */
export interface Spare { closeIdle(): boolean }

/** What a connection takes, be it to a client or to the app: measured, kernel memory included. Bytes. */
export const CONNECTION = 8_192
/** The share of the memory limit that may be kept: the rest is for the program, the caches and the heap's garbage. */
const SHARE = 1 / 4
/** How many clients are asked whether they are idle, for one that must go. */
const LOOK_AT = 32

export class Ledger {
  /** Bytes that may be kept. Tests set it. */
  most: number
  /** How many were ended, and how many sent away. */
  shed = 0
  sentAway = 0
  #bytes = 0
  #connections = 0
  #relieving = false
  readonly #clients = new Set<Holder>()
  /** Those that keep bytes, in the order in which they began to or last got on: those whose turn it is, and those that wait for the app. */
  readonly #stalled = new Set<Holder>()
  readonly #waiting = new Set<Holder>()
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
   * @param asker the client whose request needs it: it is not ended for it
   */
  makeRoom(asker?: Holder): boolean {
    if (this.total + CONNECTION > this.most) this.#relieve(this.most - CONNECTION, asker)
    return this.total + CONNECTION <= this.most
  }

  /** A client is connected. */
  enter(client: Holder): void {
    this.#clients.add(client)
    this.#connections++
  }

  /** It is gone, or as good as gone. */
  exit(client: Holder): void {
    this.hold(client, 0, false)
    if (this.#clients.delete(client)) this.#connections--
  }

  /** A connection to the app is open, or no more. */
  connected(): void { this.#connections++ }
  disconnected(): void { this.#connections-- }

  /**
   * Says how much is kept for a client now.
   * @param stalled it is the client's turn; else the app's
   */
  hold(client: Holder, bytes: number, stalled: boolean): void {
    if (bytes === client.held && stalled === client.stalled) return
    if (stalled !== client.stalled || bytes === 0) this.#line(client).delete(client)
    this.#bytes += bytes - client.held
    client.held = bytes
    client.stalled = stalled
    if (bytes === 0) return
    this.#line(client).add(client)
    if (this.total > this.most) this.#relieve(this.most)
  }

  /** A client for which bytes are kept got on: to the end of its line. */
  moved(client: Holder): void {
    const line = this.#line(client)
    if (line.delete(client)) line.add(client)
  }

  addSpare(spare: Spare): void { this.#spares.add(spare) }
  removeSpare(spare: Spare): void { this.#spares.delete(spare) }

  #line(client: Holder): Set<Holder> { return client.stalled ? this.#stalled : this.#waiting }

  #relieve(target: number, except?: Holder): void {
    // Ending one may make others say what they keep.
    if (this.#relieving) return
    this.#relieving = true
    while (this.total > target && (this.#closeSpare() || this.#closeOne(except)));
    this.#relieving = false
  }

  #closeSpare(): boolean {
    for (const spare of this.#spares) if (spare.closeIdle()) return true
    return false
  }

  #closeOne(except: Holder | undefined): boolean {
    return this.#bytes > this.most / 2 ? this.#endOne(except) || this.#sendAway() : this.#sendAway() || this.#endOne(except)
  }

  #endOne(except: Holder | undefined): boolean {
    const client = this.#longestStalled(except) ?? first(this.#waiting, except)
    if (!client) return false
    this.shed++
    this.exit(client)
    client.shed()
    return true
  }

  #longestStalled(except: Holder | undefined): Holder | undefined {
    for (let left = this.#stalled.size; left > 0; left--) {
      const client = first(this.#stalled)!
      if (client !== except && !client.moves()) return client
      this.moved(client)
    }
    return first(this.#stalled, except)
  }

  #sendAway(): boolean {
    for (let left = Math.min(LOOK_AT, this.#clients.size); left > 0; left--) {
      const client = first(this.#clients)!
      if (client.idle) {
        this.sentAway++
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

function first(line: ReadonlySet<Holder>, except?: Holder): Holder | undefined {
  for (const client of line) if (client !== except) return client
  return undefined
}

/** The process's. */
export const ledger = new Ledger(memoryLimit() * SHARE)
