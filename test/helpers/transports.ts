/** The transports that every suite of the HTTP layer runs over, and a stand-in for the pipeline. */
import type { Forward, Handler, Listener, Outcome, Reply, RequestHead, StartTransport, Transport, TransportLimits, Verdict } from '../../src/http/contract.ts'
import { endToEnd, readUpgrade } from '../../src/http/hop-by-hop.ts'
import { startEngine } from '../../src/http/engine/start.ts'
import { startTransport } from '../reference/node/start-transport.ts'
import { createReplies } from '../../src/http/reply.ts'
import { isDenial, type Reason } from '../../src/telemetry/reason.ts'

/** Name -> transport. `for (const [name, start] of transports)`. */
export const transports: readonly (readonly [string, StartTransport])[] = [['node', startTransport], ['engine', startEngine]]

/** Generous limits with short times, for tests. */
export const LIMITS: TransportLimits = {
  headerBytes: 32_768, headerCount: 200, targetBytes: 8192, headerTimeout: 10_000, idleTimeout: 10_000, upstreamTimeout: 10_000, connectTimeout: 2000,
  connections: 10_000, upstreamConnections: 64,
}

/** What a test's stand-in for the pipeline saw. */
export interface Seen {
  readonly decided: RequestHead[]
  readonly refused: { readonly reason: Reason; readonly head: RequestHead | undefined; readonly verdict: Verdict | undefined }[]
  readonly finished: { readonly head: RequestHead; readonly verdict: Verdict; readonly outcome: Outcome }[]
}

export interface Proxy {
  readonly transport: Transport
  readonly address: { readonly host: string; readonly port: number }
  readonly seen: Seen
  /** Waits until `count` exchanges are finished. */
  finished(count: number, timeoutMs?: number): Promise<Seen['finished']>
  close(): Promise<void>
}

const replies = createReplies('')

/** Makes a reply by its reason. */
export function replyFor(reason: Reason): Reply { return replies(reason) }

/** The header that marks what passed the stand-in. Anything at the app without it was never decided. */
export const MARK = 'X-Decided'

/**
 * The stand-in's rule: a target that starts with `/deny` is 401; everything else goes on, with `X-Decided: <method> <target>`. It strips what the real
 * pipeline strips: hop-by-hop headers, and `X-User-Id` in any spelling.
 */
export function standIn(head: RequestHead): Forward | Reply {
  const kept = endToEnd(head.headers, (name) => /^x[^a-z0-9]user[^a-z0-9]id$|^x-decided$/i.test(name))
  if (isDenial(kept)) return replies(kept.denied)
  if (head.target.startsWith('/deny')) return replies('token_missing')
  return {
    kind: 'forward', upstream: head.listener.upstream, headers: [...kept, MARK, `${head.method} ${encodeURI(head.target)}`], target: head.target,
    upgrade: readUpgrade(head.headers, new Set(['websocket'])),
    dropsResponseHeader: (name) => /^x[^a-z0-9]secret$/i.test(name), dropsTrailer: (name) => /^x[^a-z0-9]user[^a-z0-9]id$/i.test(name), watched: false,
  }
}

/** Starts a transport before an app, with the stand-in pipeline unless told otherwise. */
export async function startProxy(
  start: StartTransport, upstream: Listener['upstream'],
  options: { limits?: Partial<TransportLimits>; decide?: Handler['decide']; lapsed?: Handler['lapsed'] } = {},
): Promise<Proxy> {
  const seen: Seen = { decided: [], refused: [], finished: [] }
  const handler: Handler = {
    decide: (head) => { seen.decided.push(head); return (options.decide ?? standIn)(head) },
    refuse: (reason, _peer, head, verdict) => { seen.refused.push({ reason, head, verdict }); return replies(reason) },
    finished: (head, verdict, outcome) => { seen.finished.push({ head, verdict, outcome }) },
    lapsed: options.lapsed ?? (() => undefined),
  }
  const transport = await start([{ bind: { host: '127.0.0.1', port: 0 }, upstream }], handler, { ...LIMITS, ...options.limits })
  return {
    transport, seen, address: transport.bound[0]!,
    finished: async (count, timeoutMs = 5000) => {
      for (const deadline = Date.now() + timeoutMs; seen.finished.length < count;) {
        if (Date.now() > deadline) throw new Error(`${seen.finished.length} exchanges are finished, not ${count}`)
        await new Promise((resolve) => { setTimeout(resolve, 5) })
      }
      return seen.finished
    },
    close: () => transport.close(0, 0),
  }
}
