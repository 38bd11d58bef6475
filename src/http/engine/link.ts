/**
 * One TCP connection as the engine uses it: reads into the shared buffer, collects what is to be written and writes it at once,
 * tells when the peer reads too slowly. A thin skin around net.Socket; it knows nothing of HTTP.
 */
import { Socket } from 'node:net'
import { resetSocket } from '../../lib/reset-socket.ts'
import { LEASE, SMALL_READ, giveBack, lease, readBuffers } from './buffers.ts'
import { post, type Sender } from './outbox.ts'

/** Body pieces up to this size travel as strings, behind their head, in one write. */
const SMALL = 16_384

/** Whom a link tells what happens. Events come one at a time, never from inside a call of the owner's. */
export interface LinkOwner {
  /**
   * The peer sent bytes [0, length) of `bytes`; they are gone when this returns.
   * @returns false to stop reading until {@link Link.resume}
   */
  onBytes(bytes: Buffer, length: number): boolean
  /** The peer will send nothing more. */
  onEnd(): void
  /** After {@link Link.congested}: the kernel has taken everything. */
  onDrain(): void
  /** The socket is closed; once. `failure` when something broke. */
  onClose(failure: NodeJS.ErrnoException | undefined): void
}

/** The part of a socket that node does not document: see {@link adopt}. */
interface Internals { _handle: { readStart?: unknown, writeQueueSize?: number } | null }

export class Link implements Sender {
  readonly socket: Socket
  readonly #owner: LinkOwner
  posted = false
  /** How many writes there were: whether anything has gone out since one has looked. */
  writes = 0
  #text = ''
  #failure: NodeJS.ErrnoException | undefined
  /** Leases in writes under way, oldest first. */
  readonly #leases: Buffer[] = []
  readonly #written: () => void
  #ended = false
  #waits = 0
  #peer: string | undefined
  /** An accepted socket starts paused, one of ours reads once connected. */
  #paused: boolean

