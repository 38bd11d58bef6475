/**
 * Field lines as they go out. One that goes on as it came is not built again: where it already stands in the text that was read exactly as it would be
 * written, `name: value` and CRLF, it is taken from there, together with its neighbours. What is written is the same either way, to the byte.
 */

/** A head as it was read. */
export interface Received {
  /** Its text, from the first byte to the empty line behind it. */
  readonly raw: string
  /** Where in it each field's name begins. */
  readonly starts: readonly number[]
}

const CR = 13
const SPACE = 32

/** Collects lines. Used for one head, then {@link text} is taken. */
export class Lines {
  readonly #received: Received
  #text: string
  /** The lines of the received text that are not added yet: from, to. */
  #from = 0
  #to = 0

  /** @param startLine with its CRLF */
  constructor(received: Received, startLine: string) {
    this.#received = received
    this.#text = startLine
  }

  /** @param line with its CRLF */
  add(line: string): void {
    this.#text = this.text + line
    this.#from = this.#to = 0
  }

  /**
   * Adds a received line.
   * @param field which, counted from 0
   * @param name of that field, and `value`: as the parser read them
   */
  pass(field: number, name: string, value: string): void {
    const { raw, starts } = this.#received
    const start = starts[field]!
    const end = field + 1 < starts.length ? starts[field + 1]! : raw.length - 2
    if (end - start !== name.length + value.length + 4 || raw.charCodeAt(start + name.length + 1) !== SPACE || raw.charCodeAt(end - 2) !== CR) return this.add(`${name}: ${value}\r\n`)
    if (start !== this.#to) {
      this.#text = this.text
      this.#from = start
    }
    this.#to = end
  }

  get text(): string {
    return this.#to === 0 ? this.#text : this.#text + this.#received.raw.substring(this.#from, this.#to)
  }
}
