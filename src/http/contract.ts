/**
 * The contract between a transport (anything that owns sockets) and the pipeline that decides. A transport hands over a
 * {@link RequestHead} and does what the {@link Verdict} says; it knows nothing of tokens or rules, and the pipeline knows
 * nothing of sockets. One transport is the HTTP/1.1 server of this folder; the tests hold another against it.
 */
import type { Reason } from '../telemetry/reason.ts'

/** Where a TCP peer is: `host` is an IP literal or a name, `port` 0-65535. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** One of the sidecar's protected ports: where it listens and where what passes is sent. */
export interface Listener {
  readonly bind: Address
  readonly upstream: Address
}

/** A request head as it came off the wire. Strings are latin1: one character is one byte. */
export interface RequestHead {
  readonly method: string
  /** The request target, byte for byte. */
  readonly target: string
  /** Flat list: name, value, name, value ... in wire order, names in their original spelling, nothing merged. */
  readonly headers: readonly string[]
  readonly version: '1.0' | '1.1'
  /** The client's IP address as the socket says. */
  readonly peer: string
  readonly listener: Listener
}

/** Send the request on to the app. */
export interface Forward {
  readonly kind: 'forward'
  readonly upstream: Address
  /**
   * The complete end-to-end header list for the app: flat, identity headers included, hop-by-hop headers consumed. It holds
   * no framing (`Content-Length`, `Transfer-Encoding`, `Trailer`, `Connection`, `Upgrade`, `Expect`): the transport writes its own from the
   * body it really sends.
   */
  readonly headers: readonly string[]
  /** Target to send; always the request's own, or that without a token in the query. */
  readonly target: string
  /** The one protocol this request may upgrade to (lower case), or undefined: then `Upgrade` is not passed on. */
  readonly upgrade: string | undefined
  /** Whether a header of the app's response (any spelling, trailers too) must be removed. Hop-by-hop ones go anyway. */
  readonly dropsResponseHeader: (name: string) => boolean
  /** Whether a request trailer (any spelling) must be removed. */
  readonly dropsTrailer: (name: string) => boolean
  /** Ask {@link Handler.lapsed} about once a second while this exchange lives, and end it when it says so. */
  readonly watched: boolean
}

/** Answer the client here; the app never sees the request. */
export interface Reply {
  readonly kind: 'reply'
  readonly status: number
  /** Flat list, without framing. */
  readonly headers: readonly string[]
  readonly body: string
}

export type Verdict = Forward | Reply

/** How an exchange ended. Milliseconds. */
export interface Outcome {
  /** Status the client got; 0 when none was sent. 101 for a tunnel. */
  readonly status: number
  /** Set when the exchange ended otherwise than the verdict promised: an upstream failure, an abort, a lapse, a timeout. */
  readonly failed: Reason | undefined
  /** From the head being complete to the end. */
  readonly totalMs: number
  /** What the sidecar itself added: head complete to request written, response head read to response head written. */
  readonly addedMs: number
}

/** What a transport calls. All methods are free of `this`; none throws (a throw is answered 500 `internal_error`). */
export interface Handler {
  /** Decides one request. Synchronous whenever it can be (a cached token), so that the hot path has no promise in it. */
  decide(head: RequestHead): Verdict | Promise<Verdict>
  /**
   * The reply for a request the transport itself refuses, with or without a readable head. Counts and logs it; but not when `verdict` is given:
   * then the exchange failed after its verdict (`upstream_*`, a stalled body, a lapse), and {@link finished} tells about it.
   */
  refuse(reason: Reason, peer: string, head?: RequestHead, verdict?: Verdict): Reply
  /** Called exactly once for each verdict of {@link decide}, when its exchange is over. */
  finished(head: RequestHead, verdict: Verdict, outcome: Outcome): void
  /** For a `watched` exchange: the reason for which it must end now, or undefined to let it live. */
  lapsed(verdict: Forward, nowMs: number): Reason | undefined
}

/** Resource limits of a transport. Bytes and milliseconds; 0 means no limit where the field says so. */
export interface TransportLimits {
  readonly headerBytes: number
  readonly headerCount: number
  readonly targetBytes: number
  /** For a whole head to arrive, from its first byte. */
  readonly headerTimeout: number
  /** For a keep-alive connection between requests, and for a stalled body. */
  readonly idleTimeout: number
  /** For the app's response head, from the request being sent. 0: no limit. There is never a limit on a response's total time. */
  readonly upstreamTimeout: number
  readonly connectTimeout: number
  /** Client connections per listener. */
  readonly connections: number
  /** Connections to the app per listener. */
  readonly upstreamConnections: number
}

/** A running transport. */
export interface Transport {
  /** The addresses bound, in the order of the listeners asked for; the real port where 0 was asked. */
  readonly bound: readonly Address[]
  /**
   * Swaps the handler and limits for all requests from now on; exchanges in flight keep the verdict they have and report to
   * the handler that made it.
   */
  use(handler: Handler, limits: TransportLimits): void
  /**
   * Drains: goes on accepting for `delayMs` (every response then says `Connection: close`), stops accepting, waits for what is in flight up
   * to `graceMs`, then destroys what is left. Resolves when all sockets are closed.
   */
  close(delayMs: number, graceMs: number): Promise<void>
}

/**
 * Starts a transport.
 * @throws an Error with `code` (`EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`) and the address in its message and as `address` when a listener cannot be bound; then none is left bound
 */
export type StartTransport = (listeners: readonly Listener[], handler: Handler, limits: TransportLimits) => Promise<Transport>
