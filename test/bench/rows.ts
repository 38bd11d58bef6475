/** The rows at full load: every row goes round all peers, several times. */
import { load, type Load, type Sample } from './load.ts'
import { collect, disturbance, turned, type Collected } from './rounds.ts'
import { OTHERS } from './workspace.ts'
import type { Running } from './peers/peers.ts'

export interface Row extends Load {
  readonly name: string
  /** About tokens only: nothing to see in a proxy that looks at none. */
  readonly tokensOnly?: boolean
  /** Every token must be new to the proxy: first its caches are filled with others. */
  readonly fresh?: boolean
}

export const ROWS: readonly Row[] = [
  { name: 'warm token', tokens: 'tokens-one.txt', path: '/' },
  { name: '1,000 tokens', tokens: 'tokens-thousand.txt', path: '/', tokensOnly: true },
  { name: 'new token each, RS256', tokens: 'tokens-fresh-rs.txt', path: '/', tokensOnly: true, fresh: true },
  { name: 'new token each, ES256', tokens: 'tokens-fresh-es.txt', path: '/', tokensOnly: true, fresh: true },
  { name: 'bad signature', tokens: 'tokens-bad.txt', path: '/', refused: true, tokensOnly: true },
  { name: '64 KiB response', tokens: 'tokens-one.txt', path: '/body/64k.bin' },
  { name: '1 MiB POST', tokens: 'tokens-one.txt', path: '/sink', post: 1 << 20 },
]

/** Their cost tells how fast the machine is just now: one that checks and one that does not. */
export const REFERENCES = ['envoy jwt_authn', 'nginx plain']

/** By the peer's name. */
export type RowRound = Readonly<Record<string, Sample>>

/** Every window begins with the same token again, so one must be long enough for all of the others. */
async function fillCaches(pid: number, port: number): Promise<void> {
  const others: Load = { tokens: 'tokens-others.txt', path: '/' }
  const { requests } = await load(pid, port, others, 1)
  if (requests < OTHERS) await load(pid, port, others, Math.ceil(1.5 * OTHERS / requests))
}

/** Warms everyone up with the row's own load, then measures rounds of one window for each; who begins changes from round to round. */
export async function measureRow(row: Row, running: readonly Running[], rounds: number, seconds: number): Promise<Collected<RowRound>> {
  const peers = running.filter(({ peer }) => peer.checks || !row.tokensOnly)
  for (const { pid, peer } of peers) {
    if (row.fresh) await fillCaches(pid, peer.port)
    await load(pid, peer.port, row, 1)
  }
  const round = async (at: number): Promise<RowRound> => {
    const samples = new Map<Running, Sample>()
    for (const each of turned(peers, at)) samples.set(each, await load(each.pid, each.peer.port, row, seconds))
    return Object.fromEntries(peers.map((each) => [each.peer.name, samples.get(each)!]))
  }
  return collect(rounds, round, (samples, all) => disturbance(samples, all, REFERENCES))
}
