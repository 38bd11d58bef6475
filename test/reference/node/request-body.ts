/**
 * The client's body on its way to the app. A stream of our own stands between Node's request and undici, because undici destroys the stream it is
 * given when the exchange ends early, and a destroyed request would take the client's connection (and the answer) with it.
 */
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'

export class RequestBody extends Readable {
  /** Waiting for the app to take what there is; else waiting for the client. */
  full = false
  /** When something last moved. Milliseconds of the given clock. */
  movedAt: number
  readonly #request: IncomingMessage
  readonly #wanted: () => void
  readonly #now: () => number
  #flowing = false

  /** @param wanted called once, when the app's connection is there and the first bytes are asked for: the moment for `100 Continue` */
  constructor(request: IncomingMessage, wanted: () => void, now: () => number) {
    super({ highWaterMark: 65_536 })
    this.#request = request
    this.#wanted = wanted
    this.#now = now
    this.movedAt = now()
  }

  override _read(): void {
    this.full = false
    this.movedAt = this.#now()
    if (this.#flowing) {
      this.#request.resume()
      return
    }
    this.#flowing = true
    this.#wanted()
    this.#request.on('data', this.#onData)
    this.#request.on('end', this.#onEnd)
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    if (this.#flowing) {
      this.#request.off('data', this.#onData)
      this.#request.off('end', this.#onEnd)
    }
    callback(error)
  }

  readonly #onData = (chunk: Buffer): void => {
    this.movedAt = this.#now()
    if (this.push(chunk)) return
    this.full = true
    this.#request.pause()
  }

  readonly #onEnd = (): void => { this.push(null) }
}
