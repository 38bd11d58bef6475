/**
 * The sample app of the demo: an ordinary HTTP server that knows nothing of tokens. It answers every request with what it
 * received, as JSON. Started as its own process: `node app.js`; prints `{"port":N}` when it listens.
 */
import { createServer } from 'node:http'

const server = createServer((request, response) => {
  const headers: [string, string][] = []
  for (let i = 0; i < request.rawHeaders.length; i += 2) headers.push([request.rawHeaders[i]!, request.rawHeaders[i + 1]!])
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ method: request.method, url: request.url, headers }))
})

server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') console.log(JSON.stringify({ port: address.port }))
})

// The demo ends its app by closing this pipe, however the demo itself ends.
process.stdin.resume().on('end', () => process.exit(0))
