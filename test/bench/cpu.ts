/** CPU time of processes and idle time of CPUs, from /proc. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'

const TICK_MS = 10

/** The first reads nanoseconds of all threads; the other is for kernels without it, in ticks. Neither counts time that the hypervisor stole, where the kernel can tell. */
const threadsMs = (pid: number): number => threads(pid).reduce((sum, thread) => sum + Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0]) / 1e6, 0)
const ticksMs = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}
const processMs = existsSync('/proc/self/schedstat') ? threadsMs : ticksMs

/** @throws Error when the process is gone: a proxy that died under load has no cost */
function threads(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch (error) {
    throw new Error(`process ${pid} ended while it was measured; see .bench/log`, { cause: error })
  }
}

/** Empty for what is gone meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

const processes = (): number[] => readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).map(Number)

/** Process ids of a process and all its descendants. */
export function family(pid: number): number[] {
  const children = new Map<number, number[]>()
  for (const each of processes()) {
    const parent = Number(read(`/proc/${each}/stat`).split(') ').at(-1)!.split(' ')[1])
    children.set(parent, [...children.get(parent) ?? [], each])
  }
  const all = [pid]
  for (let at = 0; at < all.length; at++) all.push(...children.get(all[at]!) ?? [])
  return all
}

/** User and system time of processes with all their threads, in milliseconds. */
export const cpuMs = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + processMs(pid), 0)

/** The kernel's helpers for network interrupts: what they do is done for the load. */
const softirq = new Map(processes().map((pid) => [/^ksoftirqd\/(\d+)/.exec(read(`/proc/${pid}/comm`))?.[1], pid]))

function idleMs(cpu: number): number {
  const fields = new RegExp(`^cpu${cpu} (.*)$`, 'm').exec(read('/proc/stat'))![1]!.split(' ').map(Number)
  return (fields[3]! + fields[4]!) * TICK_MS
}

export interface Usage {
  /** Milliseconds of CPU that the processes used. */
  readonly used: number
  /** Share of the CPU that was neither idle nor theirs: strangers, and what the hypervisor took. */
  readonly foreign: number
}

/**
 * Begins to watch a CPU and the processes that are ours on it; the function it returns ends that.
 * Its parameter: milliseconds that others of ours used there, which are gone by then.
 */
export function watchCpu(cpu: number, pids: readonly number[]): (gone?: number) => Usage {
  const kernel = softirq.get(String(cpu))
  const read = (): [number, number, number, number] => [cpuMs(pids), kernel === undefined ? 0 : processMs(kernel), idleMs(cpu), performance.now()]
  const before = read()
  return (gone = 0) => {
    const [used, helped, idle, elapsed] = read().map((value, at) => value - before[at]!) as [number, number, number, number]
    return { used, foreign: Math.max(0, elapsed - idle - used - helped - gone) / elapsed }
  }
}
