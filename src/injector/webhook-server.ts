/** The https server that the API server calls: AdmissionReview v1 in, AdmissionReview v1 out. It knows nothing of pods. */
import { createServer } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createSecureContext } from 'node:tls'
import type { Address } from '../http/contract.ts'
import type { Log } from '../telemetry/log.ts'
import type { KeyPair } from '../pki/authority.ts'
import { createBodyBudget } from './body-budget.ts'
import { capConnections } from './connection-cap.ts'
import { listen } from './listen.ts'
import type { AdmissionResponse } from './review.ts'

export interface WebhookServer {
  readonly address: Address
  /** From the next handshake on. */
  setCertificate(pair: KeyPair): void
  /** Answers on, with `Connection: close`, for `delayMs`; then stops accepting and waits up to `graceMs` for what is in flight. */
  close(delayMs: number, graceMs: number): Promise<void>
}

export interface WebhookOptions {
  readonly bind: Address
  /** From a parsed body to the AdmissionReview to answer with, or what is wrong with the body. A rejection is answered 500: the pod is refused. */
  readonly admit: (body: unknown, path: string) => Promise<AdmissionResponse | { readonly malformed: string }>
  readonly log: Log
  /** Called for every answer: HTTP status, seconds. */
  readonly onAnswer?: (status: number, seconds: number) => void
  readonly certificate: KeyPair
}

// The API server takes objects of up to 3 MiB, as protobuf too; the review wraps one as JSON, where some characters take six bytes.
const MAX_BODY = 8 * 1024 ** 2
// For all of them together: the container has 512 MiB.
const MAX_BODIES = 64 * 1024 ** 2
// Go's client drops idle connections after 90 s. We must be later: a POST that meets our close is not retried, and the pod would be refused.
const KEEP_ALIVE_MS = 150_000
const MAX_CONNECTIONS = 512
// Whoever is slower than this is not an API server: it waits 5 s, for the connection, the review and the answer together.
const PATIENCE_MS = 5_000
// How often Node looks for who is late.
const LOOK_EVERY_MS = 1_000

class Refusal extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** @throws Refusal when the body is not JSON */
function parseBody(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    throw new Refusal(400, 'The body is not JSON.')
  }
}

function send(response: ServerResponse, status: number, type: string, body: string, closing: boolean): void {
  response.writeHead(status, {
    'content-type': type, 'content-length': Buffer.byteLength(body),
    ...(closing || status >= 400) && { connection: 'close' }, ...status === 503 && { 'retry-after': '1' },
  })
  response.end(body)
}

/**
 * Starts the server.
 * @throws Error with `code` EADDRINUSE or EACCES when it cannot bind
 */
export async function startWebhookServer({ bind, admit, log, onAnswer = () => {}, certificate }: WebhookOptions): Promise<WebhookServer> {
  let closing = false
  const budget = createBodyBudget(MAX_BODY, MAX_BODIES)

  async function readBody(request: IncomingMessage): Promise<string> {
    const read = await budget.read(request)
    if ('body' in read) return read.body
    if (read.problem === 'too large') throw new Refusal(413, `The review is larger than ${MAX_BODY} bytes.`)
    throw new Refusal(503, `The reviews that are on their way have more than ${MAX_BODIES} bytes together. Send it again.`)
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<number> {
    try {
      if (request.method !== 'POST') throw new Refusal(405, 'POST an AdmissionReview.')
      const body = parseBody(await readBody(request))
      connections.enter(request.socket, 'answering')
      const answer = await admit(body, request.url?.split('?')[0] ?? '')
      if ('malformed' in answer) throw new Refusal(400, answer.malformed)
      send(response, 200, 'application/json', JSON.stringify(answer), closing)
      return 200
    } catch (error) {
      const status = error instanceof Refusal ? error.status : 500
      // Nobody is there to hear it.
      if (request.destroyed && !request.complete) return status
      if (status === 500) log.error('admission failed', { error: (error as Error).stack ?? String(error) })
      // A status that is not 200 fails the call; with failurePolicy Fail the pod is refused.
      if (!response.headersSent) send(response, status, 'text/plain', `sidegate: ${error instanceof Refusal ? error.message : 'internal error.'}\n`, closing)
      // What is still on its way is not taken.
      if (!request.complete) response.once('finish', () => { request.destroy() })
      return status
    } finally {
      budget.release(request)
    }
  }

  const server = createServer({
    cert: certificate.cert, key: certificate.key, minVersion: 'TLSv1.2',
    keepAliveTimeout: KEEP_ALIVE_MS, handshakeTimeout: PATIENCE_MS, headersTimeout: PATIENCE_MS, requestTimeout: PATIENCE_MS, connectionsCheckingInterval: LOOK_EVERY_MS,
  }, (request, response) => {
    const started = performance.now()
    request.on('error', () => {})
    connections.enter(request.socket, 'sending')
    void answer(request, response).then((status) => {
      // From here on, whether the client takes the answer or not.
      connections.enter(request.socket, 'idle')
      onAnswer(status, (performance.now() - started) / 1000)
    })
  })
  const connections = capConnections(server, MAX_CONNECTIONS)
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => log.debug('TLS handshake failed', { error: error.code ?? error.message }))
  const address = await listen(server, bind)

  return {
    address,
    setCertificate({ cert, key }) {
      // Throws before anything is changed when the pair does not fit.
      createSecureContext({ cert, key })
      server.setSecureContext({ cert, key, minVersion: 'TLSv1.2' })
    },
    async close(delayMs, graceMs) {
      closing = true
      await new Promise((resolve) => { setTimeout(resolve, delayMs) })
      const closed = new Promise<void>((resolve) => { server.close(() => { resolve() }) })
      server.closeIdleConnections()
      const timer = setTimeout(() => { server.closeAllConnections() }, graceMs)
      await closed
      clearTimeout(timer)
    },
  }
}
