/** Clients by the thousand: as little as it takes to ask, to read a status, and to not read. */
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** Answers by status; 0: the connection broke. */
export type Statuses = Record<number, number>

export const head = (line: string, token: string | undefined, fields: readonly string[] = []): string =>
  [`${line} HTTP/1.1`, 'Host: orders.internal', ...token === undefined ? [] : [`Authorization: Bearer ${token}`], ...fields, '', ''].join('\r\n')

/** A connection of one client. */
export interface Caller {
  readonly socket: net.Socket
  /** Sends bytes; resolves with the status of the answer when all of it is there, 0 when the connection breaks. */
  ask(message: string | Buffer): Promise<number>
}

/** Connects; rejects when that fails. */
export async function dial(port: number): Promise<Caller> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
  let text = ''
  let answered: (status: number) => void = () => {}
  await new Promise((resolve, reject) => { socket.once('connect', resolve).once('error', reject) })
  socket.on('error', () => {}).on('close', () => { answered(0) })
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    const end = text.indexOf('\r\n\r\n')
    if (end < 0) return
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, end + 2))?.[1] ?? 0)
    if (text.length < end + 4 + length) return
    const status = Number(text.slice(9, 12))
    text = text.slice(end + 4 + length)
    answered(status)
  })
  return {
    socket,
    ask: (message) => new Promise((resolve) => {
      answered = resolve
      if (socket.destroyed) resolve(0)
      else socket.write(message)
    }),
  }
}

/** Connects many, some at a time. */
export async function dialAll(port: number, count: number): Promise<Caller[]> {
  const callers: Caller[] = []
  while (callers.length < count) callers.push(...await Promise.all(Array.from({ length: Math.min(50, count - callers.length) }, () => dial(port))))
  return callers
}

/** Connects one that never reads, and sends. Never rejects. */
export async function mute(port: number, message: string | Buffer): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
  socket.pause().on('error', () => {})
  await new Promise((resolve) => { socket.once('connect', resolve).once('close', resolve) })
  socket.write(message)
  return socket
}

/** Many of {@link mute}. */
export async function mutes(port: number, count: number, message: (at: number) => string | Buffer): Promise<net.Socket[]> {
  const sockets: net.Socket[] = []
  while (sockets.length < count) sockets.push(...await Promise.all(Array.from({ length: Math.min(50, count - sockets.length) }, (_, at) => mute(port, message(sockets.length + at)))))
  return sockets
}

/**
 * Asks as fast as answers come.
 * @param next makes the nth request
 * @returns the answers, by status
 */
export async function saturate(port: number, connections: number, seconds: number, next: (n: number) => string | Buffer): Promise<Statuses> {
  const statuses: Statuses = {}
  const end = performance.now() + seconds * 1_000
  let n = 0
  async function client(): Promise<void> {
    let caller = await dial(port)
    while (performance.now() < end) {
      const status = await caller.ask(next(n++))
      statuses[status] = (statuses[status] ?? 0) + 1
      if (caller.socket.destroyed || status === 0 || status === 431 || status === 408) {
        caller.socket.destroy()
        caller = await dial(port)
      }
    }
    caller.socket.destroy()
  }
  await Promise.all(Array.from({ length: connections }, client))
  return statuses
}

/** One request over a connection of its own: does a good client pass? Tries for a while: the flood may just have ended. */
export async function passes(port: number, token: string, patienceMs = 5_000): Promise<boolean> {
  for (const end = Date.now() + patienceMs; Date.now() < end; await sleep(50)) {
    const caller = await dial(port).catch(() => undefined)
    const status = await Promise.race([caller?.ask(head('GET /', token)), sleep(2_000)])
    caller?.socket.destroy()
    if (status === 200) return true
  }
  return false
}