  constructor(socket: Socket, owner: LinkOwner, paused: boolean) {
    this.socket = socket
    this.#owner = owner
    this.#paused = paused
    this.#written = () => {
      // Called when the system is done with the bytes, be it that the write broke.
      const buffer = this.#leases.shift()
      if (buffer) giveBack(buffer)
    }
    socket.on('end', () => owner.onEnd())
    socket.on('drain', () => owner.onDrain())
    socket.on('error', (error: NodeJS.ErrnoException) => { this.#failure = error })
    socket.on('close', () => owner.onClose(this.#failure))
  }

  /** The address of the other side; of IPv4, the plain one. */
  get peer(): string {
    if (this.#peer !== undefined) return this.#peer
    const address = this.socket.remoteAddress ?? ''
    return this.#peer = address.startsWith('::ffff:') ? address.slice(7) : address
  }

  get destroyed(): boolean { return this.socket.destroyed }
  /** Bytes that the kernel has not taken yet. */
  get unsent(): number { return this.socket.writableLength + this.#text.length }
  /** Whether the peer has taken some of what waits since this was asked last; to the byte where node tells: a write is one in {@link unsent} until all of it is taken. */
  takes(): boolean {
    const before = this.#waits
    this.#waits = (this.socket as unknown as Internals)._handle?.writeQueueSize ?? this.socket.writableLength
    return this.#waits < before
  }

  /** The memory that they keep, when it is worth counting. */
  get kept(): number { return this.congested ? Math.max(this.socket.writableLength, this.#leases.length * LEASE) : 0 }
  /** The peer reads more slowly than we write: give it nothing more until {@link LinkOwner.onDrain}. */
  get congested(): boolean { return this.socket.writableNeedDrain && this.socket.writableLength > 0 }

  /** Adds latin1 text to the next write. */
  put(text: string): void { this.#text += text }

  /** Adds bytes, and latin1 text behind them, to the next write; they are copied. */
  putBytes(bytes: Buffer, from: number, to: number, tail = ''): void {
    const size = to - from
    if (this.#text.length + size <= SMALL) {
      this.#text += bytes.toString('latin1', from, to) + tail
      return
    }
    if (this.socket.destroyed || this.#ended) return
    let out = lease()
    if (this.#text.length + size + tail.length > out.length) this.flush()
    if (size + tail.length > out.length) out = Buffer.allocUnsafeSlow(size + tail.length)
    const at = this.#text === '' ? 0 : out.write(this.#text, 0, 'latin1')
    this.#text = ''
    bytes.copy(out, at, from, to)
    if (tail !== '') out.write(tail, at + size, 'latin1')
    this.#leases.push(out)
    this.writes++
    this.socket.write(out.subarray(0, at + size + tail.length), this.#written)
  }

  /** Adds several pieces, one behind the other. They are brought together where they lie: what is between them is lost. */
  putSpans(bytes: Buffer, from: number, spans: readonly number[], tail = ''): void {
    let end = from + (spans[1] ?? 0)
    for (let at = 2; at < spans.length; at += 2) {
      const stop = from + spans[at + 1]!
      for (let next = from + spans[at]!; next < stop; next++) bytes[end++] = bytes[next]!
    }
    if (spans.length > 0) this.putBytes(bytes, from + spans[0]!, end, tail)
  }

  /** Adds one chunk of all the pieces (RFC 9112 section 7.1). */
  putChunk(bytes: Buffer, from: number, spans: readonly number[]): void {
    let size = 0
    for (let at = 0; at < spans.length; at += 2) size += spans[at + 1]! - spans[at]!
    if (size === 0) return
    this.put(`${size.toString(16)}\r\n`)
    this.putSpans(bytes, from, spans, '\r\n')
  }

  /** Writes what was put. */
  flush(): void {
    const text = this.#text
    if (text === '') return
    this.#text = ''
    if (this.socket.destroyed || this.#ended) return
    this.writes++
    this.socket.write(text, 'latin1')
  }

  /** Writes what was put at the end of this turn of the event loop, or at once when it is much: for what ends a message, since of what comes behind it nobody sees {@link congested} before. */
  post(): void {
    if (this.#text.length > SMALL) this.flush()
    else if (this.#text !== '') post(this)
  }

  /** Writes what was put, then says that nothing follows. */
  end(): void {
    if (this.#ended) return
    this.flush()
    this.#ended = true
    if (!this.socket.destroyed) this.socket.end()
  }

  destroy(): void {
    this.#text = ''
    this.socket.destroy()
  }

  /** Closes with RST. */
  reset(): void {
    this.#text = ''
    resetSocket(this.socket)
  }

  /** Reads (on). */
  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.socket.resume()
  }

  /** Hands over what was read; returns whether to go on. */
  deliver(bytes: Buffer, length: number): boolean {
    this.#paused = !this.#owner.onBytes(bytes, length)
    return !this.#paused
  }
}

/** How much may wait in a socket before it is congested: what waits is kept, and is not counted before. */
const HIGH_WATER = SMALL_READ

/** What makes a socket read into the shared buffer. `link` may come after the socket. */
function onread(link: () => Link): { buffer: () => Buffer, callback: (length: number, buffer: Buffer) => boolean } {
  const next = readBuffers()
  let present: Buffer | undefined
  let began = false
  return {
    buffer() {
      const buffer = next()
      // Asked after each read; without an answer the socket goes on with the one it has.
      return began && buffer === present ? undefined as never : present = buffer
    },
    callback(length, buffer) {
      began = true
      return link().deliver(buffer, length)
    },
  }
}

/**
 * Takes over a socket that a server accepted with `pauseOnConnect`. Node lets only the one who makes a socket choose its read
 * buffer, and a server makes its sockets itself, with 64 KiB of new memory for each read. So the accepted socket's handle is put
 * into a socket of ours. Where node has no such handle any more, the accepted socket is used as it is: slower, not different.
 */
export function adopt(accepted: Socket, owner: LinkOwner): Link {
  const internals = accepted as unknown as Internals
  const handle = internals._handle
  if (typeof handle?.readStart !== 'function') return byEvents(accepted, owner)
  internals._handle = null
  // Without its handle this only corrects the server's count.
  accepted.destroy()
  return around(handle, owner)
}

// Functions of their own, so that what a socket keeps alive does not keep the accepted one alive.

function around(handle: object, owner: LinkOwner): Link {
  let link: Link
  const socket = new Socket({ handle, allowHalfOpen: true, manualStart: true, writableHighWaterMark: HIGH_WATER, onread: onread(() => link) } as object)
  link = new Link(socket, owner, true)
  return link
}

function byEvents(socket: Socket, owner: LinkOwner): Link {
  const link = new Link(socket, owner, true)
  socket.on('data', (bytes: Buffer) => { if (!link.deliver(bytes, bytes.length)) socket.pause() })
  return link
}

/** Starts connecting. What is put before the connection stands is sent when it does. */
export function connect(host: string, port: number, owner: LinkOwner): Link {
  let link: Link
  const options = { host, port, noDelay: true, allowHalfOpen: true, writableHighWaterMark: HIGH_WATER, onread: onread(() => link) }
  const socket = new Socket(options)
  link = new Link(socket, owner, false)
  socket.connect(options as never)
  return link
}
