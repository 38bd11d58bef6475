/** Memory and start, each in a fresh process: what a pod pays for whether or not anybody asks. */
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { family, load, type Row } from './load.ts'
import { startPeer, stop, type Peer } from './peers/peers.ts'
import { WORK } from './workspace.ts'

/** MiB of the whole family. */
export interface Memory { readonly anon: number, readonly rss: number }

export interface Footprint {
  readonly idle: Memory
  readonly tokens: Memory
  readonly bodies: Memory
  readonly connections: Memory
  /** Milliseconds from the start of the process to the first 200. */
  readonly start: number
}

function memory(pid: number): Memory {
  const sum = (field: string): number => family(pid).reduce((total, each) => {
    const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${each}/smaps_rollup`, 'latin1'))
    return total + Number(found?.[1] ?? 0) / 1024
  }, 0)
  return { anon: sum('Anonymous'), rss: sum('Rss') }
}

const THOUSAND: Row = { name: '', tokens: 'tokens-thousand.txt', path: '/' }
const BODIES: readonly Row[] = [{ name: '', tokens: 'tokens-one.txt', path: '/body/64k.bin' }, { name: '', tokens: 'tokens-one.txt', path: '/sink', post: 1 << 20 }]

/** Runs a peer from its start through all of it. */
export async function footprint(peer: Peer, token: string): Promise<Footprint> {
  const begin = performance.now()
  const { child, pid } = await startPeer(peer)
  while (!await answers(peer.port, token)) await sleep(2)
  const start = performance.now() - begin
  await sleep(3_000)
  const idle = memory(pid)
  await load(pid, peer.port, THOUSAND, 3)
  await sleep(1_500)
  const tokens = memory(pid)
  for (const row of BODIES) await load(pid, peer.port, row, 3)
  await sleep(1_500)
  const bodies = memory(pid)
  await stop(child)
  return { idle, tokens, bodies, connections: await withConnections(peer, token), start }
}

async function withConnections(peer: Peer, token: string): Promise<Memory> {
  const { child, pid } = await startPeer(peer)
  while (!await answers(peer.port, token)) await sleep(2)
  const sockets: net.Socket[] = []
  while (sockets.length < 1_000) sockets.push(...await Promise.all(Array.from({ length: 50 }, () => hold(peer.port, token))))
  await sleep(2_000)
  const found = memory(pid)
  for (const socket of sockets) socket.destroy()
  await stop(child)
  return found
}

const requestText = (token: string): string => `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n\r\n`

async function answers(port: number, token: string): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    socket.write(requestText(token))
    const [chunk] = await once(socket, 'data') as [Buffer]
    return chunk.toString('latin1', 9, 12) === '200'
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** A connection that has had one answer and stays open. */
async function hold(port: number, token: string): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(requestText(token))
  await once(socket, 'data')
  return socket
}

/** The one token of the warm rows. */
export const oneToken = (): string => readFileSync(`${WORK}tokens-one.txt`, 'latin1').trim()
