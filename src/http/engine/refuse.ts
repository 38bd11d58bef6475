/** What is answered when the transport itself has to refuse. */
import { REASONS, type Reason } from '../../telemetry/reason.ts'
import type { Handler, Reply, RequestHead, Verdict } from '../contract.ts'
import { STATUS_TEXT } from '../status-text.ts'

/** The handler's reply for a failure, or a bare one if the handler fails at that. */
export function refuse(handler: Handler, reason: Reason, head: RequestHead | undefined, verdict?: Verdict, peer = head?.peer ?? ''): Reply {
  try {
    return handler.refuse(reason, peer, head, verdict)
  } catch {
    const status = REASONS[reason].status || 500
    return { kind: 'reply', status, headers: ['Content-Type', 'text/plain'], body: `${STATUS_TEXT[status]}\n` }
  }
}
