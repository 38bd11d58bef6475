import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { builtin } from '../lib/builtin.ts'
import { parseJson } from '../lib/json.ts'

/** How to fetch from an issuer. */
export interface FetchOptions {
  /** PEM file of the only authorities to trust; read at each fetch. */
  readonly caFile?: string | undefined
  /** File of a bearer token to send; read at each fetch (a service-account token changes every hour). */
  readonly bearerTokenFile?: string | undefined
  /** Bytes of the body, compressed and not. */
  readonly maxBytes: number
  /** Ends the fetch, whatever it is doing. */
  readonly deadline: AbortSignal
}

/** A JSON document from an issuer. */
export interface FetchedDocument {
  readonly body: unknown
  /** Milliseconds for which the issuer says the document may be reused; undefined when it does not say. */
  readonly maxAgeMs: number | undefined
}

/** An issuer's answer that is not the document: the status tells `not there` from other troubles. */
export class FetchError extends Error {
  readonly status: number | undefined
  constructor(message: string, status?: number) {
    super(message)
    this.name = 'FetchError'
    this.status = status
  }
}

const MAX_HEADER_BYTES = 16 * 1024

/** `max-age` in milliseconds; 0 for a response that must not be stored or reused (RFC 9111 section 5.2.2). */
function freshness(cacheControl: string | undefined): number | undefined {
  if (cacheControl === undefined) return undefined
  if (/(?:^|[\s,])no-(?:store|cache)(?:[\s,]|$)/i.test(cacheControl)) return 0
  const seconds = /(?:^|[\s,])max-age="?(\d{1,9})/i.exec(cacheControl)?.[1]
  return seconds === undefined ? undefined : Number(seconds) * 1000
}

/** Sends the request and waits for the response's head. Redirects are not followed, and proxy variables are not read: this is our own agent. */
async function request(url: URL, options: FetchOptions): Promise<IncomingMessage> {
  const { caFile, bearerTokenFile, deadline: signal } = options
  const headers: Record<string, string> = { accept: 'application/jwk-set+json, application/json', 'accept-encoding': 'identity' }
  if (bearerTokenFile !== undefined) headers.authorization = `Bearer ${readFileSync(bearerTokenFile, 'utf8').trim()}`
  const common = { headers, signal, maxHeaderSize: MAX_HEADER_BYTES, keepAlive: false }
  // Loaded when first needed: a sidecar that reads its keys from a file never loads a client. Not by `import`: see lib/builtin.ts.
  const { Agent, get } = url.protocol === 'https:' ? builtin('node:https') : builtin('node:http')
  const agent = new Agent({ keepAlive: false, proxyEnv: {} })
  // Said outright, since NODE_TLS_REJECT_UNAUTHORIZED would otherwise have a say in it.
  const trust = { rejectUnauthorized: true, ...caFile !== undefined && { ca: readFileSync(caFile) } }
  return new Promise((resolve, reject) => {
    const arrived = (response: IncomingMessage): void => { resolve(response.on('error', reject)) }
    // Listening for good: an error event that nobody hears ends the process, and a broken connection may say so twice.
    get(url, { ...common, ...trust, agent }, arrived).on('error', reject).on('upgrade', (_, socket) => {
      socket.destroy()
      reject(new FetchError('status 101: the issuer switches to another protocol, which was not asked for', 101))
    })
  })
}

async function readBody(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes) throw new FetchError(`more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Undoes gzip, which some servers send without being asked, never beyond the cap. */
function decode(body: Buffer, encoding: string, maxBytes: number): Buffer {
  if (encoding === 'identity') return body
  if (encoding !== 'gzip') throw new FetchError(`content-encoding ${JSON.stringify(encoding.slice(0, 32))} was not asked for`)
  try {
    return builtin('node:zlib').gunzipSync(body, { maxOutputLength: maxBytes })
  } catch (error) {
    const bomb = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
    throw new FetchError(bomb ? `more than ${maxBytes} bytes after decompression` : 'the gzip body is damaged')
  }
}

/**
 * Fetches one JSON document.
 * @throws Error ({@link FetchError} when there was an answer) with one clause that says what went wrong
 */
export async function fetchDocument(url: URL, options: FetchOptions): Promise<FetchedDocument> {
  try {
    return await Promise.race([receive(url, options), ended(options.deadline)])
  } catch (error) {
    throw explain(error as Error, url, options.deadline)
  }
}

async function receive(url: URL, options: FetchOptions): Promise<FetchedDocument> {
  const response = await request(url, options)
  try {
    return await readDocument(response, options.maxBytes)
  } finally {
    response.destroy()
  }
}

/** Rejects at the deadline, which the client was told, too: requests wait for this, so that it ends is not left to the client alone (attack J15). */
function ended(deadline: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (deadline.aborted) reject(deadline.reason as Error)
    deadline.addEventListener('abort', () => { reject(deadline.reason as Error) }, { once: true })
  })
}

async function readDocument(response: IncomingMessage, maxBytes: number): Promise<FetchedDocument> {
  const status = response.statusCode ?? 0
  if (status >= 300 && status < 400) throw new FetchError(`status ${status}: redirects are not followed`, status)
  if (status !== 200) throw new FetchError(`status ${status}`, status)
  const raw = await readBody(response, maxBytes)
  const body = decode(raw, response.headers['content-encoding']?.trim().toLowerCase() || 'identity', maxBytes)
  try {
    return { body: parseJson(body.toString('utf8')), maxAgeMs: freshness(response.headers['cache-control']) }
  } catch {
    throw new FetchError('the answer is not JSON')
  }
}

/** Says where and why in one clause; an address list that failed altogether has no message of its own. */
function explain(error: Error & { code?: string, status?: number }, url: URL, deadline: AbortSignal): FetchError {
  const why = deadline.aborted ? 'no whole answer within keys.timeout' : error.message || error.code || error.name
  const clause = why === 'aborted' ? 'the connection broke before the answer was complete' : why
  return new FetchError(`${url.origin}${url.pathname}: ${clause}`.slice(0, 400), error.status)
}
