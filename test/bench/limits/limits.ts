/** `npm run bench -- --limits`: what a container's limits do to the sidecar, and the page's section about it. */
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { missing, sweep } from '../../helpers/cgroup.ts'
import { imageCommand } from '../../helpers/image-command.ts'
import { sidegate } from '../peers/configs.ts'
import { sidecar, type Peer } from '../peers/peers.ts'
import { percent, round, table } from '../report.ts'
import { ROOT, WORK } from '../workspace.ts'
import { LIMITS, measureCharged, measureMemoryLimits, type MemoryResult } from './memory.ts'
import { PROBE_PORT, measureQuotas, typicalStart, type QuotaResult } from './quota.ts'

const SECONDS = 4
const OURS = 'sidegate'
/** The peers measured. */
export const LIMITED: readonly string[] = [OURS, 'envoy jwt_authn']

export interface LimitsResult {
  readonly date: string
  readonly quotas: QuotaResult[]
  readonly memory: MemoryResult[]
  readonly charged: MemoryResult
}

/** The bench's sidecar, with a health port that is known. */
function probed(peer: Peer): Peer {
  const { name, port } = peer
  return name === OURS ? sidecar(name, port, JSON.stringify({ ...JSON.parse(sidegate(port, true)) as object, health: { bind: `127.0.0.1:${port + PROBE_PORT}` } })) : peer
}

/**
 * Measures all of it, in about ten minutes.
 * @throws with what is missing, when groups cannot be made here
 */
export async function measureLimits(peers: readonly Peer[], told: (line: string) => void): Promise<LimitsResult> {
  const why = missing('cpu') ?? missing('memory')
  if (why !== undefined) throw new Error(`--limits: ${why}`)
  sweep()
  const token = readFileSync(`${WORK}tokens-one.txt`, 'latin1').trim()
  told('under CPU quotas')
  const quotas = await measureQuotas(LIMITED.flatMap((name) => peers.filter((peer) => peer.name === name).map(probed)), token, SECONDS)
  told(`so far:\n${table(quotaTable(quotas), false)}`)
  const { entry, flags } = imageCommand(ROOT)
  const command = { entry, flags: [...flags, `--allow-fs-read=${tmpdir()}/`] }
  const memory = await measureMemoryLimits(command, (name) => told(`under memory limits: ${name}`))
  told('with Node\'s pages charged')
  return { date: new Date().toISOString(), quotas, memory, charged: await measureCharged(command) }
}

function quotaTable(quotas: readonly QuotaResult[]): string[][] {
  const rows = quotas.map((each) => [
    `${each.millicores}m, ${each.peer}`, round(typicalStart(each)), `${each.rate}`, `${round(each.paced.p50, 1)} / ${round(each.paced.p99, 1)}`, percent(each.paced.throttled), round(each.full.rps), `${round(each.full.p50)} / ${round(each.full.p99)}`,
    percent(each.full.throttled), `${round(each.probes.slowest)}${each.probes.missed > 0 ? `, ${each.probes.missed} of ${each.probes.count} missed` : ''}`, String(each.threads),
  ])
  return [['', 'start to first 200, ms', 'modest rate, 1/s', 'p50 / p99 ms', 'periods throttled', 'full load, 1/s', 'p50 / p99 ms', 'periods throttled', 'slowest probe, ms', 'threads'], ...rows]
}

/** In words: what the other does less. */
function compared(quotas: readonly QuotaResult[]): string {
  return [...new Set(quotas.map(({ millicores }) => millicores))].flatMap((millicores) => {
    const [ours, other] = LIMITED.map((name) => quotas.find((each) => each.millicores === millicores && each.peer === name))
    if (!ours || !other) return []
    return [`at ${millicores}m it serves ${round(ours.full.rps / other.full.rps, 2)} times as many requests as Envoy under full load, and starts in ${round(typicalStart(ours) / typicalStart(other), 2)} times its time`]
  }).join('; ')
}

function memoryTable(memory: readonly MemoryResult[]): string[][] {
  const cell = ({ outcomes }: MemoryResult, limit: number): string => {
    const found = outcomes[limit]
    if (!found) return '-'
    const dead = found.died !== undefined || found.oomKills > 0
    return dead ? `killed (${found.died})` : `${round(found.peak.anonymous)} / ${round(found.peak.usage)}${found.passes ? '' : ', no good request afterwards'}`
  }
  return [['anonymous / all that is charged, most, MiB', ...LIMITS.map((limit) => `${limit} MiB`), 'buffers of sockets', 'clients'], ...memory.map((each) => {
    const widest = each.outcomes[LIMITS[1]]
    return [each.name, ...LIMITS.map((limit) => cell(each, limit)), round(widest?.peak.sockets ?? NaN), [widest?.says, ...widest?.wrong ?? []].join('; ')]
  })]
}

const chargedSentence = ({ outcomes }: MemoryResult): string => Object.entries(outcomes).map(([limit, { says, died }]) => `${limit} MiB: ${died === undefined ? says : `killed (${died})`}`).join('; ')

/** The section of docs/benchmarks.md; '' when it was not measured. */
export function limitsSection(result: LimitsResult | undefined): string {
  if (!result) return ''
  return `## Under limits

Measured on ${result.date.slice(0, 10)} by \`npm run bench -- --limits\`, in control groups as the kubelet makes them (cgroup v1, CPU period 100 ms). What to set: [sizing.md](sizing.md).

### CPU quota

One warm token. The modest rate is one that both can serve; a request that falls into the rest of a period in which the quota is used up waits up to 100 ms, whoever the proxy is. Probes are asked four times a second while 32 connections ask as fast as they can; the kubelet would wait 3,000 ms.

${table(quotaTable(result.quotas), true)}

So ${compared(result.quotas)}.

### Memory limit

Each row against a fresh sidecar; afterwards a good request has to pass. Nothing may be killed. Charged is anonymous memory, kernel memory and page cache; buffers of sockets are counted apart, as cgroup v1 does (v2 counts them as well; over loopback, where clients and app are here, they are far larger than over a pod's network).

${table(memoryTable(result.memory), true)}

A row without a figure is about a configuration that needs more than that limit: at 64 MiB a deny-list of 100,000 that is replaced under load fits in some runs and is killed in others.

The rows leave out one thing: Node's program is 150 MB, of which a running sidecar touches about 45 MiB. These pages are charged to the container that read them first on its node, and where the limit leaves no room for them the kernel reads them from disk again and again. With a Node of its own, in three seconds of warm load: ${chargedSentence(result.charged)}.

`
}
