/** Under a CPU quota, as a container with a CPU limit has: the sidecar and Envoy in turn, each in a group of its own. */
import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuGroup, type CpuUse } from '../../helpers/cgroup.ts'
import { load } from '../load.ts'
import { output } from '../output.ts'
import { startPeer, stop, type Peer } from '../peers/peers.ts'
import { firstGood, startOnce } from '../start.ts'
import { median } from '../stats.ts'
import { ROOT, WORK } from '../workspace.ts'
import { readdirSync } from 'node:fs'

/** Millicores, and requests a second that both can serve under them: about a third of what the slower one can. */
export const QUOTAS = [{ millicores: 100, rate: 150 }, { millicores: 250, rate: 500 }, { millicores: 500, rate: 1_000 }] as const
const CONNECTIONS = 16
/** Where a peer tells whether it is ready, from its port on: Envoy's admin port, and the sidecar's health port here. */
export const PROBE_PORT = 500
const PROBE_EVERY = 250
/** As the injector sets it. */
const PROBE_TIMEOUT = 3_000
const STARTS = 3

export interface QuotaResult {
  readonly millicores: number
  readonly peer: string
  /** Milliseconds from the start of the process to the first 200. */
  readonly starts: number[]
  readonly threads: number
  readonly rate: number
  readonly paced: { readonly p50: number, readonly p99: number, readonly errors: number, readonly throttled: number }
  readonly full: { readonly rps: number, readonly p50: number, readonly p99: number, readonly errors: number, readonly throttled: number }
  /** Probes under full load: the slowest, and how many were not answered in time. */
  readonly probes: { readonly slowest: number, readonly missed: number, readonly count: number }
}

/** Share of periods in which it was stopped. */
const throttled = (before: CpuUse, after: CpuUse): number => (after.throttled - before.throttled) / (after.periods - before.periods)

/** Asks the readiness of a peer now and then, as the kubelet does, on a connection of its own. */
function probing(port: number, path: string): () => Promise<QuotaResult['probes']> {
  const times: number[] = []
  const state = { running: true, missed: 0 }
  const probe = (): Promise<boolean> => new Promise((resolve) => {
    const request = http.get({ port, path, host: '127.0.0.1', agent: false, timeout: PROBE_TIMEOUT }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode === 200)).on('error', () => resolve(false))
    })
    request.on('timeout', () => request.destroy()).on('error', () => resolve(false))
  })
  const all = (async () => {
    while (state.running) {
      const begin = performance.now()
      if (!await probe()) state.missed++
      times.push(performance.now() - begin)
      await sleep(PROBE_EVERY)
    }
  })()
  return async () => {
    state.running = false
    await all
    return { slowest: Math.max(...times), missed: state.missed, count: times.length }
  }
}

async function paced(port: number, rate: number, seconds: number): Promise<{ p50: number, p99: number, errors: number }> {
  const command = ['-c', '1', process.execPath, `${ROOT}test/bench/paced.ts`]
  return JSON.parse(await output('taskset', [...command, ...[port, rate, CONNECTIONS, seconds].map(String), `${WORK}tokens-one.txt`])) as { p50: number, p99: number, errors: number }
}

async function measureOne(plain: Peer, { millicores, rate }: (typeof QUOTAS)[number], token: string, seconds: number): Promise<QuotaResult> {
  const group = cpuGroup(millicores)
  const peer: Peer = { ...plain, command: () => group.within(plain.command()) }
  try {
    const starts: number[] = []
    for (let at = 0; at < STARTS; at++) starts.push(await startOnce(peer, token))
    const { child, pid } = await startPeer(peer)
    try {
      await firstGood({ peer, child }, token)
      await load(pid, peer.port, { tokens: 'tokens-one.txt', path: '/' }, 2)
      const one = group.use()
      const modest = await paced(peer.port, rate, seconds)
      const two = group.use()
      const probes = probing(peer.port + PROBE_PORT, peer.name.startsWith('sidegate') ? '/readyz' : '/ready')
      const full = await load(pid, peer.port, { tokens: 'tokens-one.txt', path: '/' }, seconds)
      const three = group.use()
      return {
        millicores, peer: peer.name, starts, threads: readdirSync(`/proc/${pid}/task`).length, rate, probes: await probes(),
        paced: { ...modest, throttled: throttled(one, two) },
        full: { rps: full.rps, p50: full.p50, p99: full.p99, errors: full.errors, throttled: throttled(two, three) },
      }
    } finally {
      await stop(child)
    }
  } finally {
    await group.remove()
  }
}

/** Each quota, each peer, twice: the better of both, since others on the machine only make it worse. */
export async function measureQuotas(peers: readonly Peer[], token: string, seconds: number): Promise<QuotaResult[]> {
  const results: QuotaResult[] = []
  for (const quota of QUOTAS) {
    for (const peer of peers) {
      const [one, two] = [await measureOne(peer, quota, token, seconds), await measureOne(peer, quota, token, seconds)]
      results.push({ ...one.full.rps > two.full.rps ? one : two, starts: [...one.starts, ...two.starts], paced: one.paced.p99 < two.paced.p99 ? one.paced : two.paced })
    }
  }
  return results
}

export const typicalStart = ({ starts }: QuotaResult): number => median(starts)
