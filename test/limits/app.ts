/** The app behind a sidecar under limits, a process of its own: `node app.ts` prints its port. What it does is said by the path. */
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo } from 'node:net'

const BLOCK = Buffer.alloc(65_536, 'x')
const SLOW_PIECE = 16_384
const SLOW_EVERY = 10

/** `/bytes/N`: as much as that. */
function bytes(response: ServerResponse, size: number): void {
  let left = size
  response.setHeader('Content-Length', size)
  const more = (): void => {
    while (left > 0) {
      const piece = Math.min(left, BLOCK.length)
      left -= piece
      if (!response.write(BLOCK.subarray(0, piece))) return void response.once('drain', more)
    }
    response.end()
  }
  more()
}

/** `/chunks/N`: chunks of one byte. */
function chunks(response: ServerResponse, count: number): void {
  const some = Buffer.from('1\r\nx\r\n'.repeat(1_000))
  let left = Math.ceil(count / 1_000)
  response.socket?.write('HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n')
  const more = (): void => {
    while (left-- > 0) if (response.socket?.write(some) === false) return void response.socket.once('drain', more)
    response.socket?.end('0\r\n\r\n')
  }
  more()
}

/** `/slow`: takes a body as a busy app would. */
function slowly(request: IncomingMessage, done: () => void): void {
  const timer = setInterval(() => { request.read(Math.min(SLOW_PIECE, request.readableLength)) }, SLOW_EVERY)
  request.on('readable', () => {})
  request.on('end', done).on('close', () => { clearInterval(timer) })
}

const server = http.createServer({ maxHeaderSize: 1 << 18, requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 60_000, highWaterMark: SLOW_PIECE }, (request, response) => {
  const [, what, amount] = request.url!.split('/')
  response.on('error', () => {})
  switch (what) {
    case 'hang': return void request.resume()
    case 'bytes': return bytes(response, Number(amount))
    case 'chunks': return chunks(response, Number(amount))
    case 'head': return void response.writeHead(200, { 'Content-Length': 2, 'X-Large': 'x'.repeat(Number(amount)) }).end('ok')
    case 'slow': return slowly(request, () => { response.end('ok') })
    default: request.resume().on('end', () => { response.end('ok') })
  }
})
server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () => { console.log((server.address() as AddressInfo).port) })
