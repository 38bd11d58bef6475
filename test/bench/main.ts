/**
 * `npm run bench [-- --peers] [--rows=warm,...] [--rounds=3] [--seconds=2]`: the sidecar beside what one would use instead. Every row goes round all peers, several times; the figure is CPU time a
 * request on one pinned core, and what carries over to other machines is the ratio. Writes .bench/results.json; with --peers also docs/benchmarks.md.
 */
import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { check } from './check.ts'
import { cpuTicks, family, load, type Row, type Sample } from './load.ts'
import { footprint, oneToken, type Footprint } from './memory.ts'
import { findPeers, startApp, startPeer, stop, type Peer, type Running } from './peers/peers.ts'
import { markdownPage } from './page.ts'
import { median, round, table } from './report.ts'
import { ROOT, WORK, openWorkspace } from './workspace.ts'

const ROWS: readonly Row[] = [
  { name: 'warm token', tokens: 'tokens-one.txt', path: '/' },
  { name: '1,000 tokens', tokens: 'tokens-thousand.txt', path: '/' },
  { name: 'new token each, RS256', tokens: 'tokens-fresh-rs.txt', path: '/' },
  { name: 'new token each, ES256', tokens: 'tokens-fresh-es.txt', path: '/' },
  { name: 'bad signature', tokens: 'tokens-bad.txt', path: '/', refused: true },
  { name: '64 KiB response', tokens: 'tokens-one.txt', path: '/body/64k.bin' },
  { name: '1 MiB POST', tokens: 'tokens-one.txt', path: '/sink', post: 1 << 20 },
]
const PACED = '2,000 requests a second'
const ABOUT_TOKENS = /token each|signature/

const { values: options } = parseArgs({ options: {
  peers: { type: 'boolean', default: false }, rows: { type: 'string' }, rounds: { type: 'string', default: '3' }, seconds: { type: 'string', default: '2' }, only: { type: 'string' }, page: { type: 'boolean', default: false },
} })
const rounds = Number(options.rounds)
const seconds = Number(options.seconds)
const wanted = (name: string): boolean => options.rows === undefined || options.rows.split(',').some((word) => name.includes(word))

/** CPU and latency at a fixed rate. */
async function paced(running: Running): Promise<Sample> {
  const pids = family(running.pid)
  const before = cpuTicks(pids)
  const args = ['-c', '1', process.execPath, `${ROOT}test/bench/paced.ts`, String(running.peer.port), '2000', '16', String(seconds), `${WORK}tokens-one.txt`]
  const text = await new Promise<string>((resolve, reject) => {
    const child = spawn('taskset', args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let all = ''
    child.stdout.on('data', (chunk: Buffer) => { all += chunk.toString() })
    child.on('error', reject).on('close', () => resolve(all))
  })
  const found = JSON.parse(text) as { requests: number, p50: number, p99: number, errors: number }
  return { ...found, cpu: (cpuTicks(pids) - before) * 10_000 / found.requests, rps: found.requests / seconds, foreign: NaN }
}

type Results = Map<string, Map<string, Sample[]>>

/** @param save called after each row: a bench that is broken off has what it has */
async function measure(running: readonly Running[], results: Results, save: () => void): Promise<void> {
  const rows = [...ROWS, { name: PACED, tokens: 'tokens-one.txt', path: '/' }].filter(({ name }) => wanted(name))
  for (const row of rows) {
    const peers = running.filter(({ peer }) => peer.checks || !ABOUT_TOKENS.test(row.name))
    const samples = new Map<string, Sample[]>(peers.map(({ peer }) => [peer.name, []]))
    results.set(row.name, samples)
    for (const { pid, peer } of peers) await load(pid, peer.port, row, 1)
    for (let at = 0; at < rounds; at++) {
      for (const each of peers) samples.get(each.peer.name)!.push(row.name === PACED ? await paced(each) : await load(each.pid, each.peer.port, row, seconds))
    }
    for (const [name, all] of samples) {
      const errors = all.reduce((sum, { errors }) => sum + errors, 0)
      const best = all.reduce((a, b) => a.cpu <= b.cpu ? a : b)
      console.log(`${row.name.padEnd(24)} ${name.padEnd(20)} ${round(best.cpu, 1).padStart(7)} us  median ${round(median(all.map(({ cpu }) => cpu)), 1).padStart(7)}  ${round(best.rps).padStart(6)} rps  p50 ${round(best.p50, 2)} p99 ${round(best.p99, 2)} ms${errors > 0 ? `  ${errors} ERRORS` : ''}`)
    }
    save()
  }
}

async function main(): Promise<void> {
  const keys = openWorkspace()
  console.log('building')
  if (spawnSync('node', ['scripts/build.mjs'], { cwd: ROOT, stdio: 'inherit' }).status !== 0) process.exit(1)
  const peers = findPeers(options.peers).filter(({ name }) => options.only === undefined || options.only.split(',').some((word) => name.includes(word)))
  const app = await startApp()
  const running: Running[] = []
  process.once('SIGTERM', () => {
    for (const { child } of running) child.kill()
    app.kill()
    process.exit(1)
  })
  const results: Results = new Map()
  const checks = new Map<string, Record<string, string>>()
  const footprints = new Map<string, Footprint>()
  try {
    if (wanted('memory')) for (const peer of peers.filter(({ checks }) => checks)) footprints.set(peer.name, await footprint(peer, oneToken()))
    for (const [name, { idle, tokens, bodies, connections, start }] of footprints) {
      console.log(`${name.padEnd(20)} start ${round(start)} ms; anonymous (resident) MiB: idle ${round(idle.anon, 1)} (${round(idle.rss)}), tokens ${round(tokens.anon, 1)} (${round(tokens.rss)}), bodies ${round(bodies.anon, 1)} (${round(bodies.rss)}), 1,000 connections ${round(connections.anon, 1)} (${round(connections.rss)})`)
    }
    for (const peer of peers) running.push(await startPeer(peer))
    for (const { peer } of running) if (peer.checks) checks.set(peer.name, await check(peer, keys))
    printChecks(peers, checks)
    const save = (): void => {
      const plain = Object.fromEntries([...results].map(([row, samples]) => [row, Object.fromEntries(samples)]))
      writeFileSync(`${WORK}results.json`, JSON.stringify({ checks: Object.fromEntries(checks), footprints: Object.fromEntries(footprints), rows: plain }, undefined, 2))
      if (options.page || (options.peers && options.rows === undefined && options.only === undefined)) writeFileSync(`${ROOT}docs/benchmarks.md`, markdownPage(results, footprints, checks).markdown)
    }
    await measure(running, results, save)
    save()
    console.log(`\n${markdownPage(results, footprints, checks).summary}`)
  } finally {
    for (const { child } of running) await stop(child)
    await stop(app)
  }
}

function printChecks(peers: readonly Peer[], checks: ReadonlyMap<string, Record<string, string>>): void {
  const names = peers.map(({ name }) => name).filter((name) => checks.has(name))
  if (names.length === 0) return
  const cases = Object.keys(checks.get(names[0]!)!)
  console.log(table([['', ...names], ...cases.map((name) => [name, ...names.map((peer) => checks.get(peer)![name]!)])], false))
}

await main()
