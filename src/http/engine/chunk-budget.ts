/** What the framing of a chunked body may cost beyond plain size lines: chunk extensions (attack S6), trailers, which are kept. Nobody needs them. */
const EXTENSION_BYTES = 16_384
/** A size line, and the line end before it. */
const PLAIN = 24

/** Counts it over one body, in whatever pieces it is read. */
export class ChunkBudget {
  #spent = 0
  /** Framing since the last byte of the body: of a chunk that is yet to come, or trailers. */
  #open = 0

  reset(): void { this.#spent = this.#open = 0 }

  /** Bytes of trailers that may be kept, at most. */
  get spent(): number { return this.#spent + this.#open }

  /**
   * Takes note of bytes.
   * @param read how many, framing and all
   * @param spans where in them the body's own were: from, to ...
   * @returns false when it is too much
   */
  take(read: number, spans: readonly number[]): boolean {
    let at = 0
    // Each chunk for itself: what small ones do not need is not saved up for trailers (attack S16).
    for (let span = 0; span < spans.length; span += 2) {
      this.#spent += dear(this.#open + spans[span]! - at)
      this.#open = 0
      at = spans[span + 1]!
    }
    this.#open += read - at
    return this.#spent + dear(this.#open) <= EXTENSION_BYTES
  }
}

/** What of the framing before a chunk is more than a plain size line. */
const dear = (bytes: number): number => Math.max(0, bytes - PLAIN)
