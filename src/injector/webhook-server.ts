/** The https server that the API server calls: AdmissionReview v1 in, AdmissionReview v1 out. It knows nothing of pods. */
import { createServer } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createSecureContext } from 'node:tls'
import type { AddressInfo } from 'node:net'
import type { Address } from '../http/contract.ts'
import type { Log } from '../telemetry/log.ts'
import type { KeyPair } from '../pki/authority.ts'

/** The part of an AdmissionRequest that is used here. `object` is null on DELETE. */
export interface AdmissionRequest {
  readonly uid: string
  readonly kind: { readonly group: string, readonly version: string, readonly kind: string }
  readonly operation: string
  readonly namespace?: string
  readonly name?: string
  readonly dryRun?: boolean
  readonly object: unknown
}

export interface AdmissionResponse {
  readonly allowed: boolean
  readonly status?: { readonly code: number, readonly message: string }
  readonly warnings?: readonly string[]
  readonly patchType?: 'JSONPatch'
  /** base64 of the JSON Patch. */
  readonly patch?: string
}

export interface WebhookServer {
  readonly address: Address
  /** From the next handshake on. */
  setCertificate(pair: KeyPair): void
  /** Answers on, with `Connection: close`, for `delayMs`; then stops accepting and waits up to `graceMs` for what is in flight. */
  close(delayMs: number, graceMs: number): Promise<void>
}

export interface WebhookOptions {
  readonly bind: Address
  /** Never to throw for anything in the request; if it does, the request is denied. */
  readonly admit: (request: AdmissionRequest, path: string) => Promise<AdmissionResponse>
  readonly log: Log
  /** Called for every answer: HTTP status, seconds. */
  readonly onAnswer?: (status: number, seconds: number) => void
  readonly certificate: KeyPair
}

// The API server takes objects of up to 3 MiB, as protobuf too; the review wraps one as JSON, where some characters take six bytes.
const MAX_BODY = 8 * 1024 ** 2
// Go's client drops idle connections after 90 s. We must be later: a POST that meets our close is not retried, and the pod would be refused.
const KEEP_ALIVE_MS = 150_000
const MAX_CONNECTIONS = 512

class Refusal extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY) throw new Refusal(413, `the review is larger than ${MAX_BODY} bytes`)
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BODY) throw new Refusal(413, `the review is larger than ${MAX_BODY} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** @throws Refusal when the body is not an AdmissionReview v1 with a request */
function parseReview(body: string): AdmissionRequest {
  let review: { apiVersion?: unknown, kind?: unknown, request?: Partial<AdmissionRequest> } | null
  try {
    review = JSON.parse(body) as typeof review
  } catch {
    throw new Refusal(400, 'the body is not JSON')
  }
  if (review?.apiVersion !== 'admission.k8s.io/v1' || review.kind !== 'AdmissionReview') throw new Refusal(400, 'the body is not an AdmissionReview of admission.k8s.io/v1')
  if (typeof review.request !== 'object' || typeof review.request?.uid !== 'string') throw new Refusal(400, 'the AdmissionReview has no request with a uid')
  return review.request as AdmissionRequest
}

function send(response: ServerResponse, status: number, type: string, body: string, closing: boolean): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), ...(closing || status >= 400) && { connection: 'close' } })
  response.end(body)
}

/**
 * Starts the server.
 * @throws Error with `code` EADDRINUSE or EACCES when it cannot bind
 */
export async function startWebhookServer({ bind, admit, log, onAnswer = () => {}, certificate }: WebhookOptions): Promise<WebhookServer> {
  let closing = false

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<number> {
    try {
      if (request.method !== 'POST') throw new Refusal(405, 'POST an AdmissionReview')
      const review = parseReview(await readBody(request))
      const verdict = await admit(review, request.url ?? '/')
      const reply = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid: review.uid, ...verdict } }
      send(response, 200, 'application/json', JSON.stringify(reply), closing)
      return 200
    } catch (error) {
      const status = error instanceof Refusal ? error.status : 500
      if (status === 500) log.error('admission failed', { error: (error as Error).stack ?? String(error) })
      // A status that is not 200 fails the call; with failurePolicy Fail the pod is refused.
      if (!response.headersSent) send(response, status, 'text/plain', `sidegate: ${error instanceof Refusal ? error.message : 'internal error'}\n`, closing)
      return status
    }
  }

  const server = createServer({
    cert: certificate.cert, key: certificate.key, minVersion: 'TLSv1.2',
    keepAliveTimeout: KEEP_ALIVE_MS, headersTimeout: 10_000, requestTimeout: 20_000,
  }, (request, response) => {
    const started = performance.now()
    request.on('error', () => {})
    void answer(request, response).then((status) => onAnswer(status, (performance.now() - started) / 1000))
  })
  server.maxConnections = MAX_CONNECTIONS
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => log.debug('TLS handshake failed', { error: error.code ?? error.message }))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: bind.host, port: bind.port }, resolve)
  })
  const { address: host, port } = server.address() as AddressInfo

  return {
    address: { host, port },
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
