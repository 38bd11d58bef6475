/** What a pod pays in memory: each figure from a fresh process, read when it has had time to settle; several times over. */
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { family } from './cpu.ts'
import { load } from './load.ts'
import { startPeer, stop, type Peer, type Running } from './peers/peers.ts'
import { firstGood } from './start.ts'

/** MiB of the whole family. */
export interface Memory { readonly anon: number, readonly rss: number }

const SETTLE_MS = 2_000
const IDLE_CONNECTIONS = 1_000

/** What is done to a process before its memory is read, by name. The function returned undoes it. */
export const KINDS: Readonly<Record<string, (running: Running, token: string) => Promise<() => void>>> = {
  'idle': () => Promise.resolve(() => {}),
  'after 1,000 tokens': async ({ pid, peer }) => {
    await load(pid, peer.port, { tokens: 'tokens-thousand.txt', path: '/' }, 2)
    return () => {}
  },
  'after bodies': async ({ pid, peer }) => {
    await load(pid, peer.port, { tokens: 'tokens-one.txt', path: '/body/64k.bin' }, 2)
    await load(pid, peer.port, { tokens: 'tokens-one.txt', path: '/sink', post: 1 << 20 }, 2)
    return () => {}
  },
  '1,000 idle connections': async ({ peer }, token) => {
    const sockets: net.Socket[] = []
    while (sockets.length < IDLE_CONNECTIONS) sockets.push(...await Promise.all(Array.from({ length: 50 }, () => hold(peer.port, token))))
    return () => { for (const socket of sockets) socket.destroy() }
  },
}

/** By the name of the kind: one for each repeat. */
export type Footprint = Record<string, Memory[]>

/** Anonymous and resident memory of a process and its children. */
export function memoryOf(pid: number): Memory {
  const sum = (field: string): number => family(pid).reduce((total, each) => {
    const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${each}/smaps_rollup`, 'latin1'))
    return total + Number(found?.[1] ?? 0) / 1024
  }, 0)
  return { anon: sum('Anonymous'), rss: sum('Rss') }
}

/** A connection that has had one answer and stays open. */
async function hold(port: number, token: string): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(`GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n\r\n`)
  await once(socket, 'data')
  return socket
}

/** All peers at once, of one kind: while one settles the next is loaded. */
async function round(peers: readonly Peer[], kind: keyof typeof KINDS, token: string, take: (peer: Peer, found: Memory) => void): Promise<void> {
  const running: Running[] = []
  const settling: Promise<void>[] = []
  try {
    for (const peer of peers) {
      const each = await startPeer(peer)
      running.push(each)
      await firstGood(each, token)
      const undo = await KINDS[kind]!(each, token)
      settling.push(sleep(SETTLE_MS).then(() => { take(peer, memoryOf(each.pid)); undo() }))
    }
    await Promise.all(settling)
  } finally {
    for (const { child } of running) await stop(child)
  }
}

/** @returns by the peer's name */
export async function measureMemory(peers: readonly Peer[], token: string, repeats: number): Promise<Record<string, Footprint>> {
  const found: Record<string, Footprint> = Object.fromEntries(peers.map(({ name }) => [name, {}]))
  for (let at = 0; at < repeats; at++) {
    for (const kind of Object.keys(KINDS)) await round(peers, kind, token, ({ name }, memory) => { (found[name]![kind] ??= []).push(memory) })
  }
  return found
}
