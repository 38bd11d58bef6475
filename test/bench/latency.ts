/** Added latency at a rate that everyone can serve: through each proxy and directly to the app, in the same round. */
import { family, watchCpu } from './cpu.ts'
import { output } from './output.ts'
import { APP_PORT } from './peers/configs.ts'
import { collect, disturbance, turned, type Collected, type Window } from './rounds.ts'
import { ROOT, WORK } from './workspace.ts'
import type { Running } from './peers/peers.ts'

export const RATE = 2_000
export const CONNECTIONS = 16
/** The generator's own lateness, as p99 in milliseconds, beyond which its window says nothing. */
const LATE_LIMIT = 0.5
export const DIRECT = 'direct'

export interface PacedSample extends Window {
  /** Milliseconds from when a request was due to its answer. */
  readonly p50: number
  readonly p99: number
  /** Unanswered requests and broken connections. */
  readonly errors: number
  /** How late the generator itself was, p99 in milliseconds. */
  readonly late: number
}

/** By the peer's name, and {@link DIRECT}. */
export type PacedRound = Readonly<Record<string, PacedSample>>

interface Said { readonly answered: number, readonly p50: number, readonly p99: number, readonly errors: number, readonly late: number, readonly cpuMs: number }

/** @param pid of the proxy; undefined: straight to the app */
async function paced(port: number, pid: number | undefined, appPid: number, seconds: number): Promise<PacedSample> {
  const proxy = watchCpu(0, pid === undefined ? [] : family(pid))
  const behind = watchCpu(1, [process.pid, ...family(appPid)])
  const command = ['-c', '1', 'chrt', '-i', '0', process.execPath, `${ROOT}test/bench/paced.ts`]
  const { answered, cpuMs, ...said } = JSON.parse(await output('taskset', [...command, ...[port, RATE, CONNECTIONS, seconds].map(String), `${WORK}tokens-one.txt`])) as Said
  const [{ used, foreign }, app] = [proxy(), behind(cpuMs)]
  return { ...said, cpu: pid === undefined ? NaN : used * 1_000 / answered, foreign: Math.max(foreign, app.foreign) }
}

/** Rounds of one window for each; who begins changes from round to round. */
export function measureLatency(running: readonly Running[], app: number, rounds: number, seconds: number, references: readonly string[]): Promise<Collected<PacedRound>> {
  const round = async (at: number): Promise<PacedRound> => {
    const direct = await paced(APP_PORT, undefined, app, seconds)
    const samples = new Map<Running, PacedSample>()
    for (const each of turned(running, at)) samples.set(each, await paced(each.peer.port, each.pid, app, seconds))
    return { [DIRECT]: direct, ...Object.fromEntries(running.map((each) => [each.peer.name, samples.get(each)!])) }
  }
  const late = (samples: PacedRound): number => Math.max(...Object.values(samples).map((sample) => sample.late)) / LATE_LIMIT
  return collect(rounds, round, (samples, all) => Math.max(late(samples), disturbance(samples, all, references)))
}
