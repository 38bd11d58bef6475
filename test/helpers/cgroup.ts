/**
 * Control groups of our own (cgroup v1), as the kubelet makes them for a container: a memory limit, a CPU quota. Names begin with `sidegate-limits-`;
 * whoever makes one removes it.
 */
import { accessSync, constants, existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const ROOT = '/sys/fs/cgroup'
const PREFIX = 'sidegate-limits-'
const MEBI = 1024 ** 2
/** The kubelet's. */
const PERIOD_US = 100_000

export interface MemoryUse {
  /** Anonymous memory: what cannot be given back, MiB. */
  readonly anonymous: number
  /** All that counts against the limit: page cache and kernel memory, too. MiB. */
  readonly usage: number
  /** Buffers of sockets, MiB. Counted here, but not against the limit, as cgroup v2 does. */
  readonly sockets: number
  /** How often the limit was met. */
  readonly failures: number
  readonly oomKills: number
}

export interface CpuUse {
  readonly periods: number
  /** Periods in which it was stopped. */
  readonly throttled: number
  readonly throttledMs: number
}

export interface Group {
  /** A command that runs `command` inside, under the same process id. */
  readonly within: (command: readonly string[]) => string[]
  /** Removes it, when its processes are gone. */
  readonly remove: () => Promise<void>
}

let count = 0

/** Why groups of this kind cannot be made here; undefined: they can. */
export function missing(kind: 'memory' | 'cpu'): string | undefined {
  const probe = kind === 'memory' ? 'memory.limit_in_bytes' : 'cpu.cfs_quota_us'
  if (!existsSync(`${ROOT}/${kind}/${kind}${kind === 'memory' ? '.stat' : '.cfs_period_us'}`)) return `${ROOT}/${kind}/${probe}: no cgroup v1 ${kind} controller here`
  try {
    accessSync(`${ROOT}/${kind}`, constants.W_OK)
    const group = open(kind)
    rmdirSync(group)
    return undefined
  } catch (error) {
    return `${ROOT}/${kind} cannot be written (${(error as Error).message}); run it as root`
  }
}

function open(kind: string): string {
  const path = `${ROOT}/${kind}/${PREFIX}${process.pid}-${count++}`
  mkdirSync(path)
  return path
}

function group(path: string): Group {
  return {
    within: (command) => ['sh', '-c', 'echo $$ > "$0" && exec "$@"', `${path}/cgroup.procs`, ...command],
    async remove() {
      for (let tries = 0; ; tries++) {
        try {
          return rmdirSync(path)
        } catch (error) {
          if (!existsSync(path)) return
          if (tries > 200) throw error
        }
        await sleep(20)
      }
    },
  }
}

/** Removes what an earlier run, whose process is gone, left behind. */
export function sweep(): void {
  for (const kind of ['memory', 'cpu']) {
    for (const name of existsSync(`${ROOT}/${kind}`) ? readdirSync(`${ROOT}/${kind}`) : []) {
      const owner = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]
      if (owner === undefined || existsSync(`/proc/${owner}`)) continue
      try { rmdirSync(`${ROOT}/${kind}/${name}`) } catch { /* still in use */ }
    }
  }
}

/** A group that may use so much memory. */
export function memoryGroup(mebibytes: number): Group & { readonly use: () => MemoryUse } {
  const path = open('memory')
  const read = (name: string): string => readFileSync(`${path}/memory.${name}`, 'latin1')
  writeFileSync(`${path}/memory.limit_in_bytes`, String(mebibytes * MEBI))
  // Any limit of its own makes the kernel count.
  if (existsSync(`${path}/memory.kmem.tcp.limit_in_bytes`)) writeFileSync(`${path}/memory.kmem.tcp.limit_in_bytes`, String(2 ** 40))
  return {
    ...group(path),
    use: () => ({
      anonymous: Number(/^rss (\d+)/m.exec(read('stat'))?.[1]) / MEBI,
      usage: Number(read('usage_in_bytes')) / MEBI,
      sockets: existsSync(`${path}/memory.kmem.tcp.usage_in_bytes`) ? Number(read('kmem.tcp.usage_in_bytes')) / MEBI : NaN,
      failures: Number(read('failcnt')),
      oomKills: Number(/^oom_kill (\d+)/m.exec(read('oom_control'))?.[1]),
    }),
  }
}

/** A group that may use so many thousandths of a CPU. */
export function cpuGroup(millicores: number): Group & { readonly use: () => CpuUse } {
  const path = open('cpu')
  writeFileSync(`${path}/cpu.cfs_period_us`, String(PERIOD_US))
  writeFileSync(`${path}/cpu.cfs_quota_us`, String(millicores * PERIOD_US / 1_000))
  return {
    ...group(path),
    use() {
      const text = readFileSync(`${path}/cpu.stat`, 'latin1')
      const field = (name: string): number => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(text)?.[1])
      return { periods: field('nr_periods'), throttled: field('nr_throttled'), throttledMs: field('throttled_time') / 1e6 }
    },
  }
}
