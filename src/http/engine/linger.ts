/** Watches whether the reader of a last answer still takes some of it. */
export class Linger {
  #unsent = 0
  #tookAt = 0

  /**
   * Looks at what of it is not sent yet.
   * @returns for how long nothing was taken, milliseconds
   */
  look(unsent: number, now: number): number {
    if (unsent !== this.#unsent) {
      this.#unsent = unsent
      this.#tookAt = now
    }
    return now - this.#tookAt
  }
}
