/**
 * Deadlines without a timer for each: entries lie in the slots of a ring, one system timer is set for the next slot that has any.
 * Moving a deadline later costs one assignment: the entry is put further on when its slot comes up. Deadlines are met up to one
 * slot late, never early.
 */
import { monotonicMs } from '../../lib/clock.ts'

/** Something with a deadline. It belongs to one wheel. */
export abstract class Timed {
  /** Milliseconds on the wheel's clock; Infinity: none. Set it through {@link Wheel.set}. */
  deadline = Infinity
  /** The slot it lies in, counted from the clock's zero; -1: in none. */
  tick = -1
  before: Timed | undefined = undefined
  after: Timed | undefined = undefined
  /** The deadline has passed. Called once; set a new one if it is to be called again. */
  abstract expired(now: number): void
}

/** The ring. `close` it when it is no longer needed. */
export class Wheel {
  readonly now: () => number
  readonly #width: number
  readonly #slots: (Timed | undefined)[]
  #done = 0
  #armed = Infinity
  /**
   * A process that a CPU quota has stopped finds its deadlines passed and the bytes that they were for unread: so the sockets are read first. Node runs timers, then reads, then immediates.
   */
  readonly #ring = (): void => { setImmediate(this.#due) }
  readonly #due = (): void => { if (this.#armed !== Infinity) this.#turn() }
  #timer: NodeJS.Timeout | undefined

  /**
   * @param now a monotonic clock, milliseconds
   * @param width of a slot, milliseconds
   * @param count of slots; deadlines further away than the ring is long are looked at once a turn
   */
  constructor(now: () => number = monotonicMs, width = 32, count = 1024) {
    this.now = now
    this.#width = width
    this.#slots = Array.from<undefined>({ length: count })
    this.#done = Math.floor(now() / width)
  }

  /** Sets or moves a deadline; Infinity takes it away. */
  set(entry: Timed, deadline: number): void {
    entry.deadline = deadline
    if (deadline === Infinity || (entry.tick >= 0 && entry.tick * this.#width <= deadline + this.#width)) return
    if (entry.tick >= 0) this.#unlink(entry)
    this.#link(entry)
  }

  /** Forgets an entry for good. */
  drop(entry: Timed): void {
    entry.deadline = Infinity
    if (entry.tick >= 0) this.#unlink(entry)
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#armed = Infinity
  }

  #link(entry: Timed): void {
    const nearest = this.#done + 1
    const tick = Math.min(Math.max(Math.ceil(entry.deadline / this.#width), nearest), this.#done + this.#slots.length)
    const index = tick % this.#slots.length
    const head = this.#slots[index]
    entry.tick = tick
    entry.before = undefined
    entry.after = head
    if (head) head.before = entry
    this.#slots[index] = entry
    if (tick < this.#armed) this.#arm(tick)
  }

  #unlink(entry: Timed): void {
    const { before, after } = entry
    if (before) before.after = after
    else this.#slots[entry.tick % this.#slots.length] = after
    if (after) after.before = before
    entry.before = entry.after = undefined
    entry.tick = -1
  }

  #arm(tick: number): void {
    clearTimeout(this.#timer)
    this.#armed = tick
    this.#timer = setTimeout(this.#ring, Math.max(1, Math.ceil(tick * this.#width - this.now())))
    this.#timer.unref()
  }

  #turn(): void {
    this.#armed = Infinity
    const now = this.now()
    const last = Math.floor(now / this.#width)
    const first = Math.max(this.#done + 1, last - this.#slots.length + 1)
    // Entries linked from here on land behind `last`.
    this.#done = Math.max(last, this.#done)
    for (let tick = first; tick <= last; tick++) this.#empty(tick, now)
    for (let tick = this.#done + 1; tick <= this.#done + this.#slots.length; tick++) {
      if (!this.#slots[tick % this.#slots.length]) continue
      if (tick < this.#armed) this.#arm(tick)
      return
    }
  }

  #empty(tick: number, now: number): void {
    const index = tick % this.#slots.length
    const due: Timed[] = []
    for (let entry = this.#slots[index]; entry; entry = entry.after) due.push(entry)
    for (const entry of due) {
      if (entry.tick < 0 || entry.tick > tick) continue
      this.#unlink(entry)
      if (entry.deadline <= now) {
        entry.deadline = Infinity
        entry.expired(now)
      } else if (entry.deadline !== Infinity) this.#link(entry)
    }
  }
}
