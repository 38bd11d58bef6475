/** The engine as a {@link StartTransport}: HTTP/1.1 in and out on node:net. ARCHITECTURE.md draws its state machine. */
import net from 'node:net'
import { once } from 'node:events'
import type { Address, Handler, Listener, StartTransport, Transport, TransportLimits } from '../contract.ts'
import { formatAddress } from '../../config/values.ts'
import { Client } from './client.ts'
import { Core, type Port } from './core.ts'
import { replyText } from './head.ts'
import { ledger } from './ledger.ts'
import { loadLlhttp } from './llhttp.ts'
import { sendAll } from './outbox.ts'
import { refuse } from './refuse.ts'

const BACKLOG = 1_024
/** So many connections a listener takes however short memory is: the kubelet's and Prometheus' must get through a flood at another listener. */
const ALWAYS = 16

export const startEngine: StartTransport = async (listeners, handler, limits) => {
  loadLlhttp()
  const core = new Core(handler, limits)
  const servers: net.Server[] = []
  const ports: Port[] = []
  try {
    for (const listener of listeners) {
      const port: Port = { core, listener, pool: core.pool(listener.upstream), clients: new Set() }
      servers.push(await listen(listener, (socket) => accept(port, socket)))
      ports.push(port)
    }
  } catch (error) {
    for (const server of servers) server.close()
    core.close()
    throw error
  }
  return transport(core, servers, ports)
}

async function listen(listener: Listener, onConnection: (socket: net.Socket) => void): Promise<net.Server> {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 }, onConnection)
  bind(server, listener.bind)
  try {
    await once(server, 'listening')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const address = formatAddress(listener.bind)
    throw Object.assign(new Error(`cannot listen on ${address}: ${(error as Error).message}`, { cause: error }), { code, address })
  }
  // Accepting can fail later (out of file descriptors): those connections are lost, the listener is not.
  server.on('error', () => {})
  return server
}

/**
 * Binds without what `listen` loads first: node:dns, to look up what is an address already, and node:cluster with node:child_process and node:dgram, a tenth
 * of a start. `_listen2` is what `listen` calls in the end, with the same events; it is not documented, so where it is missing, or for a name, `listen` it is.
 */
function bind(server: net.Server, { host, port }: Address): void {
  const family = net.isIPv4(host) ? 4 : host.includes(':') ? 6 : undefined
  const { _listen2: direct } = server as { _listen2?: (host: string, port: number, family: number, backlog: number, fd: undefined, flags: number) => void }
  if (direct !== undefined && family !== undefined) direct.call(server, host, port, family, BACKLOG, undefined, 0)
  else server.listen({ host, port, backlog: BACKLOG })
}

function accept(port: Port, socket: net.Socket): void {
  const { core, clients } = port
  core.now()
  if (clients.size < core.limits.connections && (clients.size < ALWAYS || ledger.makeRoom())) clients.add(new Client(port, socket))
  else {
    socket.on('error', () => {})
    socket.end(replyText(refuse(core.handler, 'overloaded', undefined, undefined, socket.remoteAddress ?? ''), 'GET', true), 'latin1', () => socket.destroy())
  }
}

function transport(core: Core, servers: readonly net.Server[], ports: readonly Port[]): Transport {
  const everyone = function* () { for (const { clients } of ports) yield* clients }
  let closing: Promise<void> | undefined

  const close = async (delayMs: number, graceMs: number): Promise<void> => {
    core.draining = true
    if (delayMs > 0) await sleep(delayMs)
    for (const server of servers) server.close()
    const end = core.now() + graceMs
    for (const client of everyone()) if (client.idle) client.leave()
    while (core.now() < end && !everyone().next().done) await sleep(Math.min(10, end - core.now()))
    // A reset where something is unfinished: nobody is to take a part for the whole.
    for (const client of everyone()) if (client.idle && client.link.unsent === 0) client.link.destroy(); else client.break()
    core.close()
    while (!everyone().next().done || core.open > 0) await sleep(1)
    sendAll()
  }

  return {
    bound: servers.map((server): Address => {
      const { address, port } = server.address() as net.AddressInfo
      return { host: address, port }
    }),
    use(handler: Handler, limits: TransportLimits) {
      core.handler = handler
      core.limits = limits
    },
    close: (delayMs, graceMs) => closing ??= close(delayMs, graceMs),
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })
