/**
 * The health service: /livez, /readyz, /startupz, /metrics and the app's own probes at /probe/CONTAINER/KIND, for the
 * interceptions in which the kubelet cannot reach the app directly. It answers anyone who can reach the port and says nothing secret.
 */
import type { Handler, Reply, RequestHead } from '../http/contract.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { ProbeResult } from './probe.ts'
import { serviceHandler, splitTarget, textReply } from './service-reply.ts'

interface HealthOptions {
  /** Why the sidecar is not ready, one clause each; empty: it is. */
  readonly unready: () => readonly string[]
  /** Whether the listeners are bound and the configuration is in force. */
  readonly started: () => boolean
  readonly metrics: Metrics
  /** Runs the probe of this name ("container/kind"); undefined when there is none. */
  readonly probe: (name: string) => Promise<ProbeResult> | undefined
}

/** Makes the health service. Liveness says only that the event loop turns: an issuer or an app that is down must not restart the sidecar. */
export function createHealth({ unready, started, metrics, probe }: HealthOptions): Handler {
  const ready = metrics.series('sidegate_ready')
  metrics.collect(() => { ready.value = unready().length === 0 ? 1 : 0 })

  function readyz(): Reply {
    const why = unready()
    return why.length === 0 ? textReply(200, 'ok') : textReply(503, `not ready: ${why.join('; ')}`)
  }

  async function probed(name: string): Promise<Reply> {
    const running = probe(name)
    if (running === undefined) return textReply(404, 'no such probe')
    const { ok, detail } = await running
    return textReply(ok ? 200 : 503, detail)
  }

  return serviceHandler((head: RequestHead) => {
    if (head.method !== 'GET' && head.method !== 'HEAD') return textReply(405, 'GET or HEAD')
    const { path } = splitTarget(head.target)
    switch (path) {
      case '/livez': return textReply(200, 'ok')
      case '/startupz': return started() ? textReply(200, 'ok') : textReply(503, 'starting')
      case '/readyz': return readyz()
      case '/metrics': return textReply(200, metrics.render(), 'text/plain; version=0.0.4; charset=utf-8')
      default: return path.startsWith('/probe/') ? probed(path.slice('/probe/'.length)) : textReply(404, 'not found')
    }
  })
}
