/** A reply as bytes, for a connection that has no `ServerResponse` to write it by: it always closes. */
import { builtin } from '../../../src/lib/builtin.ts'
import type { Reply } from '../../../src/http/contract.ts'

// Not by `import`: see lib/builtin.ts.
const { STATUS_CODES } = builtin('node:http')

/** Renders a reply with its framing and `Connection: close`. */
export function rawReply(reply: Reply): Buffer {
  const body = Buffer.from(reply.body)
  let head = `HTTP/1.1 ${reply.status} ${STATUS_CODES[reply.status] ?? ''}\r\n`
  for (let i = 0; i < reply.headers.length; i += 2) head += `${reply.headers[i]}: ${reply.headers[i + 1]}\r\n`
  head += `Date: ${new Date().toUTCString()}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`
  return Buffer.concat([Buffer.from(head, 'latin1'), body])
}
