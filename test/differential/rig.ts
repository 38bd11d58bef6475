/**
 * A transport before an app double, and what of a client's bytes comes through: the requests that the app got whole, the heads that were decided,
 * the statuses of the answers. One message at a time goes through a rig, so that everything seen belongs to it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { reply, startApp, type App } from '../helpers/app.ts'
import { connect } from '../helpers/raw.ts'
import { startProxy, type Proxy } from '../helpers/transports.ts'
import type { StartTransport } from '../../src/http/contract.ts'

/** What came of one message. Two transports did the same with it when these are equal. */
export interface Observed {
  /** Requests that arrived at the app whole: method, target, headers, body; as one string each. */
  readonly requests: readonly string[]
  /** Names of the trailers that the app got. */
  readonly trailers: readonly string[]
  /** Heads that were handed to the pipeline, in order. */
  readonly decided: readonly string[]
  /** Statuses of the answers, 1xx ones included. */
  readonly statuses: readonly number[]
  /** The proxy closed the connection. */
  readonly closed: boolean
  /** The message was read to its end, and what came behind it was answered. */
  readonly fenced: boolean
  /** What the app could not read as a request. */
  readonly anomalies: readonly string[]
}

export interface Rig {
  /** @param patience how long it may keep the connection waiting before it counts as incomplete, milliseconds */
  observe(pieces: readonly Uint8Array[], patience?: number): Promise<Observed>
  close(): Promise<void>
}

/** Sent behind every message: once it is answered, the message was read to its end, and nothing of it is left over. */
export const FENCE = Buffer.from('GET /fence HTTP/1.1\r\nHost: fence\r\n\r\n')
const FENCE_ANSWER = 'the fence answers'
const PATIENCE = 100

export async function startRig(start: StartTransport): Promise<Rig> {
  const app = await startApp(async (request, connection) => {
    const { content } = await request.body
    await connection.write(reply(200, [], request.target === '/fence' ? FENCE_ANSWER : request.method === 'HEAD' ? '' : content))
  })
  const proxy = await startProxy(start, app.address, { limits: { upstreamConnections: 8 } })
  // The first request compiles everything; it must not count as slow.
  await observe(app, proxy, [Buffer.from('GET /first HTTP/1.1\r\nHost: app\r\n\r\n')], 5_000)
  return {
    observe: (pieces, patience = PATIENCE) => observe(app, proxy, pieces, patience),
    close: async () => { await proxy.close(); await app.close() },
  }
}

async function observe(app: App, proxy: Proxy, pieces: readonly Uint8Array[], patience: number): Promise<Observed> {
  app.clear()
  proxy.seen.decided.length = proxy.seen.finished.length = 0
  const client = await connect(proxy.address)
  await client.send(...pieces, FENCE)
  const done = (): boolean => client.ending() !== 'open' || client.received().includes(FENCE_ANSWER)
  await client.until(done, patience).catch(() => {})
  const closed = client.ending() !== 'open'
  const statuses = Array.from(client.received().toString('latin1').matchAll(/HTTP\/1\.1 (\d{3}) /g), (match) => Number(match[1]))
  client.destroy()
  // Nothing of this message may be seen in the next.
  await proxy.finished(proxy.seen.decided.length)
  const requests: string[] = []
  const trailers: string[] = []
  for (const request of app.requests) {
    const body = await Promise.race([request.body.catch(() => undefined), sleep(200)])
    if (!body || request.target === '/fence') continue
    requests.push(line([request.method, request.target, comparable(request.headers, `127.0.0.1:${app.address.port}`), body.content.toString('latin1')]))
    trailers.push(...body.trailers.filter((_, at) => at % 2 === 0))
  }
  const decided = proxy.seen.decided.filter((head) => head.target !== '/fence').map((head) => line([head.method, head.target, head.version, head.headers]))
  return { requests, trailers, decided, statuses, closed, fenced: client.received().includes(FENCE_ANSWER), anomalies: [...app.anomalies] }
}

/**
 * Both say the body's length in their own way, and both are held to it by the app double's strict reading. undici writes `host` in its own spelling and
 * in the first place, and where there is none it writes one of its own; the pipeline refuses such requests (bad_host).
 */
function comparable(headers: readonly string[], own: string): string[] {
  const pairs = headers.flatMap((name, at) => at % 2 === 1 || isFraming(name) ? [] : [[/^host$/i.test(name) ? 'Host' : name, headers[at + 1]!]])
  return [...pairs.filter(([name, value]) => name === 'Host' && value !== own), ...pairs.filter(([name]) => name !== 'Host')].flat()
}

const isFraming = (name: string): boolean => /^(content-length|transfer-encoding|connection|keep-alive)$/i.test(name)

const line = (parts: unknown): string => JSON.stringify(parts)
