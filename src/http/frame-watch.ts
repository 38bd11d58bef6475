/**
 * Finds the boundaries between WebSocket frames (RFC 6455 section 5.2) in the app's direction, so that a close frame of ours never lands inside one. Reads only
 * the 2 to 14 bytes of each frame's header.
 */
export class FrameWatch {
  /** False when the bytes are no frames that a server may send; then boundaries mean nothing. */
  sound = true
  readonly #header = Buffer.alloc(10)
  #have = 0
  #payload = 0

  /** Nothing of a frame is outstanding. */
  get atBoundary(): boolean { return this.#have === 0 && this.#payload === 0 }

  /**
   * Takes note of bytes.
   * @param stop look for a boundary
   * @returns with `stop`, the offset of the first boundary in the chunk; undefined when there is none or it was not asked for
   */
  take(chunk: Buffer, stop: boolean): number | undefined {
    for (let at = 0; at < chunk.length && this.sound;) {
      if (this.#payload > 0) {
        const step = Math.min(this.#payload, chunk.length - at)
        this.#payload -= step
        at += step
      } else {
        this.#header[this.#have++] = chunk[at++]!
        this.#readHeader()
      }
      if (stop && this.atBoundary) return at
    }
    return undefined
  }

  #readHeader(): void {
    if (this.#have < 2) return
    const short = this.#header[1]! & 0x7f
    // A server's frames are never masked (section 5.1).
    if ((this.#header[1]! & 0x80) !== 0) this.sound = false
    const size = short === 126 ? 4 : short === 127 ? 10 : 2
    if (this.#have < size) return
    this.#payload = size === 2 ? short : size === 4 ? this.#header.readUInt16BE(2) : Number(this.#header.readBigUInt64BE(2))
    this.#have = 0
  }
}
