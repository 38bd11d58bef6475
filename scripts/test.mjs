// Runs the tests and ends with the true line `N passed, N failed, N skipped` over all of them.
//   node scripts/test.mjs              everything that can run on this machine
//   node scripts/test.mjs --cluster    only the end-to-end tests on a real Kubernetes
//   node scripts/test.mjs --no-cluster everything else
//   node scripts/test.mjs FILE...      these files
// Each file runs in its own process (tap). Failures are printed with their diagnostics, skips are listed with their reasons.
import { spawn } from 'node:child_process'
import { existsSync, globSync, mkdirSync, createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { provide } from './tools.mjs'

process.chdir(new URL('..', import.meta.url).pathname)
const args = process.argv.slice(2)
const files = args.filter((arg) => !arg.startsWith('--'))
const flags = new Set(args.filter((arg) => arg.startsWith('--')))
for (const flag of flags) {
  if (flag === '--cluster' || flag === '--no-cluster') continue
  console.error(`test: unknown flag ${flag}; use --cluster, --no-cluster or file names`)
  process.exit(2)
}

const isCluster = (file) => file.startsWith('test/e2e/')
const all = globSync('test/**/*.test.ts').sort()
const hasCluster = Boolean(process.env.KUBECONFIG) || existsSync('../shared/cluster/cluster')
const phases = files.length > 0
  ? [{ name: 'files', files, jobs: 1, timeout: 1500 }]
  : [
      { name: 'unit, security and end-to-end', files: flags.has('--cluster') ? [] : all.filter((file) => !isCluster(file)), jobs: 2, timeout: 240 },
      // One file at a time: they share the machine's one cluster.
      { name: 'cluster', files: flags.has('--no-cluster') ? [] : all.filter(isCluster), jobs: 1, timeout: 1500 },
    ].filter((phase) => phase.files.length > 0)

const totals = { pass: 0, fail: 0, skip: 0 }
const skips = []
mkdirSync('.tap', { recursive: true })

/** The failed assertions of a file's TAP, each with its diagnostics; without any (a crash, a time-out), the last lines. */
function failures(block) {
  const kept = []
  let inside = false
  for (const line of block) {
    if (/^\s*not ok /.test(line)) inside = true
    else if (/^\s*(?:ok \d|# |\d+\.\.\d)/.test(line)) inside = false
    if (inside) kept.push(line)
  }
  return kept.length > 1 ? kept : block.slice(-40)
}

/** Runs one phase; prints a line per file, and for a failed one what failed. */
async function run({ name, files: list, jobs, timeout }) {
  console.log(`\n== ${name}: ${list.length} files`)
  const started = Date.now()
  const child = spawn('tap', ['--reporter=tap', `--jobs=${jobs}`, `--timeout=${timeout}`, ...list], { stdio: ['ignore', 'pipe', 'inherit'] })
  const log = createWriteStream(`.tap/${name.replaceAll(/\W+/g, '-')}.tap`)
  let block = []
  let counted
  for await (const line of createInterface({ input: child.stdout })) {
    log.write(`${line}\n`)
    block.push(line)
    const skip = /^\s+ok \d+ - (.*?) # SKIP ?(.*)$/.exec(line)
    if (skip) skips.push(`${skip[1]}${skip[2] ? `: ${skip[2]}` : ''}`)
    const file = /^(ok|not ok) \d+ - (\S+)(.*)$/.exec(line)
    if (file) {
      if (/# SKIP/.test(file[3])) skips.push(file[2] + file[3].replace(/.*# SKIP/, ':'))
      console.log(`${file[1] === 'ok' ? '  ok  ' : '  FAIL'} ${file[2]}${(/# time=\S+/.exec(file[3]) ?? [''])[0].replace('# time=', '  ')}`)
      if (file[1] === 'not ok') console.log(failures(block).map((text) => `      ${text}`).join('\n'))
      block = []
    }
    const sum = /^# \{ total: (\d+)(?:, pass: (\d+))?(?:, fail: (\d+))?(?:, skip: (\d+))?(?:, todo: (\d+))? \}/.exec(line)
    if (sum) counted = { total: Number(sum[1]), pass: Number(sum[2] ?? 0), fail: Number(sum[3] ?? 0), skip: Number(sum[4] ?? 0), todo: Number(sum[5] ?? 0) }
  }
  const code = child.exitCode ?? await new Promise((resolve) => { child.on('exit', (status) => resolve(status ?? 1)) })
  if (!counted) {
    console.log(`test: the runner ended without a summary (exit ${code}):\n${block.join('\n')}`)
    totals.fail += 1
    return
  }
  totals.pass += counted.pass
  // A todo is an unproved claim, and a runner that fails without a failed assertion (a crash, a time-out) is a failure too.
  totals.fail += counted.fail + counted.todo + (code !== 0 && counted.fail === 0 ? 1 : 0)
  totals.skip += counted.skip
  console.log(`== ${name}: ${counted.pass} passed, ${counted.fail} failed, ${counted.skip} skipped in ${Math.round((Date.now() - started) / 1000)} s`)
}

if (files.length === 0) provide()
for (const phase of phases) await run(phase)

if (!hasCluster && !flags.has('--no-cluster') && files.length === 0) {
  console.log('\ncluster tests: no KUBECONFIG and no ../shared/cluster on this machine; they skip themselves')
}
if (skips.length > 0) console.log(`\nskipped:\n${[...new Set(skips)].map((line) => `  ${line}`).join('\n')}`)
console.log(`\n${totals.pass} passed, ${totals.fail} failed, ${totals.skip} skipped`)
process.exit(totals.fail > 0 || totals.pass === 0 ? 1 : 0)
