/**
 * Closing a connection whose client may still be sending: closing at once would answer its bytes with RST, and the RST may overtake our answer
 * (RFC 9112 section 9.6). So: FIN, read and forget for a while, then close (attack S12).
 */
import type { Socket } from 'node:net'

const LINGER_MS = 2000
const LINGER_BYTES = 16 << 20
const CHECK_MS = 100

/** Ends the writable side; destroys the socket when the client has closed, sent too much, or taken too long. */
export function linger(socket: Socket): void {
  if (socket.destroyed) return
  const before = socket.bytesRead
  const until = performance.now() + LINGER_MS
  const timer = setInterval(() => {
    if (performance.now() > until || socket.bytesRead - before > LINGER_BYTES) socket.destroy()
  }, CHECK_MS)
  socket.once('close', () => { clearInterval(timer) })
  socket.end()
  socket.resume()
}
