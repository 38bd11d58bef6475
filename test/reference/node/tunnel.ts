/**
 * After a 101: bytes both ways, as they come. Each side may close its half (RFC 9110 section 7.8 leaves the rest to the new protocol).
 */
import type { Socket } from 'node:net'
import { FrameWatch } from '../../../src/http/frame-watch.ts'

export interface Tunnel {
  /**
   * Ends it because the token has lapsed. A WebSocket client is told so by a close frame (1008, policy violation) at the next frame boundary, within a second;
   * any other protocol is just ended.
   */
  lapse(): void
  destroy(): void
}

/** RFC 6455 section 5.5.1: a close frame, unmasked as a server's is, with code 1008. */
const CLOSE_1008 = Buffer.from([0x88, 0x02, 0x03, 0xf0])
const BOUNDARY_WAIT_MS = 1000

/**
 * Joins two sockets.
 * @param watched keep account of WebSocket frames, for {@link Tunnel.lapse}
 * @param closed called once when both sides are closed
 */
export function openTunnel(client: Socket, app: Socket, watched: boolean, closed: () => void): Tunnel {
  const frames = watched ? new FrameWatch() : undefined
  let lapsing = false
  let open = 2
  const onClose = (): void => { if (--open === 0) closed() }
  for (const [side, other] of [[client, app], [app, client]] as const) {
    side.on('error', () => { other.destroy() })
    side.once('close', () => {
      // A close without an end is an abort; it reaches the other side as one. (A lapse leaves the client its close frame.)
      if (lapsing && other === client) return onClose()
      if (!side.readableEnded || side.errored) other.destroy()
      else if (!other.writableEnded) other.end()
      onClose()
    })
  }
  const say = (): void => {
    if (!client.destroyed && !client.writableEnded) client.end(CLOSE_1008)
    app.destroySoon()
  }
  const relayToClient = (chunk: Buffer): void => {
    const boundary = frames?.take(chunk, lapsing)
    if (!lapsing) {
      if (!client.write(chunk)) app.pause()
    } else if (boundary === undefined) client.write(chunk)
    else {
      app.off('data', relayToClient)
      client.write(chunk.subarray(0, boundary))
      say()
    }
  }
  const relayToApp = (chunk: Buffer): void => { if (!lapsing && !app.write(chunk)) client.pause() }
  client.on('drain', () => { app.resume() })
  app.on('drain', () => { client.resume() })
  client.on('end', () => { if (!app.writableEnded) app.end() })
  app.on('end', () => { if (!client.writableEnded) client.end() })
  client.on('data', relayToApp)
  app.on('data', relayToClient)
  app.resume()
  client.resume()

  const destroy = (): void => { client.destroy(); app.destroy() }
  return {
    destroy,
    lapse() {
      if (lapsing) return
      lapsing = true
      if (frames === undefined || !frames.sound) return destroy()
      setTimeout(destroy, BOUNDARY_WAIT_MS).unref()
      if (!frames.atBoundary) return
      app.off('data', relayToClient)
      say()
    },
  }
}
