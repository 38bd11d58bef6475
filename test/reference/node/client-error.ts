/** Why Node's parser or server gave up on a client's bytes, in our words. */
import type { Socket } from 'node:net'
import type { Reason } from '../../../src/telemetry/reason.ts'

const FRAMING = new Set(['HPE_UNEXPECTED_CONTENT_LENGTH', 'HPE_INVALID_CONTENT_LENGTH', 'HPE_INVALID_TRANSFER_ENCODING'])

/** What Node adds to a parse error; `bytesParsed` is where in `rawPacket` it is. */
type ParserError = Error & { readonly code?: string; readonly reason?: string; readonly bytesParsed?: number; readonly rawPacket?: Buffer }

/** @returns undefined when there is nobody to answer: the client went away, or never said anything */
export function clientErrorReason(error: ParserError, socket: Socket): Reason | undefined {
  const code = error.code ?? ''
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return socket.bytesRead === 0 ? undefined : 'request_timeout'
  if (code === 'HPE_INVALID_EOF_STATE') return 'client_aborted'
  if (code === 'HPE_HEADER_OVERFLOW') return 'headers_too_large'
  if (code === 'HPE_PAUSED_H2_UPGRADE' || (code === 'HPE_INVALID_VERSION' && namesVersion(error))) return 'version_refused'
  if (FRAMING.has(code) || /Content-Length|Transfer-Encoding/.test(error.reason ?? '')) return 'ambiguous_framing'
  return code.startsWith('HPE_') ? 'malformed_request' : undefined
}

/** llhttp calls any bad end of a request line a bad version; this tells a real one (`HTTP/1.2`) from the rest. */
function namesVersion({ rawPacket, bytesParsed = 0 }: ParserError): boolean {
  return rawPacket !== undefined && /HTTP\/\d\.\d\r?$/.test(rawPacket.toString('latin1', Math.max(0, bytesParsed - 9), bytesParsed + 1))
}
