/**
 * The first transport: Node's HTTP/1.1 server towards clients, undici's dispatch towards the app. Strict parsing always; one timer looks after the time of
 * every exchange.
 */
import type http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Address, Listener, StartTransport, Transport, TransportLimits } from '../../../src/http/contract.ts'
import { AppPool } from './app-pool.ts'
import { upgradeOf } from './check-head.ts'
import { Connection } from './connection.ts'
import type { Context } from './context.ts'
import { Exchange } from './exchange.ts'
import { clientErrorReason } from './client-error.ts'
import { builtin } from '../../../src/lib/builtin.ts'

// Not by `import`: see lib/builtin.ts.
const { createServer, ServerResponse } = builtin('node:http')

/** Waiting to be accepted; the kernel caps it (somaxconn). */
const BACKLOG = 4096

/** See {@link StartTransport}. */
export const startTransport: StartTransport = async (listeners, handler, limits) => {
  const pools = new Map<string, AppPool>()
  const context: Context = {
    handler, limits, draining: false, live: new Set(), now: () => performance.now(),
    poolOf: (listener, upstream) => {
      const key = `${listeners.indexOf(listener)} ${upstream.host} ${upstream.port}`
      let pool = pools.get(key)
      if (pool === undefined) pools.set(key, pool = new AppPool(upstream, () => context.limits))
      return pool
    },
  }
  const ports = listeners.map((listener) => openPort(context, listener))
  try {
    for (const port of ports) await port.listen()
  } catch (error) {
    for (const { server } of ports) if (server.listening) server.close()
    throw error
  }
  const sweep = setInterval(() => {
    const now = context.now()
    for (const exchange of context.live) exchange.tick(now)
    if (context.draining) for (const { server } of ports) if (!server.listening) server.closeIdleConnections()
  }, intervalFor(limits.idleTimeout, limits.upstreamTimeout))

  let closing: Promise<void> | undefined
  const transport: Transport = {
    bound: ports.map(({ server }) => boundTo(server)),
    use(next, nextLimits) {
      context.handler = next
      context.limits = nextLimits
      for (const { server } of ports) applyLimits(server, nextLimits)
    },
    close(delayMs, graceMs) {
      return closing ??= drain(context, ports, delayMs, graceMs).finally(() => {
        clearInterval(sweep)
        for (const pool of pools.values()) pool.close()
      })
    },
  }
  return transport
}

interface Port {
  readonly server: http.Server
  readonly sockets: ReadonlySet<Socket>
  readonly listen: () => Promise<void>
}

function openPort(context: Context, listener: Listener): Port {
  const connections = new WeakMap<object, Connection>()
  const sockets = new Set<Socket>()
  const { limits } = context
  const server = createServer({
    httpValidation: 'strict', requireHostHeader: false, maxHeaderSize: limits.headerBytes, requestTimeout: 0, headersTimeout: limits.headerTimeout,
    keepAliveTimeout: limits.idleTimeout, connectionsCheckingInterval: intervalFor(limits.headerTimeout), optimizeEmptyRequests: true,
    // Only a lone, bodiless upgrade takes the connection out of HTTP; any other is served, or refused, as an ordinary request.
    shouldUpgradeCallback: (request) => {
      if (request.httpVersion !== '1.1' || connections.get(request.socket)?.idle !== true) return false
      const asked = upgradeOf(request.rawHeaders)
      return asked !== undefined && asked !== 'many' && !request.rawHeaders.some((name, i) => i % 2 === 0 && /^(content-length|transfer-encoding)$/i.test(name))
    },
  })
  // 0: no limit, so that none is dropped silently; the count is checked with the head (attack H11).
  server.maxHeadersCount = 0
  const take = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    const connection = connections.get(request.socket)!
    connection.add(new Exchange(context, connection, request, response))
  }
  const takeUpgrade = (request: http.IncomingMessage, stream: object, early: Buffer): void => {
    const socket = stream as Socket
    socket.on('error', () => {})
    const connection = connections.get(socket)
    if (connection === undefined || !connection.idle) { socket.destroy(); return }
    connection.add(new Exchange(context, connection, request, responseOn(socket, request), early))
  }
  server.on('request', take).on('checkContinue', take).on('checkExpectation', take).on('upgrade', takeUpgrade).on('connect', takeUpgrade)
  server.on('connection', (socket) => {
    const connection = new Connection(context, socket, listener)
    connections.set(socket, connection)
    sockets.add(socket)
    socket.once('close', () => { sockets.delete(socket) })
    if (sockets.size > context.limits.connections) connection.turnAway()
  })
  server.on('clientError', (error, stream) => {
    const socket = stream as Socket
    const reason = clientErrorReason(error, socket)
    if (reason === undefined) socket.destroy()
    else connections.get(socket)?.refuse(reason)
  })
  return { server, sockets, listen: () => listen(server, listener.bind) }
}

/** An answer on a socket that Node's server has given up; it is the connection's last. */
function responseOn(socket: Socket, request: http.IncomingMessage): http.ServerResponse {
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket)
  const onDrain = (): void => { response.emit('drain') }
  socket.on('drain', onDrain)
  response.on('finish', () => {
    socket.off('drain', onDrain)
    response.detachSocket(socket)
    response.emit('close')
    socket.destroySoon()
  })
  return response
}

function listen(server: http.Server, bind: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: bind.host, port: bind.port, backlog: BACKLOG }, () => { server.off('error', reject); resolve() })
  })
}

function boundTo(server: http.Server): Address {
  const { address, port } = server.address() as AddressInfo
  return { host: address, port }
}

function applyLimits(server: http.Server, limits: TransportLimits): void {
  Object.assign(server, { maxHeaderSize: limits.headerBytes, headersTimeout: limits.headerTimeout, keepAliveTimeout: limits.idleTimeout })
}

/** How often to look after the shortest of these times, and after watched exchanges. Milliseconds. */
function intervalFor(...timeouts: number[]): number {
  const shortest = Math.min(1000, ...timeouts.filter((timeout) => timeout > 0))
  return Math.max(20, shortest / 4)
}

async function drain(context: Context, ports: readonly Port[], delayMs: number, graceMs: number): Promise<void> {
  context.draining = true
  if (delayMs > 0) await sleep(delayMs)
  const closed = ports.map(({ server }) => new Promise<void>((resolve) => { server.close(() => { resolve() }) }))
  const all = Promise.all(closed)
  const grace = new AbortController()
  await Promise.race([all, sleep(graceMs, undefined, { signal: grace.signal }).catch(() => {})])
  grace.abort()
  for (const { sockets } of ports) for (const socket of sockets) socket.destroy()
  await all
}

