/** Loads a proxy by wrk from CPU 1 and takes what the proxy's processes used of CPU 0. */
import { writeFileSync } from 'node:fs'
import { family, watchCpu } from './cpu.ts'
import { output } from './output.ts'
import { WORK } from './workspace.ts'

/** One window of load. */
export interface Sample {
  /** CPU microseconds a request, of the proxy. */
  readonly cpu: number
  readonly rps: number
  /** Milliseconds. With all connections busy all the time they only restate the throughput. */
  readonly p50: number
  readonly p99: number
  readonly requests: number
  /** Answers that were not what they had to be, and broken connections. */
  readonly errors: number
  /** Share of CPU 0 that others used meanwhile. */
  readonly foreign: number
}

/** A kind of load. */
export interface Load {
  /** A file of tokens below the work folder, one a line, taken in turn. */
  readonly tokens: string
  readonly path: string
  /** Bytes of a body. */
  readonly post?: number
  /** The answers are refusals, and must be. */
  readonly refused?: boolean
  /** So many header fields in all, instead of a usual set. */
  readonly headers?: number
  readonly connections?: number
}

/** Arguments: file of tokens, path, bytes of the body or 0, header fields or 0. Every request is bytes before the clock starts. */
const SCRIPT = `
local requests, count, at = {}, 0, 0
function init(args)
  local method, path, body, fields = "GET", args[2], nil, tonumber(args[4] or "0")
  if args[3] ~= "0" then method, body = "POST", string.rep("x", tonumber(args[3])) end
  local headers = { ["User-Agent"] = "Mozilla/5.0 (bench)", ["Accept"] = "*/*", ["Accept-Language"] = "en", ["X-Request-Id"] = "3f8e2c1a-7b54-4d0e", ["traceparent"] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" }
  if fields > 0 then
    headers = { ["Accept"] = "*/*" }
    for field = 4, fields do headers["X-Field-" .. field] = "a value of some thirty characters" end
  end
  for token in io.lines(args[1]) do
    headers["Authorization"] = "Bearer " .. token
    count = count + 1
    requests[count] = wrk.format(method, path, headers, body)
  end
end
function request() at = at % count + 1; return requests[at] end
`

const MS: Record<string, number> = { us: 0.001, ms: 1, s: 1_000 }
const duration = (text: string | undefined): number => {
  const match = /([\d.]+)(us|ms|s)/.exec(text ?? '')
  return match ? Number(match[1]) * MS[match[2]!]! : NaN
}

/** What wrk's report says, with how many answers were not as they had to be. */
export function readReport(text: string, refused: boolean): Omit<Sample, 'cpu' | 'foreign'> {
  const requests = Number(/(\d+) requests in/.exec(text)?.[1] ?? 0)
  const wrong = Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0)
  const broken = [...text.matchAll(/(?:connect|read|write|timeout) (\d+)/g)].reduce((sum, match) => sum + Number(match[1]), 0)
  return {
    rps: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]), requests, p50: duration(/^\s+50%\s+(\S+)/m.exec(text)?.[1]), p99: duration(/^\s+99%\s+(\S+)/m.exec(text)?.[1]),
    errors: broken + (refused ? requests - wrong : wrong),
  }
}

/** One window of `seconds`, a whole number: wrk knows no other. */
export async function load(pid: number, port: number, row: Load, seconds: number): Promise<Sample> {
  writeFileSync(`${WORK}load.lua`, SCRIPT)
  const over = watchCpu(0, family(pid))
  const wrk = ['-c', '1', 'wrk', '-t1', `-c${row.connections ?? 32}`, `-d${seconds}s`, '--latency', '-s', `${WORK}load.lua`, `http://127.0.0.1:${port}${row.path}`]
  const report = readReport(await output('taskset', [...wrk, '--', `${WORK}${row.tokens}`, row.path, String(row.post ?? 0), String(row.headers ?? 0)]), row.refused === true)
  const { used, foreign } = over()
  return { ...report, cpu: used * 1_000 / report.requests, foreign }
}
