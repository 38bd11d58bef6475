/**
 * The soak: the real sidecar as its own process under mixed load, good, bad and abandoned; every answer is checked, and memory and file descriptors must be
 * flat. `npm run soak` takes two minutes; `npm run soak -- --minutes 60` an hour. Needs /proc. Exits 1 when anything is not as it must be.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { startIssuer } from '../../src/demo/issuer.ts'
import { startApp } from '../helpers/app.ts'
import { spawnSidecar, writeConfig } from '../helpers/sidecar.ts'
import { issuerEntry } from '../helpers/stage.ts'
import { app as behaviour, STEPS, type Target } from './soak-load.ts'

const CLIENTS = 8
const at = process.argv.indexOf('--minutes')
const minutes = at < 0 ? 2 : Number(process.argv[at + 1])
if (!(minutes > 0)) {
  console.error('soak: --minutes needs a number above 0')
  process.exit(2)
}

interface Sample { readonly rss: number; readonly fds: number }

function sample(pid: number): Sample {
  const kib = Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1])
  return { rss: kib / 1024, fds: readdirSync(`/proc/${pid}/fd`).length }
}

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!

const issuer = await startIssuer()
const app = await startApp(behaviour, { forget: true })
const file = writeConfig({ issuers: [issuerEntry(issuer)], limits: { idleTimeout: '5s' } }, app.address)
const sidecar = await spawnSidecar(file.path)
const pid = sidecar.process.pid!
const tokens = await Promise.all(Array.from({ length: 50 }, (_, i) => issuer.sign({ sub: `user-${i}`, exp: Math.floor(Date.now() / 1000) + minutes * 60 + 600 })))
const target: Target = { address: sidecar.address, tokens }

for (let i = 0; ; i++) {
  if (await STEPS['events']!(target, tokens[0]!).then(() => true, () => false)) break
  if (i > 100) throw new Error('the sidecar does not get ready')
  await sleep(50)
}
await sleep(500)
const idle = sample(pid)
console.log(`soak: ${minutes} minutes, ${CLIENTS} clients, pid ${pid}; at rest ${idle.rss.toFixed(0)} MiB resident, ${idle.fds} file descriptors`)

const until = Date.now() + minutes * 60_000
const counts = new Map<string, number>()
const faults: string[] = []
const names = Object.keys(STEPS)
const samples: Sample[] = []
const clients = Array.from({ length: CLIENTS }, async (_, i) => {
  for (let turn = i; Date.now() < until; turn++) {
    const name = names[turn % names.length]!
    try {
      await STEPS[name]!(target, tokens[turn % tokens.length]!)
      counts.set(name, (counts.get(name) ?? 0) + 1)
    } catch (error) {
      faults.push(`${name}: ${error instanceof Error ? error.message : String(error)}`)
    }
    app.clear()
    await sleep(5)
  }
})
const watching = (async () => {
  for (let shown = 0; Date.now() < until; await sleep(500)) {
    samples.push(sample(pid))
    if (Date.now() - shown < 10_000) continue
    shown = Date.now()
    const { rss, fds } = samples.at(-1)!
    console.log(`  ${Math.round((until - Date.now()) / 1000)} s left: ${rss.toFixed(0)} MiB, ${fds} fds, ${[...counts.values()].reduce((a, b) => a + b, 0)} rounds, ${faults.length} faults`)
  }
})()
await Promise.all([...clients, watching])
// Pooled connections to the app, and lingering ones, close within seconds.
await sleep(8000)
const after = sample(pid)

const part = Math.max(1, Math.floor(samples.length / 4))
const early = median(samples.slice(part, part * 2).map(({ rss }) => rss))
const late = median(samples.slice(-part).map(({ rss }) => rss))
const problems = faults.slice(0, 10)
// A quarter more and 16 MiB: the collector's freedom, not a leak's slope.
if (late > early * 1.25 + 16) problems.push(`memory grew: ${early.toFixed(0)} MiB in the second quarter, ${late.toFixed(0)} MiB in the last`)
if (after.fds > idle.fds + 4) problems.push(`file descriptors are left: ${idle.fds} at rest, ${after.fds} after`)
if (sidecar.process.exitCode !== null) problems.push(`the sidecar ended with ${sidecar.process.exitCode}: ${sidecar.errors()}`)
const rounds = names.map((name) => `${name} ${counts.get(name) ?? 0}`).join(', ')
console.log(`rounds: ${rounds}`)
console.log(`memory: ${early.toFixed(0)} MiB in the second quarter, ${late.toFixed(0)} in the last; file descriptors: ${idle.fds} at rest, ${after.fds} after; ${faults.length} faults`)
for (const problem of problems) console.log(`FAILED ${problem}`)
sidecar.process.kill('SIGTERM')
const code = await sidecar.ended()
if (code !== 0) problems.push(`exit ${code}`)
await app.close()
await issuer.stop()
file.remove()
console.log(problems.length === 0 ? 'soak: passed' : 'soak: failed')
process.exit(problems.length === 0 ? 0 : 1)
