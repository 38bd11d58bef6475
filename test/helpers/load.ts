/** A bounded, steady load on keep-alive connections, and a count of every answer: for what must hold while things change. */
import { connect, request } from './raw.ts'
import type { Address } from '../../src/http/contract.ts'

export interface LoadRequest {
  readonly line: string
  readonly fields: readonly string[]
}

export interface Load {
  /** Answers so far, by what `classify` made of them. */
  readonly counts: Readonly<Record<string, number>>
  /** Stops after the requests under way. @throws when any connection failed */
  stop(): Promise<void>
}

/**
 * Starts a load.
 * @param next makes the nth request
 * @param classify a word for the answer to the nth request; sees status and body
 * @param connections how many clients, each with one request at a time
 */
export function startLoad(address: Address, next: (n: number) => LoadRequest, classify: (n: number, status: number, body: string) => string, connections = 4): Load {
  const counts: Record<string, number> = {}
  const state = { running: true }
  let n = 0

  async function client(): Promise<void> {
    let connection = await connect(address)
    while (state.running) {
      const mine = n++
      const { line, fields } = next(mine)
      await connection.send(request(line, fields))
      const response = await connection.next()
      const word = classify(mine, response.status, response.text)
      counts[word] = (counts[word] ?? 0) + 1
      if (response.header('Connection') === 'close') {
        connection.destroy()
        connection = await connect(address)
      }
    }
    connection.destroy()
  }

  const clients = Promise.all(Array.from({ length: connections }, client))
  clients.catch(() => { state.running = false })
  return {
    counts,
    async stop() {
      state.running = false
      await clients
    },
  }
}
