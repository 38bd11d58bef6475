/** Small replies of the health and admin services, which run on the same transport as the protected ports. */
import type { Handler, Reply } from '../http/contract.ts'
import { createReplies } from '../http/reply.ts'

/** A plain text reply. */
export function textReply(status: number, body: string, contentType = 'text/plain; charset=utf-8'): Reply {
  return {
    kind: 'reply',
    status,
    headers: ['Content-Type', contentType, 'Cache-Control', 'no-store', 'X-Content-Type-Options', 'nosniff'],
    body: body.endsWith('\n') ? body : `${body}\n`,
  }
}

/** A JSON reply, indented: people read it. */
export function jsonReply(status: number, value: unknown): Reply {
  return textReply(status, JSON.stringify(value, null, 2), 'application/json')
}

/** Makes a {@link Handler} of a function from request to reply: it never forwards, watches nothing and counts nothing. */
export function serviceHandler(decide: (head: Parameters<Handler['decide']>[0]) => Reply | Promise<Reply>): Handler {
  const replies = createReplies('')
  return { decide, refuse: (reason) => replies(reason), finished: () => {}, lapsed: () => undefined }
}

/** Splits a request target into path and query. */
export function splitTarget(target: string): { path: string, query: URLSearchParams } {
  const at = target.indexOf('?')
  return at < 0 ? { path: target, query: new URLSearchParams() } : { path: target.slice(0, at), query: new URLSearchParams(target.slice(at + 1)) }
}
