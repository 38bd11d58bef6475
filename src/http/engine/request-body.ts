/** Reads the body of a request, by its length or in chunks, and hands what it holds to the exchange. */
import type { Reason } from '../../telemetry/reason.ts'
import { ChunkBudget } from './chunk-budget.ts'
import type { Exchange } from './exchange.ts'
import { LENGTH, parseFailure, type Framing } from './framing.ts'
import type { Parser } from './llhttp.ts'

export class RequestBody {
  /** After {@link read}: the body is complete. */
  ended = false
  /** Of a chunked body that is complete. */
  trailers: readonly string[] | undefined
  /** Why it cannot be read. */
  failure: Reason | undefined
  readonly #budget = new ChunkBudget()

  /** Bytes of trailers that may be kept for it, at most. */
  get kept(): number { return this.#budget.spent }

  /** Before a new one. */
  reset(): void {
    this.#budget.reset()
    this.failure = this.trailers = undefined
  }

  /**
   * Reads what there is of it.
   * @param parser for chunks; it stands behind the head
   * @param exchange undefined: the body is thrown away
   * @returns where it ended
   */
  read(framing: Framing, parser: Parser | undefined, exchange: Exchange | undefined, bytes: Buffer, from: number, to: number): number {
    if (framing.kind === LENGTH) {
      const end = Math.min(to, from + framing.length)
      framing.length -= end - from
      this.ended = framing.length === 0
      exchange?.bodyBytes(bytes, from, end)
      return end
    }
    const end = parser!.body(bytes, from, to)
    exchange?.bodyChunks(bytes, from, parser!.spans)
    if (parser!.error !== 0) this.failure = parseFailure(parser!)
    else if (!this.#budget.take(end - from, parser!.spans)) this.failure = 'malformed_request'
    this.ended = parser!.ended
    this.trailers = this.ended ? parser!.headers : undefined
    return end
  }
}
