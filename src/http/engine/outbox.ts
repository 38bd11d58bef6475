/**
 * What ends a message goes out when the turn of the event loop ends, together with what other connections have: as Redis and others do it, first everything that is
 * readable is read and decided, then everything is written. A write wakes whoever waits for it, and a wake-up is among the dearest things that a proxy does. Written one by one between
 * two verifications, each answer finds its reader asleep again; written side by side, one wake-up serves many. One for the process, because there is one event loop.
 */
import { monotonicMs } from '../../lib/clock.ts'

/** A connection with something to write. */
export interface Sender {
  /** It is to write at the end of this turn; the outbox writes this. */
  posted: boolean
  /** Writes. */
  flush(): void
}

/** Who wants to know when what it posted is out. */
export interface Witness {
  /**
   * What was posted before this was asked for is with the system.
   * @param now milliseconds, monotonic
   */
  written(now: number): void
}

/** So many wait at most: the first must not wait for a thousand others to be read. */
const MOST = 16

let senders: Sender[] = []
let witnesses: Witness[] = []
let scheduled = false

function turnEnds(): void {
  scheduled = false
  sendAll()
}

/** Between two turns Node runs immediates, right after all that was readable. */
function schedule(): void {
  if (scheduled) return
  scheduled = true
  setImmediate(turnEnds)
}

/** Has the connection write at the end of this turn. */
export function post(sender: Sender): void {
  if (sender.posted) return
  sender.posted = true
  senders.push(sender)
  if (senders.length >= MOST) sendAll()
  else schedule()
}

/** Tells the witness when all that is posted is out. */
export function witness(each: Witness): void {
  witnesses.push(each)
  schedule()
}

/**
 * Ends the turn early: writes what is posted, and tells the witnesses.
 * @throws what a sender threw first, which is a bug; the others have written all the same
 */
export function sendAll(): void {
  const out = senders
  senders = []
  const bugs: unknown[] = []
  for (const sender of out) {
    sender.posted = false
    try {
      sender.flush()
    } catch (error) {
      bugs.push(error)
    }
  }
  const told = witnesses
  witnesses = []
  const now = told.length === 0 ? 0 : monotonicMs()
  for (const each of told) each.written(now)
  if (bugs.length > 0) throw bugs[0]
}
