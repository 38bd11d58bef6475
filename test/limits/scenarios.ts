/** What strangers and bad days may ask of a sidecar under a memory limit. Each runs against a fresh one; what is too much for it must be refused, never kill it. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { dial, dialAll, head, mutes, saturate, type Statuses } from './clients.ts'
import type { Stage } from './rig.ts'

export interface Scenario {
  readonly name: string
  /** What its configuration has beside listeners and issuers. */
  readonly config?: (directory: string) => object
  /** Files that must be there at the start. */
  readonly prepare?: (write: Stage['write']) => void
  /** MiB that its own configuration needs: what clients do has to fit into less. */
  readonly least?: number
  /** Nobody reads the log. */
  readonly unreadLog?: boolean
  /** Only in the bench: the others find what it would find. */
  readonly long?: boolean
  /** @returns one clause about its clients; `wrong` is told what must not be */
  readonly run: (stage: Stage, wrong: (what: string) => void) => Promise<string>
}

const SECONDS = 1.5
const said = (statuses: Statuses): string => Object.entries(statuses).map(([status, count]) => `${count} x ${status === '0' ? 'broken' : status}`).join(', ')

/** Nothing but these statuses. */
function only(statuses: Statuses, allowed: readonly number[], wrong: (what: string) => void): string {
  for (const [status, count] of Object.entries(statuses)) if (!allowed.includes(Number(status))) wrong(`${count} answers ${status === '0' ? 'broke' : `were ${status}`}`)
  if (Object.keys(statuses).length === 0) wrong('nobody was answered')
  return said(statuses)
}

const close = (sockets: readonly Socket[]): void => { for (const socket of sockets) socket.destroy() }
const alive = (sockets: readonly Socket[]): number => sockets.filter(({ destroyed }) => !destroyed).length

/** Uploads at once, each of its own token's user; answers by status. */
async function uploads(stage: Stage, path: string, mebibytes: number, count: number): Promise<Statuses> {
  const block = Buffer.alloc(65_536, 'x')
  const statuses: Statuses = {}
  await Promise.all(Array.from({ length: count }, async () => {
    const caller = await dial(stage.port)
    const answer = caller.ask(head(`POST ${path}`, stage.token, [`Content-Length: ${mebibytes << 20}`]))
    for (let left = mebibytes * 16; left > 0 && !caller.socket.destroyed; left--) {
      if (!caller.socket.write(block)) await Promise.race([once(caller.socket, 'drain'), answer])
    }
    const status = await answer
    statuses[status] = (statuses[status] ?? 0) + 1
    caller.socket.destroy()
  }))
  return statuses
}

/** Heads that never end, of nearly the size that is allowed. */
const endless = (size: number): string => `GET / HTTP/1.1\r\nHost: orders.internal\r\n${Array.from({ length: 30 }, (_, at) => `X-Field-${at}: ${'x'.repeat(Math.floor(size / 30) - 16)}\r\n`).join('')}`
/** A head of nearly the size that is allowed, whole. */
const large = (stage: Stage, path = '/', size = 30_000): string => head(`GET ${path}`, stage.token, Array.from({ length: 150 }, (_, at) => `X-Field-${at}: ${'x'.repeat(Math.floor(size / 150) - 16)}`))

