/** Empty lines before a request line (RFC 9112 section 2.2): exactly CRLF, and few. llhttp would take any heap of CR and LF. */
const MOST = 2

/** Counts them, across reads. */
export class EmptyLines {
  #lines = 0
  #half = false

  /** Something was there, be it half a line. */
  get begun(): boolean { return this.#half || this.#lines > 0 }

  reset(): void {
    this.#lines = 0
    this.#half = false
  }

  /** Returns the position of the first byte that belongs to no empty line, or -1 when they are to be refused. */
  skip(bytes: Buffer, from: number, to: number): number {
    let at = from
    for (; at < to; at++) {
      const byte = bytes[at]
      if (this.#half ? byte !== 10 : byte === 10) return -1
      if (!this.#half && byte !== 13) return at
      this.#half = !this.#half
      if (!this.#half && ++this.#lines > MOST) return -1
    }
    return at
  }
}
