/** What the framing of a chunked body may cost beyond plain size lines: chunk extensions (attack S6), trailers, which are kept. Nobody needs them. */
const EXTENSION_BYTES = 16_384
/** The size line of one piece, and the line end behind it. */
const PLAIN = 24

/** Counts it over one body, in whatever pieces it is read. */
export class ChunkBudget {
  #spent = 0

  reset(): void { this.#spent = 0 }

  /** Bytes of trailers that may be kept, at most. */
  get spent(): number { return this.#spent }

  /**
   * Takes note of bytes.
   * @param read how many, framing and all
   * @param spans where in them the body's own were: from, to ...
   * @returns false when it is too much
   */
  take(read: number, spans: readonly number[]): boolean {
    this.#spent += read
    for (let at = 0; at < spans.length; at += 2) this.#spent -= spans[at + 1]! - spans[at]! + PLAIN
    // Small chunks earn nothing for trailers to come (attack S16).
    if (this.#spent < 0) this.#spent = 0
    return this.#spent <= EXTENSION_BYTES
  }
}
