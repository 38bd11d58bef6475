/** Reads the head of a request, and the empty lines before it, within its limits. */
import type { Reason } from '../../telemetry/reason.ts'
import type { TransportLimits } from '../contract.ts'
import { EmptyLines } from './empty-lines.ts'
import { parseFailure } from './framing.ts'
import { REQUEST, leaseParser, releaseParser, type Parser } from './llhttp.ts'

export class RequestHeadReader {
  /** It has read the head, and goes on to read the body if that is in chunks; undefined before the first byte and after {@link release}. */
  parser: Parser | undefined
  /** Of the head, so far; they stay known until {@link reset}. */
  bytes = 0
  /** After {@link read}: why it is no head. */
  failure: Reason | undefined
  readonly #emptyLines = new EmptyLines()

  /** Something has come, be it half an empty line. */
  get begun(): boolean { return this.bytes > 0 || this.#emptyLines.begun }

  /** Before the next one. */
  reset(): void {
    this.bytes = 0
    this.failure = undefined
    this.#emptyLines.reset()
  }

  release(): void {
    if (this.parser) releaseParser(this.parser)
    this.parser = undefined
  }

  /**
   * Reads what there is of it.
   * @returns where it ended: the head is complete when the parser says so, and there is none when there is a {@link failure}
   */
  read(bytes: Buffer, from: number, to: number, limits: TransportLimits): number {
    if (this.bytes === 0) {
      const at = this.#emptyLines.skip(bytes, from, to)
      if (at < 0) this.failure = 'malformed_request'
      if (at !== from) return at < 0 ? to : at
      this.parser = leaseParser(REQUEST, limits.headerCount)
    }
    const parser = this.parser!
    if (this.bytes >= limits.headerBytes) { // a reload has lowered it
      this.failure = 'headers_too_large'
      return to
    }
    const at = parser.head(bytes, from, Math.min(to, from + limits.headerBytes - this.bytes))
    this.bytes += at - from
    if (parser.error !== 0) this.failure = parseFailure(parser)
    else if (!parser.headDone && parser.target.length > limits.targetBytes) this.failure = 'target_too_long'
    else if (!parser.headDone && this.bytes >= limits.headerBytes) this.failure = 'headers_too_large'
    return at
  }
}
