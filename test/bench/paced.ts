/**
 * Loads a proxy at a fixed modest rate, as most pods live, and times each request from the moment it was due. Its own process, on CPU 1:
 * `node paced.ts PORT RATE CONNECTIONS SECONDS TOKENFILE` prints one line of JSON.
 */
import { readFileSync } from 'node:fs'
import net from 'node:net'

const [port, rate, connections, seconds] = process.argv.slice(2, 6).map(Number) as [number, number, number, number]
const token = readFileSync(process.argv[6]!, 'latin1').split('\n')[0]
const REQUEST = Buffer.from(`GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Mozilla/5.0 (bench)\r\nAccept: */*\r\nAccept-Language: en\r\nX-Request-Id: 3f8e2c1a-7b54-4d0e\r\nAuthorization: Bearer ${token}\r\n\r\n`, 'latin1')
const END = 'hello world!\n'

interface Lane { readonly socket: net.Socket, due: number }
const idle: Lane[] = []
const late: number[] = []
const times: number[] = []
let errors = 0

function lane(): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true }, () => { idle.push(each); resolve() })
    const each: Lane = { socket, due: 0 }
    socket.on('data', (chunk) => {
      if (chunk.toString('latin1', chunk.length - END.length) !== END) { errors++; return }
      times.push(performance.now() - each.due)
      const next = late.shift()
      if (next === undefined) idle.push(each)
      else send(each, next)
    })
    socket.on('error', () => { errors++; resolve() })
  })
}

function send(each: Lane, due: number): void {
  each.due = due
  each.socket.write(REQUEST)
}

await Promise.all(Array.from({ length: connections }, lane))
const begin = performance.now()
let sent = 0
await new Promise<void>((resolve) => {
  const tick = (): void => {
    const now = performance.now()
    for (; begin + sent * 1_000 / rate <= now; sent++) {
      const due = begin + sent * 1_000 / rate
      const each = idle.pop()
      if (each) send(each, due)
      else late.push(due)
    }
    if (now - begin < seconds * 1_000) setTimeout(tick, 1)
    else resolve()
  }
  tick()
})
await new Promise((resolve) => { setTimeout(resolve, 200) })
times.sort((a, b) => a - b)
const at = (share: number): number => times[Math.floor(times.length * share)] ?? NaN
console.log(JSON.stringify({ requests: times.length, p50: at(0.5), p99: at(0.99), errors }))
process.exit(0)
