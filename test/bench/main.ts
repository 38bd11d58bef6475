/**
 * `npm run bench [-- OPTIONS]`: the sidecar beside what one would use instead. The figure is CPU time a request on one pinned core, and what carries over to other machines is the ratio.
 *
 *   --peers            install the peers that can be; measure everything, cost curves too, and write docs/benchmarks.md
 *   --curves           the cost curves, nothing else
 *   --limits           CPU quotas and memory limits (as root, cgroup v1), nothing else; added to the last run's results and to the page
 *   --rows=a,b         only rows (and: start, memory, latency, curves, or single curves) whose names hold one of these; no page
 *   --only=a,b         only peers whose names hold one of these; no page
 *   --rounds=5         undisturbed rounds of each row (3 without --peers)
 *   --seconds=2        length of a window
 *   --render           write the page from .bench/results.json, the last run's, and measure nothing
 *
 * Everything goes to .bench/results.json as it comes.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { check } from './check.ts'
import { curves } from './curves/curves.ts'
import { measureCurve } from './curves/measure.ts'
import { LIMITED, limitsSection, measureLimits } from './limits/limits.ts'
import { measureLatency } from './latency.ts'
import { measureMemory } from './memory.ts'
import { findPeers, startApp, startPeer, stop, type Peer, type Running } from './peers/peers.ts'
import { markdownPage, summary } from './page.ts'
import { machine } from './report.ts'
import { loadResults, saveResults, type Results } from './results.ts'
import { measureRow, REFERENCES, ROWS } from './rows.ts'
import { measureStarts } from './start.ts'
import { ROOT, WORK, openWorkspace, type Keys } from './workspace.ts'

const OPTIONS = {
  'peers': { type: 'boolean', default: false }, 'curves': { type: 'boolean', default: false }, 'rows': { type: 'string' }, 'only': { type: 'string' }, 'rounds': { type: 'string' }, 'seconds': { type: 'string', default: '2' },
  'render': { type: 'boolean', default: false }, 'limits': { type: 'boolean', default: false }, 'help': { type: 'boolean', default: false },
} as const

/** Says what there is, from this file's own head, and ends. */
function usage(status: number, fault = ''): never {
  const [, text = ''] = /\/\*\*\n([^]*?)\n \*\//.exec(readFileSync(import.meta.filename, 'utf8')) ?? []
  console.log(`${fault}${text.replaceAll(/^ \*(?: |$)/gm, '')}`)
  process.exit(status)
}

function readOptions() {
  try {
    return parseArgs({ options: OPTIONS }).values
  } catch (error) {
    return usage(2, `bench: ${(error as Error).message}\n\n`)
  }
}

const options = readOptions()
if (options.help) usage(0)
const rounds = Number(options.rounds ?? (options.peers ? 5 : 3))
const seconds = Number(options.seconds)
const STARTS = 21
const MEMORY_REPEATS = 3
/** Or more, if more are asked for: with three the courses of flat curves were now and then misread. */
const CURVE_ROUNDS = 5
/** After so long no point of a curve is repeated any more, however disturbed it was. */
const CURVES_MS = 420_000
const PAGE = `${ROOT}docs/benchmarks.md`

const holdsOne = (name: string, words: string | undefined): boolean => words === undefined || words.split(',').some((word) => name.includes(word))
const onlyLimits = options.limits && !options.peers
const onlyCurves = options.curves && !options.peers && options.rows === undefined
const wanted = (name: string): boolean => holdsOne(name, options.rows) && (!onlyCurves || name === 'curves')
const whole = options.peers && options.rows === undefined && options.only === undefined

