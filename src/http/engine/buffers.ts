/**
 * The memory that bytes pass through. All sockets read into one buffer: on every system but Windows the event loop asks for the
 * buffer, reads and calls back without anything in between, so what was read must be used or copied before the callback returns,
 * and nothing of one peer can be seen by another. Large writes go out of leased buffers, which return once the kernel has the bytes.
 */
import { letGo } from '../../lib/let-go.ts'
import { ledger } from './ledger.ts'

/** Read at most at once from a client between bodies: what can be left over, and has to be kept, is no more than this. */
export const SMALL_READ = 16_384
const LARGE_READ = 65_536
/** Room for a head before a whole read in one write. */
export const LEASE = LARGE_READ + 4_096
/** Read at most at once while memory is short: such a piece travels as a string, and a slow reader keeps it instead of a lease. */
const TIGHT_READ = 8_192
/** Leases kept for reuse. */
const KEPT = 8

const shared = Buffer.allocUnsafeSlow(LARGE_READ)
const tight = shared.subarray(0, TIGHT_READ)

/** The buffer for the next read, of all sockets. */
const sharedBuffer = (): Buffer => ledger.tight ? tight : shared

/** Returns what gives a socket its read buffers: one for all, or one of its own on a system that reads ahead of the callback. */
export const readBuffers: () => () => Buffer = process.platform === 'win32'
  ? () => {
      const own = Buffer.allocUnsafeSlow(LARGE_READ)
      return () => own
    }
  : () => sharedBuffer

const free: Buffer[] = []

/** A buffer of at least a whole read and a head, its contents undefined. Its holder alone may touch it until {@link giveBack}. */
export const lease = (): Buffer => free.pop() ?? Buffer.allocUnsafeSlow(LEASE)

/** Returns a lease. Nothing may refer to it any more: not the caller, not a write that is still under way. */
export function giveBack(buffer: Buffer): void {
  if (free.length < KEPT) free.push(buffer)
  else letGo(buffer)
}

/** A copy of pieces, in memory of its own. */
export function keep(...pieces: readonly Uint8Array[]): Buffer {
  const copy = Buffer.allocUnsafeSlow(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    copy.set(piece, at)
    at += piece.length
  }
  return copy
}
