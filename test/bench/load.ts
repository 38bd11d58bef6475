/** Loads a proxy by wrk from CPU 1 and takes what the proxy's processes used of CPU 0: user and system time of the whole family, from /proc. */
import { spawn } from 'node:child_process'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { WORK } from './workspace.ts'

/** One window of load. */
export interface Sample {
  /** CPU microseconds a request, of the proxy. */
  readonly cpu: number
  readonly rps: number
  readonly p50: number
  readonly p99: number
  readonly requests: number
  /** Answers that were not 2xx or 3xx, and broken connections. */
  readonly errors: number
  /** Share of CPU 0 that others used meanwhile. */
  readonly foreign: number
}

/** A kind of load. */
export interface Row {
  readonly name: string
  readonly tokens: string | undefined
  readonly path: string
  readonly post?: number
  /** The answers are refusals, and must be. */
  readonly refused?: boolean
}

const TICK_US = 10_000

/** Process ids of a process and all its descendants. */
export function family(pid: number): number[] {
  const children = new Map<number, number[]>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const parent = Number(readFileSync(`/proc/${entry}/stat`, 'latin1').split(') ')[1]!.split(' ')[1])
      children.set(parent, [...children.get(parent) ?? [], Number(entry)])
    } catch { /* gone meanwhile */ }
  }
  const all = [pid]
  for (let at = 0; at < all.length; at++) all.push(...children.get(all[at]!) ?? [])
  return all
}

/** User and system time of processes, in ticks of 10 ms. */
export function cpuTicks(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ')
    return sum + Number(fields[11]) + Number(fields[12])
  }, 0)
}

function busyTicks(cpu: number): number {
  const fields = new RegExp(`^cpu${cpu} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'latin1'))![1]!.split(' ').map(Number)
  return fields[0]! + fields[1]! + fields[2]! + fields[5]! + fields[6]!
}

const SCRIPT = `
local requests, count, at = {}, 0, 0
function init(args)
  local method, path, body = "GET", args[2], nil
  if args[3] ~= "0" then method, body = "POST", string.rep("x", tonumber(args[3])) end
  local function add(token)
    local headers = { ["User-Agent"] = "Mozilla/5.0 (bench)", ["Accept"] = "*/*", ["Accept-Language"] = "en", ["X-Request-Id"] = "3f8e2c1a-7b54-4d0e", ["traceparent"] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" }
    if token then headers["Authorization"] = "Bearer " .. token end
    count = count + 1
    requests[count] = wrk.format(method, path, headers, body)
  end
  if args[1] == "none" then add(nil) else for token in io.lines(args[1]) do add(token) end end
end
function request() at = at % count + 1; return requests[at] end
`

const MS: Record<string, number> = { us: 0.001, ms: 1, s: 1_000 }
const duration = (text: string | undefined): number => {
  const match = /([\d.]+)(us|ms|s)/.exec(text ?? '')
  return match ? Number(match[1]) * MS[match[2]!]! : NaN
}

/** One window of `seconds`. */
export async function load(pid: number, port: number, row: Row, seconds: number, connections = 32): Promise<Sample> {
  writeFileSync(`${WORK}load.lua`, SCRIPT)
  const pids = family(pid)
  const [before, busyBefore] = [cpuTicks(pids), busyTicks(0)]
  const began = performance.now()
  const args = ['-c', '1', 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '-s', `${WORK}load.lua`, `http://127.0.0.1:${port}${row.path}`, '--', row.tokens ? `${WORK}${row.tokens}` : 'none', row.path, String(row.post ?? 0)]
  const text = await output('taskset', args)
  const [used, busy, ticks] = [cpuTicks(pids) - before, busyTicks(0) - busyBefore, (performance.now() - began) / 10]
  const requests = Number(/(\d+) requests in/.exec(text)?.[1] ?? 0)
  const wrong = Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0)
  const broken = [...text.matchAll(/(?:connect|read|write|timeout) (\d+)/g)].reduce((sum, match) => sum + Number(match[1]), 0)
  return {
    cpu: used * TICK_US / requests, rps: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]), requests,
    p50: duration(/^\s+50%\s+(\S+)/m.exec(text)?.[1]), p99: duration(/^\s+99%\s+(\S+)/m.exec(text)?.[1]),
    errors: broken + (row.refused ? requests - wrong : wrong), foreign: Math.max(0, busy - used) / ticks,
  }
}

function output(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => { text += chunk.toString() })
    child.on('error', reject)
    child.on('close', (code) => code === 0 ? resolve(text) : reject(new Error(`${command} ended with ${code}`)))
  })
}