const step = (text: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`)

async function measureFresh(peers: readonly Peer[], results: Results): Promise<void> {
  const checking = peers.filter(({ checks }) => checks)
  const token = readFileSync(`${WORK}tokens-one.txt`, 'latin1').trim()
  if (wanted('start')) {
    step('start')
    results.starts = await measureStarts(checking, token, STARTS)
  }
  if (wanted('memory')) {
    step('memory')
    results.memory = await measureMemory(checking, token, MEMORY_REPEATS)
  }
}

async function measureRunning(peers: readonly Peer[], app: number, keys: Keys, results: Results, running: Running[]): Promise<void> {
  const rows = ROWS.filter(({ name }) => wanted(name))
  if (rows.length === 0 && !wanted('latency')) return
  for (const peer of peers) running.push(await startPeer(peer))
  for (const peer of peers) if (peer.checks) results.checks[peer.name] = await check(peer, keys)
  for (const row of rows) {
    step(row.name)
    results.rows[row.name] = await measureRow(row, running, rounds, seconds)
    saveResults(results)
  }
  if (wanted('latency')) {
    step('latency at a fixed rate')
    results.latency = await measureLatency(running, app, rounds, seconds, REFERENCES)
  }
  for (const { child } of running.splice(0)) await stop(child)
}

async function measureCurves(keys: Keys, results: Results): Promise<void> {
  // --peers may be filtered to some rows: then the curves are asked for by name.
  const all = wanted('curves') && (options.curves || options.peers || options.rows?.includes('curves'))
  const chosen = all ? curves(keys) : options.rows === undefined ? [] : curves(keys).filter(({ name }) => holdsOne(name, options.rows))
  const end = Date.now() + CURVES_MS
  for (const curve of chosen) {
    step(`curve: ${curve.name}`)
    results.curves.push(await measureCurve(curve, Math.max(CURVE_ROUNDS, rounds), () => Date.now() < end))
    saveResults(results)
  }
}

/** They take long and are measured apart: a run without them keeps those of the last. */
function lastLimits(): Results['limits'] {
  try {
    return loadResults().limits
  } catch {
    return undefined
  }
}

/** To what the last run found: both have their date. */
async function addLimits(all: readonly Peer[]): Promise<void> {
  const peers = all.filter(({ name }) => LIMITED.includes(name))
  const app = await startApp()
  try {
    const results: Results = { ...loadResults(), limits: await measureLimits(peers, step) }
    saveResults(results)
    console.log(limitsSection(results.limits))
    if (Object.keys(results.rows ?? {}).length > 0) writeFileSync(PAGE, markdownPage(results))
  } finally {
    await stop(app)
  }
}

async function main(): Promise<void> {
  if (options.render) return writeFileSync(PAGE, markdownPage(loadResults()))
  const keys = openWorkspace()
  step('building')
  if (spawnSync('node', ['scripts/build.mjs'], { cwd: ROOT, stdio: 'inherit' }).status !== 0) process.exit(1)
  // CPU 0 is the proxies'.
  spawnSync('taskset', ['-a', '-p', '-c', '1', String(process.pid)], { stdio: 'ignore' })
  const { peers, skipped } = findPeers(options.peers)
  const chosen = peers.filter(({ name }) => holdsOne(name, options.only))
  const command = ['npm run bench --', ...process.argv.slice(2)].join(' ')
  const results: Results = { date: new Date().toISOString(), command, machine: machine(), rounds, seconds, skipped, checks: {}, starts: {}, memory: {}, rows: {}, latency: undefined, curves: [], limits: lastLimits() }
  if (onlyLimits) return addLimits(peers)
  const app = await startApp()
  const running: Running[] = []
  process.once('SIGTERM', () => {
    for (const { child } of running) child.kill()
    app.kill()
    process.exit(1)
  })
  try {
    await measureFresh(chosen, results)
    saveResults(results)
    await measureRunning(chosen, app.pid!, keys, results, running)
    await measureCurves(keys, results)
  } finally {
    saveResults(results)
    for (const { child } of running) await stop(child)
    await stop(app)
  }
  console.log(`\n${summary(results)}`)
  if (whole) writeFileSync(PAGE, markdownPage(results))
  step(whole ? `written: ${PAGE}` : 'written: .bench/results.json')
}

await main()
