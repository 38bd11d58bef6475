/**
 * Connections to one app. Each is an undici Client of its own with one request at a time, so that it is always known which connection a request
 * went over, whether that had served before (a retry is only for those), and that a broken one is never used again (attack S10).
 */
import net from 'node:net'
import { Client } from 'undici'
import type { Address } from '../../../src/http/contract.ts'

/** Heads of the app larger than this are refused. Bytes. */
const RESPONSE_HEAD_BYTES = 65_536
/** How long an unused connection is kept. Below what servers usually keep theirs (Node: 5 s), so that we close first. Milliseconds. */
const IDLE_MS = 4000

/** What a pool must know of the limits; read at each use, so that a reload holds. */
export interface PoolLimits {
  readonly connectTimeout: number
  readonly upstreamConnections: number
}

/** One connection to the app. */
export interface AppConnection {
  readonly client: Client
  /** Requests sent over the present socket. More than one: it was reused. */
  sent: number
  socket: net.Socket | undefined
}

/** A request waiting for a connection. */
export interface Ticket {
  /** Gives up waiting; without effect once served. */
  cancel(): void
}

/** Marks an error of connecting, to tell "not there" from "went away". */
export class ConnectError extends Error {
  readonly timedOut: boolean
  constructor(timedOut: boolean, cause?: Error) {
    super(timedOut ? 'connecting to the app took too long' : `connecting to the app failed: ${cause?.message ?? ''}`, { cause })
    this.timedOut = timedOut
  }
}

export class AppPool {
  readonly #address: Address
  readonly #limits: () => PoolLimits
  readonly #idle: AppConnection[] = []
  readonly #waiting = new Set<(connection: AppConnection) => void>()
  readonly #all = new Set<AppConnection>()

  constructor(address: Address, limits: () => PoolLimits) {
    this.#address = address
    this.#limits = limits
  }

  /**
   * Asks for a connection; `use` is called at once when one is to be had, else when one comes free, first come first served.
   * @param fresh do not take one that has served before
   * @returns undefined when all are in use and as many wait already
   */
  ask(use: (connection: AppConnection) => void, fresh = false): Ticket | undefined {
    const idle = fresh ? undefined : this.#idle.pop()
    if (idle !== undefined) return served(use, idle)
    const { upstreamConnections } = this.#limits()
    if (this.#all.size < upstreamConnections) return served(use, this.#open())
    if (fresh && this.#idle.length > 0) {
      this.discard(this.#idle.shift()!)
      return served(use, this.#open())
    }
    if (this.#waiting.size >= upstreamConnections) return undefined
    this.#waiting.add(use)
    return { cancel: () => { this.#waiting.delete(use) } }
  }

  /** Gives a sound connection back. */
  release(connection: AppConnection): void {
    if (!this.#all.has(connection)) return
    const [next] = this.#waiting
    if (next === undefined) {
      this.#idle.push(connection)
      return
    }
    this.#waiting.delete(next)
    next(connection)
  }

  /** Closes a connection for good; what it was doing fails. Whoever waits gets a new one. */
  discard(connection: AppConnection): void {
    if (!this.#all.delete(connection)) return
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
    if (connection.socket?.connecting === true) connection.socket.destroy()
    connection.client.destroy().catch(() => {})
    const [next] = this.#waiting
    if (next === undefined || this.#all.size >= this.#limits().upstreamConnections) return
    this.#waiting.delete(next)
    next(this.#open())
  }

  /** The connection has become a tunnel: undici has let go of the socket, which still counts until it closes. */
  detach(connection: AppConnection, socket: net.Socket): void {
    socket.once('close', () => { this.discard(connection) })
  }

  close(): void {
    this.#waiting.clear()
    for (const connection of this.#all) this.discard(connection)
  }

  #open(): AppConnection {
    const { host, port } = this.#address
    const connection: AppConnection = { client: undefined as unknown as Client, sent: 0, socket: undefined }
    const client = new Client(`http://${net.isIPv6(host) ? `[${host}]` : host}:${port}`, {
      pipelining: 1, keepAliveTimeout: IDLE_MS, keepAliveMaxTimeout: 60_000, keepAliveTimeoutThreshold: 1000, maxHeaderSize: RESPONSE_HEAD_BYTES,
      // Time is watched by the exchange (see sweep.ts): one clock for all, finer than undici's.
      headersTimeout: 0, bodyTimeout: 0, allowH2: false,
      connect: (_options, callback) => { this.#connect(connection, callback) },
    })
    // An idle connection that went away, for whatever reason (closed by the app, a byte nobody asked for, idle too long), is no connection.
    client.on('disconnect', () => { if (this.#idle.includes(connection)) this.discard(connection) })
    ;(connection as { client: Client }).client = client
    this.#all.add(connection)
    return connection
  }

  #connect(connection: AppConnection, callback: (...result: [null, net.Socket] | [Error, null]) => void): void {
    const socket = net.connect({ host: this.#address.host, port: this.#address.port, noDelay: true })
    connection.socket = socket
    connection.sent = 0
    const timer = setTimeout(() => { socket.destroy(new ConnectError(true)) }, this.#limits().connectTimeout)
    const onError = (error: Error): void => {
      clearTimeout(timer)
      callback(error instanceof ConnectError ? error : new ConnectError(false, error), null)
    }
    socket.once('error', onError)
    socket.once('close', () => { clearTimeout(timer) })
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', onError)
      callback(null, socket)
    })
  }
}

function served(use: (connection: AppConnection) => void, connection: AppConnection): Ticket {
  use(connection)
  return { cancel: () => {} }
}
