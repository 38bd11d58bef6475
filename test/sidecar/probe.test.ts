import { createProbes, runProbe, type ProbeTarget } from '../../src/sidecar/probe.ts'
import { createServer as createHttp2, type ServerHttp2Stream } from 'node:http2'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTls } from 'node:tls'
import { once } from 'node:events'
import { createAuthority } from '../../src/demo/authority.ts'
import t, { type Test } from 'tap'

type Script = (request: string, socket: Socket) => void

async function app(t: Test, script: Script, make: (onSocket: (socket: Socket) => void) => Server = createServer): Promise<{ host: string, port: number, requests: string[] }> {
  const requests: string[] = []
  const sockets = new Set<Socket>()
  const server = make((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (data: Buffer) => {
      requests.push(data.toString())
      script(data.toString(), socket)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port, requests }
}

const target = (address: { host: string, port: number }, more: Partial<ProbeTarget> = {}): ProbeTarget => ({ type: 'http', address, timeout: 1000, ...more })
const says = (head: string): Script => (_, socket) => { socket.end(`${head}\r\n\r\n`) }

t.test('http: 200 to 399 is well, all else is not', async (t) => {
  const cases: [string, boolean][] = [
    ['HTTP/1.1 200 OK', true], ['HTTP/1.0 204 No Content', true], ['HTTP/1.1 304 Not Modified', true], ['HTTP/1.1 404 Not Found', false], ['HTTP/1.1 500 Oops', false],
    ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK', true], ['HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 503 No', false], ['SSH-2.0-OpenSSH', false], ['HTTP/1.1 999', false],
  ]
  for (const [head, ok] of cases) t.equal((await runProbe(target(await app(t, says(head))))).ok, ok, head)
})

t.test('http: the request keeps path, query, headers and Host; nothing can be injected', async (t) => {
  const server = await app(t, says('HTTP/1.1 200 OK'))
  await runProbe(target(server, { path: '/healthz?deep=1', host: 'app.example', headers: [{ name: 'X-Probe', value: 'yes' }, { name: 'Connection', value: 'keep-alive' }] }))
  t.equal(server.requests[0], 'GET /healthz?deep=1 HTTP/1.1\r\nHost: app.example\r\nUser-Agent: kube-probe/sidegate\r\nAccept: */*\r\nX-Probe: yes\r\nConnection: close\r\n\r\n')
  await runProbe(target(server, { headers: [{ name: 'Host', value: 'other' }, { name: 'User-Agent', value: 'me' }, { name: 'Accept', value: 'text/plain' }] }))
  t.equal(server.requests[1], 'GET / HTTP/1.1\r\nHost: other\r\nUser-Agent: me\r\nAccept: text/plain\r\nConnection: close\r\n\r\n')
  for (const path of ['/x\r\nX: y', '/a b', '/café', '/\u010aX: y']) {
    t.match(await runProbe(target(server, { path })), { ok: false, detail: /path holds a space, a control character or one beyond ASCII; write it percent-encoded/ })
  }
  t.match(await runProbe(target(server, { headers: [{ name: 'X', value: 'a\r\nY: b' }] })), { ok: false, detail: /headers hold a control character/ })
  t.equal(server.requests.length, 2)
  await runProbe(target(server, { headers: [{ name: 'X', value: 'é\u010a' }] }))
  t.match(server.requests[2], /\r\nX: é\u010a\r\n/, 'UTF-8, as the kubelet sends it: no character becomes a line break')
})

t.test('http: a redirect within the app is followed, one to elsewhere is success, a loop is not', async (t) => {
  const moved = (location: string): Script => (request, socket) => { socket.end(request.startsWith('GET /there') ? 'HTTP/1.1 500 X\r\n\r\n' : `HTTP/1.1 302 Found\r\nLocation: ${location}\r\n\r\n`) }
  t.match(await runProbe(target(await app(t, moved('/there')))), { ok: false, detail: 'HTTP status 500' })
  t.match(await runProbe(target(await app(t, moved('https://login.example/')))), { ok: true })
  t.match(await runProbe(target(await app(t, moved('/loop')))), { ok: false, detail: /redirects/ })
})

t.test('refused, silent and slow apps fail in time', async (t) => {
  const gone = await app(t, says(''))
  const closed = createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const { port } = closed.address() as AddressInfo
  closed.close()
  await once(closed, 'close')
  t.match(await runProbe(target({ host: '127.0.0.1', port })), { ok: false, detail: /ECONNREFUSED/ })
  t.match(await runProbe(target({ host: '127.0.0.1', port }, { type: 'tcp' })), { ok: false })
  t.match(await runProbe(target({ host: '127.0.0.1', port }, { type: 'grpc' })), { ok: false })
  t.match(await runProbe(target(await app(t, () => {}), { timeout: 50 })), { ok: false, detail: /within 50 ms/ })
  t.match(await runProbe(target(await app(t, () => {}), { timeout: 50, type: 'grpc' })), { ok: false, detail: /within 50 ms/ })
  t.match(await runProbe(target(gone)), { ok: false })
  t.match(await runProbe(target(await app(t, (_, socket) => { socket.write('x'.repeat(1e5)) }))), { ok: false, detail: /too long/ })
})

t.test('tcp', async (t) => { t.match(await runProbe(target(await app(t, () => {}), { type: 'tcp' })), { ok: true, detail: 'connected' }) })

t.test('https: the certificate is not looked at, as the kubelet does not', async (t) => {
  const { cert, key } = await (await createAuthority()).issue(['localhost'])
  const server = await app(t, says('HTTP/1.1 200 OK'), (onSocket) => createTls({ cert, key }, onSocket))
  t.match(await runProbe(target(server, { type: 'https', host: 'app.example' })), { ok: true })
})

t.test('grpc: SERVING is well', async (t) => {
  const asked: Buffer[] = []
  let status = 1
  let grpcStatus = '0'
  const server = createHttp2()
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('data', (chunk: Buffer) => asked.push(chunk))
    stream.on('end', () => {
      if (headers[':path'] !== '/grpc.health.v1.Health/Check') return stream.close()
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': grpcStatus }))
      return stream.end(Buffer.from([0, 0, 0, 0, 2, 8, status]))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
  t.match(await runProbe(target(address, { type: 'grpc', service: 'orders' })), { ok: true, detail: 'gRPC health SERVING' })
  t.same(asked[0], Buffer.from([0, 0, 0, 0, 8, 10, 6, ...Buffer.from('orders')]))
  status = 2
  t.match(await runProbe(target(address, { type: 'grpc' })), { ok: false, detail: 'gRPC health NOT_SERVING' })
  grpcStatus = '5'
  t.match(await runProbe(target(address, { type: 'grpc' })), { ok: false, detail: 'gRPC status 5' })
})

t.test('a flood of requests for one probe reaches the app as one', async (t) => {
  const server = await app(t, (_, socket) => { setTimeout(() => socket.end('HTTP/1.1 200 OK\r\n\r\n'), 50) })
  const probe = createProbes({ 'app/readiness': target(server) })
  const results = await Promise.all(Array.from({ length: 100 }, () => probe('app/readiness')!))
  t.equal(results.filter((result) => result.ok).length, 100)
  t.equal(server.requests.length, 1)
  await probe('app/readiness')
  t.equal(server.requests.length, 2)
  t.equal(probe('app/other'), undefined)
  t.equal(probe('constructor'), undefined)
})

t.test('a postStart hook is called once the app listens, and only once', async (t) => {
  const gone = createServer().listen(0, '127.0.0.1')
  await once(gone, 'listening')
  const address = gone.address() as AddressInfo
  gone.close()
  await once(gone, 'close')
  const probe = createProbes({ 'app/postStart/key': target({ host: '127.0.0.1', port: address.port }, { path: '/started', timeout: 10_000 }) })
  const running = probe('app/postStart/key')
  const requests: string[] = []
  const late = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (data: Buffer) => {
      requests.push(data.toString().split('\r\n')[0]!)
      socket.end('HTTP/1.1 204 No Content\r\n\r\n')
    })
  })
  setTimeout(() => late.listen(address.port, '127.0.0.1'), 250)
  t.teardown(() => { late.close() })
  t.strictSame(await running, { ok: true, detail: 'HTTP status 204' })
  t.strictSame(requests, ['GET /started HTTP/1.1'])
})

t.test('a postStart hook of an app that never listens ends with its time, other probes at once', async (t) => {
  const gone = createServer().listen(0, '127.0.0.1')
  await once(gone, 'listening')
  const { port } = gone.address() as AddressInfo
  gone.close()
  await once(gone, 'close')
  const nobody = target({ host: '127.0.0.1', port }, { timeout: 300 })
  const probe = createProbes({ 'app/postStart': nobody, 'app/preStop/key': { ...nobody, timeout: 60_000 } })
  t.match(await probe('app/postStart'), { ok: false, detail: /ECONNREFUSED|no answer/ })
  t.match(await probe('app/preStop/key'), { ok: false, detail: /ECONNREFUSED/ })
})
