/** The gRPC health check (grpc.health.v1.Health/Check) over HTTP/2 in the clear. Loaded only when a probe asks for it. */
import { connect } from 'node:http2'
import { formatAddress } from '../config/values.ts'
import type { ProbeResult, ProbeTarget } from './probe.ts'

const SERVING = 1
const STATUS_NAMES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']

/**
 * Asks for the health of the probe's service.
 * @throws when the app does not answer in time or does not speak gRPC
 */
export function probeGrpc(target: ProbeTarget, limit: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${formatAddress(target.address)}`)
    const end = (finish: () => void) => {
      session.destroy()
      finish()
    }
    limit.addEventListener('abort', () => end(() => reject(new Error('timed out'))), { once: true })
    session.on('error', (error) => end(() => reject(error)))
    const stream = session.request({ ':method': 'POST', ':path': '/grpc.health.v1.Health/Check', 'content-type': 'application/grpc', te: 'trailers' })
    const chunks: Buffer[] = []
    let grpcStatus: string | undefined
    stream.on('response', (headers) => { grpcStatus = headers['grpc-status'] as string | undefined })
    stream.on('trailers', (headers) => { grpcStatus = headers['grpc-status'] as string | undefined })
    stream.on('data', (chunk: Buffer) => { if (chunks.length < 16) chunks.push(chunk) })
    stream.on('error', (error) => end(() => reject(error)))
    stream.on('end', () => end(() => resolve(judge(grpcStatus, Buffer.concat(chunks)))))
    stream.end(requestMessage(target.service ?? ''))
  })
}

function judge(grpcStatus: string | undefined, message: Buffer): ProbeResult {
  if (grpcStatus !== '0') return { ok: false, detail: `gRPC status ${grpcStatus ?? 'missing'}` }
  const status = servingStatus(message.subarray(5))
  return { ok: status === SERVING, detail: `gRPC health ${STATUS_NAMES[status] ?? status}` }
}

/** HealthCheckRequest: field 1, the service's name; behind gRPC's five-byte prefix. */
function requestMessage(service: string): Buffer {
  const name = Buffer.from(service, 'utf8')
  if (name.length > 127) throw new Error('the probe\'s service name is longer than 127 bytes')
  const body = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), name])
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(body.length, 1)
  return Buffer.concat([prefix, body])
}

/** HealthCheckResponse: field 1, an enumeration; missing means 0 (UNKNOWN). */
function servingStatus(body: Buffer): number {
  return body.length >= 2 && body[0] === 0x08 ? body[1]! : 0
}
