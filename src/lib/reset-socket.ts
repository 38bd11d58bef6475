import type { Socket } from 'node:net'

/**
 * Closes with RST, so that nobody takes what was sent for the whole. Where a FIN is just on its way, it closes only: then libuv refuses the reset
 * (`uv_tcp_close_reset`, EINVAL), and Node has already let go of the handle, so that the descriptor stays open and `close` never comes (seen in 26.10).
 */
export function resetSocket(socket: Socket): void {
  const finOnItsWay = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0
  if (finOnItsWay) socket.destroy()
  else socket.resetAndDestroy()
}
