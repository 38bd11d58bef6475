/** /livez, /readyz and /metrics of the controller, plain http, for kubelet and Prometheus. */
import { createServer } from 'node:http'
import type { Address } from '../http/contract.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { listen } from './listen.ts'

export interface HealthServer {
  readonly address: Address
  close(): Promise<void>
}

// One table has the metrics of both programs, and its counters begin at 0 without being asked: those of the sidecar say nothing here.
const OURS = /^(?:# (?:HELP|TYPE) )?(?:sidegate_(?:admission|source|reconcile|namespaces|certificate|build|ready|log_dropped)|process_|nodejs_)/

/** The controller's part of the page. */
function page(metrics: Metrics): string {
  return metrics.render().split('\n').filter((line) => OURS.test(line)).map((line) => `${line}\n`).join('')
}

/**
 * Starts it.
 * @param unready what is missing for taking admissions, each a clause; empty when ready
 */
export async function startHealthServer(bind: Address, unready: () => readonly string[], metrics: Metrics): Promise<HealthServer> {
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 10_000 }, (request, response) => {
    const path = request.url?.split('?')[0]
    const missing = path === '/readyz' ? unready() : []
    if (path === '/metrics') response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(page(metrics))
    else if (path === '/livez' || (path === '/readyz' && missing.length === 0)) response.writeHead(200, { 'content-type': 'text/plain' }).end('ok\n')
    else if (path === '/readyz') response.writeHead(503, { 'content-type': 'text/plain' }).end(`${missing.join('\n')}\n`)
    else response.writeHead(404, { 'content-type': 'text/plain' }).end('known: /livez /readyz /metrics\n')
  })
  const address = await listen(server, bind)
  return {
    address,
    close: () => new Promise((resolve) => {
      server.close(() => { resolve() })
      server.closeAllConnections()
    }),
  }
}
