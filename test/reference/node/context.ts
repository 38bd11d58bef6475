/** What all connections of one transport share. */
import type { Handler, Listener, TransportLimits } from '../../../src/http/contract.ts'
import type { AppPool } from './app-pool.ts'
import type { Exchange } from './exchange.ts'

export interface Context {
  /** In force for new requests; swapped as a whole on reload. */
  handler: Handler
  limits: TransportLimits
  /** Every response says `Connection: close` from now on. */
  draining: boolean
  /** What is in flight. */
  readonly live: Set<Exchange>
  /** The connections to the app behind one listener. */
  readonly poolOf: (listener: Listener, upstream: Listener['upstream']) => AppPool
  /** Monotonic milliseconds. */
  readonly now: () => number
}
