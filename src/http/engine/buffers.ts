/**
 * The memory that bytes pass through. All sockets read into one buffer: on every system but Windows the event loop asks for the
 * buffer, reads and calls back without anything in between, so what was read must be used or copied before the callback returns,
 * and nothing of one peer can be seen by another. Large writes go out of leased buffers, which return once the kernel has the bytes.
 */

/** Read at most at once from a client between bodies: what can be left over, and has to be kept, is no more than this. */
export const SMALL_READ = 16_384
const LARGE_READ = 65_536
/** Room for a head before a whole read in one write. */
const LEASE = LARGE_READ + 4_096
/** Leases kept for reuse; the rest goes to the garbage collector. */
const KEPT = 8

/** A read buffer: one for all sockets, or a new one each on a system that reads ahead of the callback. */
export const readBuffer: () => Buffer = process.platform === 'win32'
  ? () => Buffer.allocUnsafeSlow(LARGE_READ)
  : ((shared) => () => shared)(Buffer.allocUnsafeSlow(LARGE_READ))

const free: Buffer[] = []

/** A buffer of at least a whole read and a head, its contents undefined. Its holder alone may touch it until {@link giveBack}. */
export const lease = (): Buffer => free.pop() ?? Buffer.allocUnsafeSlow(LEASE)

/** Returns a lease. Nothing may refer to it any more: not the caller, not a write that is still under way. */
export function giveBack(buffer: Buffer): void {
  if (free.length < KEPT) free.push(buffer)
}
