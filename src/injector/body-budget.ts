/** Request bodies, read within one budget for all of them: anybody who reaches the webhook's port may begin one, and nobody has to end it. */
import type { IncomingMessage } from 'node:http'

/** Why a body was not read to its end. */
export type BodyProblem = 'too large' | 'no room'

export interface BodyBudget {
  /**
   * Reads one body. What it holds counts until `release`.
   * @returns the body, or why it is refused; rejects when the client goes away
   */
  read(request: IncomingMessage): Promise<{ readonly body: string } | { readonly problem: BodyProblem }>
  /** Its review is over. Call it after every `read`. */
  release(request: IncomingMessage): void
  /** Bytes that count now. */
  readonly held: number
}

interface Reading {
  held: number
  /** Undefined once the body is complete. */
  refuse: ((problem: BodyProblem) => void) | undefined
}

// A buffer's own cost: a body may come in chunks of one byte.
const CHUNK_COST = 512

/**
 * Makes a budget. Where it does not suffice, the largest of the bodies that are still on their way goes: a usual review has some 10 KiB, and
 * whoever wants to keep it out has to begin a great many as small.
 * @param most bytes for one body
 * @param together bytes for all
 */
export function createBodyBudget(most: number, together: number): BodyBudget {
  const readings = new Map<IncomingMessage, Reading>()
  let held = 0

  function release(request: IncomingMessage): void {
    held -= readings.get(request)?.held ?? 0
    readings.delete(request)
  }

  /** Refuses the largest. One is enough: it has at least as much as the one that has just grown. */
  function makeRoom(): void {
    let largest: Reading | undefined
    for (const reading of readings.values()) if (reading.refuse && reading.held > (largest?.held ?? 0)) largest = reading
    largest?.refuse?.('no room')
  }

  return {
    release,
    get held() { return held },
    read: (request) => new Promise((resolve, reject) => {
      if (Number(request.headers['content-length'] ?? 0) > most) return resolve({ problem: 'too large' })
      let chunks: Buffer[] = []
      let bytes = 0
      const reading: Reading = {
        held: 0,
        refuse(problem) {
          reading.refuse = undefined
          chunks = []
          release(request)
          request.removeAllListeners('data').pause()
          resolve({ problem })
        },
      }
      readings.set(request, reading)
      request.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > most) return reading.refuse!('too large')
        chunks.push(chunk)
        reading.held += chunk.length + CHUNK_COST
        held += chunk.length + CHUNK_COST
        if (held > together) makeRoom()
      })
      request.once('end', () => {
        reading.refuse = undefined
        resolve({ body: Buffer.concat(chunks).toString('utf8') })
        chunks = []
      })
      request.once('close', () => { reject(new Error('the client went away')) })
    }),
  }
}
