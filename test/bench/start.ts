/** How long a pod waits for its sidecar: from the start of the process to the first 200 for a good token. */
import net from 'node:net'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { mustBeFree, spawnPeer, stop, type Peer, type Running } from './peers/peers.ts'

const LIMIT_MS = 15_000

async function answers(port: number, token: string, path: string): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1')
  socket.setTimeout(2_000, () => socket.destroy(new Error('no answer')))
  try {
    await once(socket, 'connect')
    socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n\r\n`)
    const [chunk] = await once(socket, 'data') as [Buffer]
    return chunk.toString('latin1', 9, 12) === '200'
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** Asks until a good token is let in. */
export async function firstGood({ peer, child }: Pick<Running, 'peer' | 'child'>, token: string, path = '/'): Promise<void> {
  for (const deadline = Date.now() + LIMIT_MS; !await answers(peer.port, token, path); await sleep(1)) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${peer.name} never answers 200 to a good token; see .bench/log`)
  }
}

/** Milliseconds from the start of a process to its first 200 for a good token; it is stopped then. */
export async function startOnce(peer: Peer, token: string): Promise<number> {
  await mustBeFree(peer.port)
  const begin = performance.now()
  const child = spawnPeer(peer)
  try {
    await firstGood({ peer, child }, token)
    return performance.now() - begin
  } finally {
    await stop(child)
  }
}

/** Milliseconds by the peer's name, all in turn; what the first start of each reads from disk is not counted. */
export async function measureStarts(peers: readonly Peer[], token: string, repeats: number): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {}
  for (const peer of peers) await startOnce(peer, token)
  for (let at = 0; at < repeats; at++) {
    for (const peer of peers) (found[peer.name] ??= []).push(await startOnce(peer, token))
  }
  return found
}