const LIST = JSON.stringify({ jti: Array.from({ length: 100_000 }, (_, at) => `revoked-${at}-0f8fad5b-d9cb-469f-a165-70867728950e`) })

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'warm, 32 connections', long: true,
    run: async (stage, wrong) => only(await saturate(stage.port, 32, SECONDS * stage.scale, () => head('GET /', stage.token)), [200], wrong),
  },
  {
    name: 'a new token each', long: true,
    run: async (stage, wrong) => only(await saturate(stage.port, 32, SECONDS * 2 * stage.scale, () => head('GET /', stage.mint())), [200], wrong),
  },
  {
    name: 'a new token of 8 KiB each',
    run: async (stage, wrong) => only(await saturate(stage.port, 32, SECONDS * 2 * stage.scale, () => head('GET /', stage.mint(8_000))), [200], wrong),
  },
  {
    name: 'a bad token each', long: true,
    run: async (stage, wrong) => only(await saturate(stage.port, 32, SECONDS * stage.scale, () => head('GET /', stage.forge())), [401], wrong),
  },
  {
    name: 'a bad token each, nobody reads the log', unreadLog: true, config: () => ({ log: { allowed: 1 } }),
    run: async (stage, wrong) => only(await saturate(stage.port, 32, SECONDS * 2 * stage.scale, () => head(`GET /${'long/'.repeat(60)}`, stage.forge())), [401], wrong),
  },
  {
    name: '2,000 idle connections',
    run: async (stage, wrong) => {
      const callers = await dialAll(stage.port, 2_000)
      const statuses: Statuses = {}
      for (const caller of callers) {
        const status = await caller.ask(head('GET /', stage.token))
        statuses[status] = (statuses[status] ?? 0) + 1
      }
      await sleep(300)
      close(callers.map(({ socket }) => socket))
      return only(statuses, [200], wrong)
    },
  },
  {
    name: '1,500 idle connections whose last head had 30 KiB',
    run: async (stage, wrong) => {
      const callers = await dialAll(stage.port, 1_500)
      const statuses: Statuses = {}
      const fields = [...Array.from({ length: 30 }, (_, at) => `X-Field-${at}: ${'x'.repeat(980)}`), 'Keep-Alive: abcdefghijklmnopqrstuvwxyz', 'Connection: Keep-Alive-And-Something-Longer']
      for (const caller of callers) {
        const status = await caller.ask(head('GET /', undefined, fields))
        statuses[status] = (statuses[status] ?? 0) + 1
      }
      close(callers.map(({ socket }) => socket))
      return only(statuses, [401], wrong)
    },
  },
  {
    name: '1,000 idle connections whose last body had a trailer behind 60 KiB',
    run: async (stage, wrong) => {
      const callers = await dialAll(stage.port, 1_000)
      const statuses: Statuses = {}
      const body = `f000\r\n${'x'.repeat(0xf000)}\r\n0\r\nX-Trailer: ${'y'.repeat(50)}\r\n\r\n`
      for (const caller of callers) {
        const status = await caller.ask(head('POST /sink', stage.token, ['Transfer-Encoding: chunked']) + body)
        statuses[status] = (statuses[status] ?? 0) + 1
      }
      close(callers.map(({ socket }) => socket))
      return only(statuses, [200], wrong)
    },
  },
  {
    name: '1,000 active connections',
    run: async (stage, wrong) => only(await saturate(stage.port, 1_000, SECONDS * 2 * stage.scale, () => head('GET /', stage.token)), [200], wrong),
  },
  {
    name: '32 uploads, the app reads', long: true,
    run: async (stage, wrong) => only(await uploads(stage, '/sink', stage.scale > 1 ? 64 : 8, 32), [200], wrong),
  },
  {
    name: '32 uploads, the app reads slowly', long: true,
    run: async (stage, wrong) => only(await uploads(stage, '/slow', stage.scale > 1 ? 8 : 1, 32), [200], wrong),
  },
  {
    name: '200 uploads, the app does not read', long: true,
    run: async (stage) => {
      const sockets = await mutes(stage.port, 200, () => Buffer.concat([Buffer.from(head('POST /slow', stage.token, [`Content-Length: ${10 << 20}`])), Buffer.alloc(4 << 20)]))
      await sleep(1_000)
      close(sockets)
      return `${alive(sockets)} alive`
    },
  },
  {
    name: '200 readers of 10 MiB that do not read', long: true,
    run: async (stage) => {
      const sockets = await mutes(stage.port, 200, () => head('GET /bytes/10485760', stage.token))
      await sleep(2_000)
      const still = alive(sockets)
      close(sockets)
      return `${still} still connected`
    },
  },
  {
    name: '1,000 readers of 10 MiB that do not read',
    run: async (stage) => {
      const sockets = await mutes(stage.port, 1_000, () => head('GET /bytes/10485760', stage.token))
      await sleep(3_000)
      const still = alive(sockets)
      close(sockets)
      return `${still} still connected`
    },
  },
  {
    name: '1,000 heads of 30 KiB that never end', long: true,
    run: async (stage) => {
      const sockets = await mutes(stage.port, 1_000, () => endless(30_000))
      await sleep(1_000)
      const still = alive(sockets)
      close(sockets)
      return `${still} still connected`
    },
  },
  {
    name: '1,000 requests of 30 KiB, the app does not answer',
    run: async (stage) => {
      const sockets = await mutes(stage.port, 1_000, () => large(stage, '/hang'))
      await sleep(1_500)
      const still = alive(sockets)
      close(sockets)
      return `${still} still connected`
    },
  },
  {
    name: '1,000 connections that send 64 KiB ahead',
    run: async (stage) => {
      const ahead = Buffer.from(head('GET /hang', stage.token) + head('GET /', stage.token).repeat(80))
      const sockets = await mutes(stage.port, 1_000, () => ahead)
      await sleep(1_500)
      const still = alive(sockets)
      close(sockets)
      return `${still} still connected`
    },
  },
  {
    name: 'chunks of one byte, both ways',
    run: async (stage, wrong) => {
      const body = `${'1\r\nx\r\n'.repeat(20_000)}0\r\n\r\n`
      const up = saturate(stage.port, 16, SECONDS * stage.scale, () => head('POST /sink', stage.token, ['Transfer-Encoding: chunked']) + body)
      const sockets = await mutes(stage.port, 50, () => head('GET /chunks/1000000', stage.token))
      const answers = only(await up, [200], wrong)
      close(sockets)
      return answers
    },
  },
  {
    name: 'heads of 30 KiB and of 64 KiB',
    run: async (stage, wrong) => {
      const [fits, tooLarge] = [large(stage), large(stage, '/', 64_000)]
      return only(await saturate(stage.port, 64, SECONDS * 2 * stage.scale, (n) => n % 4 === 3 ? tooLarge : fits), [200, 431], wrong)
    },
  },
  {
    name: 'answers with heads of 60 KiB', long: true,
    run: async (stage, wrong) => only(await saturate(stage.port, 64, SECONDS * stage.scale, () => head('GET /head/60000', stage.token)), [200], wrong),
  },
  {
    name: 'a deny-list of 100,000 replaced each second, under load', least: 96, prepare: (write) => { write('deny.json', LIST) }, config: (directory) => ({ denylist: { file: `${directory}/deny.json` } }),
    run: async (stage, wrong) => {
      let n = 0
      const timer = setInterval(() => { stage.write('deny.json', LIST.replace('revoked-7-', `other-${n++}-`)) }, 1_000)
      try {
        return only(await saturate(stage.port, 32, 4 * stage.scale, () => head('GET /', stage.token)), [200], wrong)
      } finally {
        clearInterval(timer)
      }
    },
  },
]
