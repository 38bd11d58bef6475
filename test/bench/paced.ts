/**
 * Loads a port at a fixed modest rate, as most pods live, and times each request from the moment it was due: `node paced.ts PORT RATE CONNECTIONS SECONDS TOKENFILE`
 * prints one line of JSON. A process of its own, on CPU 1.
 *
 * A timer would be late by up to a millisecond, several times what is measured, so this spins: it asks the clock and the sockets in turn without ever sleeping. Run it under SCHED_IDLE
 * (`chrt -i 0`): then the app on the same CPU takes the CPU from it at once. How late it was itself is part of what it prints.
 */
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { quantile } from './stats.ts'

const [port, rate, connections, seconds] = process.argv.slice(2, 6).map(Number) as [number, number, number, number]
const token = readFileSync(process.argv[6]!, 'latin1').split('\n')[0]
const REQUEST = Buffer.from(`GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Mozilla/5.0 (bench)\r\nAccept: */*\r\nAccept-Language: en\r\nX-Request-Id: 3f8e2c1a-7b54-4d0e\r\nAuthorization: Bearer ${token}\r\n\r\n`, 'latin1')
/** The app's answer ends with `d!\n`. */
const END = Buffer.from('d!\n', 'latin1')
/** The first requests warm this process up, and the connections; they are sent and not timed. */
const WARM = Math.round(rate / 2)
const GRACE_MS = 2_000

const total = WARM + rate * seconds
const gap = 1_000 / rate
const dues = new Float64Array(total)
/** Answered minus due, and sent minus due where a connection was free: what this process adds by itself. */
const times: number[] = []
const own: number[] = []
const free: Lane[] = []
let [begin, sent, waiting, answered, errors] = [0, 0, 0, 0, 0]

interface Lane { readonly socket: net.Socket, at: number }

function send(lane: Lane, at: number): void {
  lane.at = at
  lane.socket.write(REQUEST)
}

/** A connection's answer: it takes the request that has waited longest, else it goes to the end of the line, so that all take turns. */
function answer(lane: Lane): void {
  answered++
  if (lane.at >= WARM) times.push(performance.now() - dues[lane.at]!)
  if (waiting < sent) send(lane, waiting++)
  else free.push(lane)
}

const buffer = Buffer.allocUnsafe(16_384)

function connect(): Promise<void> {
  return new Promise((resolve, reject) => {
    const callback = (bytes: number): boolean => {
      if (buffer.compare(END, 0, END.length, bytes - END.length, bytes) === 0) answer(lane)
      return true
    }
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer, callback } }, () => { free.push(lane); resolve() })
    const lane: Lane = { socket, at: 0 }
    socket.on('error', (error) => { errors++; reject(error) }).on('end', () => { errors++ })
  })
}

/** Sends what is due; a request that finds no free connection waits for one, and its time runs. */
function turn(over: () => void): void {
  const now = performance.now()
  for (; sent < total && begin + sent * gap <= now; sent++) {
    dues[sent] = begin + sent * gap
    if (waiting < sent || free.length === 0) continue
    waiting++
    if (sent >= WARM) own.push(performance.now() - dues[sent]!)
    send(free.shift()!, sent)
  }
  if (answered === total || now > begin + total * gap + GRACE_MS) over()
  else setImmediate(turn, over)
}

await Promise.all(Array.from({ length: connections }, connect))
begin = performance.now() + 1
await new Promise<void>((resolve) => { turn(resolve) })
// What was never answered counts as an error: to leave it out would make the slowest look best.
const { user, system } = process.cpuUsage()
console.log(JSON.stringify({ answered, p50: quantile(times, 0.5), p99: quantile(times, 0.99), errors: errors + total - answered, late: quantile(own, 0.99), cpuMs: (user + system) / 1_000 }))
process.exit(0)
