/** A bound on a server's connections that strangers cannot use to keep others out: for a new one, the one that does least goes. */
import type { Server, Socket } from 'node:net'

/** From what goes first to what goes last; `answering` stays. */
const STAGES = ['silent', 'idle', 'sending', 'answering'] as const

/** What a connection does: no request yet, none any more, a request on its way here, a complete one. */
export type Stage = (typeof STAGES)[number]

export interface ConnectionCap {
  /** Says what a connection does from now on. */
  enter(socket: Socket, stage: Stage): void
  readonly size: number
}

// A TLS socket and the TCP socket below it are two objects with one peer.
const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`

/**
 * Bounds a server's connections.
 * @param server of TCP, or of something above it
 * @param most how many
 */
export function capConnections(server: Server, most: number): ConnectionCap {
  const stages = Object.fromEntries(STAGES.map((stage) => [stage, new Map<string, Socket>()])) as Record<Stage, Map<string, Socket>>
  const size = () => STAGES.reduce((sum, stage) => sum + stages[stage].size, 0)
  const holder = (peer: string) => STAGES.find((stage) => stages[stage].has(peer))

  /** The one that has been longest in the lowest stage. */
  function victim(): Socket | undefined {
    for (const stage of STAGES) {
      if (stage !== 'answering' && stages[stage].size > 0) return stages[stage].values().next().value
    }
    return undefined
  }

  function forget(peer: string): void {
    for (const stage of STAGES) stages[stage].delete(peer)
  }

  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket)
    if (size() >= most) {
      const goes = victim() ?? socket
      forget(peerOf(goes))
      goes.destroy()
    }
    if (socket.destroyed) return
    stages.silent.set(peer, socket)
    socket.once('close', () => { if (holder(peer) !== undefined && stages[holder(peer)!].get(peer) === socket) forget(peer) })
  })

  return {
    enter(socket, stage) {
      const peer = peerOf(socket)
      const from = holder(peer)
      if (from === undefined || from === stage) return
      const connection = stages[from].get(peer)!
      stages[from].delete(peer)
      stages[stage].set(peer, connection)
    },
    get size() { return size() },
  }
}
