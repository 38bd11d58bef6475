/** Measures cost curves: each point in turn with the smallest one, A B A B, both processes up all the time. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { load, type Sample } from '../load.ts'
import { memoryOf } from '../memory.ts'
import { sidecar, startPeer, stop, type Running } from '../peers/peers.ts'
import { collect, disturbance } from '../rounds.ts'
import { firstGood } from '../start.ts'
import { WORK } from '../workspace.ts'
import type { Curve, CurveResult, Pair, Point, PointResult } from './curve.ts'

const FIRST_PORT = 19_131
/** Windows that warm up a process that is new: else the smallest point, which runs beside all the others, would be the only one that V8 has optimised fully. */
const WARM_WINDOWS = 2

interface Site { readonly point: Point, readonly running: Running, readonly fresh: boolean, anon: number }

/** A process for each configuration. */
async function startSites(points: readonly Point[], running: Running[]): Promise<Site[]> {
  const sites: Site[] = []
  for (const point of points) {
    const known = sites.find((site) => site.point.config(0) === point.config(0))
    if (known) {
      sites.push({ point, running: known.running, fresh: false, anon: NaN })
      continue
    }
    const port = FIRST_PORT + running.length
    const started = await startPeer(sidecar(`curve ${running.length}`, port, point.config(port)))
    running.push(started)
    await firstGood(started, firstLine(point.load.tokens), point.load.path)
    sites.push({ point, running: started, fresh: true, anon: NaN })
  }
  return sites
}

const firstLine = (name: string): string => readFileSync(`${WORK}${name}`, 'latin1').split('\n')[0]!

/** One after the other, and the memory in the middle of the last one, if that is when it is read. */
async function warmUp(site: Site, curve: Curve, window: (site: Site) => Promise<unknown>): Promise<void> {
  for (let at = 1; at < WARM_WINDOWS && site.fresh; at++) await window(site)
  const last = window(site)
  if (curve.memory === 'loaded') {
    await sleep((curve.seconds ?? 1) * 700)
    site.anon = memoryOf(site.running.pid).anon
  }
  await last
}

/** @param mayRepeat see {@link collect} */
export async function measureCurve(curve: Curve, rounds: number, mayRepeat: () => boolean): Promise<CurveResult> {
  const running: Running[] = []
  const window = ({ point, running: { pid, peer } }: Site): Promise<Sample> => load(pid, peer.port, point.load, curve.seconds ?? 1)
  try {
    const sites = await startSites(curve.points(), running)
    if (curve.memory === 'idle') {
      await sleep(2_000)
      for (const site of sites) site.anon = memoryOf(site.running.pid).anon
    }
    for (const site of sites) await warmUp(site, curve, window)
    const [first, ...others] = sites as [Site, ...Site[]]
    const points: PointResult[] = []
    for (const site of others) {
      const pair = async (): Promise<Pair> => ({ reference: await window(first), point: await window(site) })
      points.push({ x: site.point.x, pairs: await collect(rounds, pair, (round, all) => disturbance(round, all, []), mayRepeat), anon: site.anon })
    }
    const errors = points.flatMap(({ pairs }) => pairs.kept).reduce((sum, { reference, point }) => sum + reference.errors + point.errors, 0)
    return { name: curve.name, unit: curve.unit, expected: curve.expected, why: curve.why, first: { x: first.point.x, anon: first.anon }, points, errors }
  } finally {
    for (const { child } of running) await stop(child)
  }
}
