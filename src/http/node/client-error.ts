/** Why Node's parser or server gave up on a client's bytes, in our words. */
import type { Socket } from 'node:net'
import type { Reason } from '../../telemetry/reason.ts'

const FRAMING = new Set(['HPE_UNEXPECTED_CONTENT_LENGTH', 'HPE_INVALID_CONTENT_LENGTH', 'HPE_INVALID_TRANSFER_ENCODING'])

/** @returns undefined when there is nobody to answer: the client went away, or never said anything */
export function clientErrorReason(error: Error & { code?: string; reason?: string }, socket: Socket): Reason | undefined {
  const code = error.code ?? ''
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return socket.bytesRead === 0 ? undefined : 'request_timeout'
  if (code === 'HPE_HEADER_OVERFLOW') return 'headers_too_large'
  if (code === 'HPE_INVALID_VERSION' || code === 'HPE_PAUSED_H2_UPGRADE') return 'version_refused'
  if (FRAMING.has(code) || /Content-Length|Transfer-Encoding/.test(error.reason ?? '')) return 'ambiguous_framing'
  return code.startsWith('HPE_') ? 'malformed_request' : undefined
}
