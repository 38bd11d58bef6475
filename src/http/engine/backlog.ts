/** What a client sent ahead and cannot be read yet. It is given back as soon as it is used, not when the garbage collector comes by. */
import { letGo } from '../../lib/let-go.ts'
import { keep } from './buffers.ts'

export class Backlog {
  #kept: Buffer | undefined
  #from = 0

  get length(): number { return this.#kept === undefined ? 0 : this.#kept.length - this.#from }

  add(bytes: Buffer, from: number, to: number): void {
    const old = this.#kept
    this.#kept = old === undefined ? keep(bytes.subarray(from, to)) : keep(old.subarray(this.#from), bytes.subarray(from, to))
    this.#from = 0
    if (old) letGo(old)
  }

  /**
   * Reads what is kept, once.
   * @param read is given bytes and where to begin and end; returns where it ended. What it did not read stays
   */
  read(read: (bytes: Buffer, from: number, to: number) => number): void {
    const kept = this.#kept!
    const begin = this.#from
    this.#kept = undefined
    const from = read(kept, begin, kept.length)
    if (from === kept.length) return letGo(kept)
    this.#kept = kept
    this.#from = from
  }

  drop(): void {
    if (this.#kept) letGo(this.#kept)
    this.#kept = undefined
  }
}
