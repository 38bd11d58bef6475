/**
 * A bounded soak: mixed load on a sidecar of its own process (good and bad tokens, floods of key ids, bodies, streams, aborted clients, reloads), then a
 * look at what it kept. SOAK_SECONDS=N for longer.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { mintKey, startIssuer } from '../../src/demo/issuer.ts'
import { answers, startApp } from '../helpers/app.ts'
import { startLoad } from '../helpers/load.ts'
import { connect, request } from '../helpers/raw.ts'
import { metricOf, spawnSidecar, until, writeConfig } from '../helpers/sidecar.ts'
import { issuerEntry } from '../helpers/stage.ts'
import t from 'tap'

// Two minutes in CI; short elsewhere.
const SECONDS = Number(process.env['SOAK_SECONDS'] ?? (process.env['CI'] === 'true' ? 120 : 8))
t.setTimeout((SECONDS + 90) * 1000)

t.test(`${SECONDS} s of mixed load: no good request lost, nothing bad passes, memory and file descriptors flat`, async (t) => {
  const issuer = await startIssuer()
  const app = await startApp(answers.echo)
  const raw = (n: number) => ({ issuers: [issuerEntry(issuer)], rules: [{ name: `v${n}`, match: { path: '/**' }, require: {} }], log: { level: 'error' } })
  const file = writeConfig(raw(0), app.address)
  t.teardown(async () => { await issuer.stop(); await app.close(); file.remove() })
  const sidecar = await spawnSidecar(file.path, { node: ['--max-semi-space-size=1'] })
  t.teardown(() => sidecar.kill())
  await until(async () => (await fetch(`${sidecar.healthUrl}/readyz`)).ok)

  const stranger = await mintKey('ES256')
  const good = await Promise.all(Array.from({ length: 50 }, (_, i) => issuer.sign({ sub: `user-${i}` })))
  const bad = [await issuer.sign({ exp: 1 }), await issuer.sign({ aud: 'other' }), ...await Promise.all(Array.from({ length: 20 }, (_, i) => issuer.signWith({ ...stranger, kid: `kid-${i}` })))]
  const isGood = (n: number) => n % 5 !== 0
  const load = startLoad(sidecar.address, (n) => ({ line: `GET /x/${n}`, fields: [`Authorization: Bearer ${isGood(n) ? good[n % good.length] : bad[n % bad.length]}`] }),
    (n, status) => `${isGood(n) ? 'good' : 'bad'} ${status}`, 6)

  const state = { running: true }
  /** Clients that go away in the middle of a head, a body or an answer. */
  async function aborting(): Promise<void> {
    const body = 'x'.repeat(20_000)
    const message = request('POST /abort', [`Authorization: Bearer ${good[0]}`, `Content-Length: ${body.length}`], body)
    for (let i = 0; state.running; i++) {
      const client = await connect(sidecar.address)
      await client.send(message.slice(0, (i * 977) % message.length))
      if (i % 2 === 0) client.reset()
      else client.destroy()
      await sleep(5)
    }
  }
  async function reloading(): Promise<void> {
    for (let n = 1; state.running; n++) {
      file.write(raw(n))
      await sleep(500)
    }
  }
  const others = Promise.all([aborting(), aborting(), reloading()])

  const sample = () => {
    const { pid } = sidecar.process
    const anonymous = Number(/^Anonymous:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]) / 1024
    return { anonymous, fds: readdirSync(`/proc/${pid}/fd`).length }
  }
  await sleep(SECONDS * 500)
  const half = sample()
  await sleep(SECONDS * 500)
  const whole = sample()
  state.running = false
  await others
  await load.stop()

  const page = await (await fetch(`${sidecar.healthUrl}/metrics`)).text()
  t.comment(`${JSON.stringify(load.counts)}; MiB anonymous ${half.anonymous.toFixed(1)} -> ${whole.anonymous.toFixed(1)}; files ${half.fds} -> ${whole.fds}`)
  t.same(Object.keys(load.counts).sort(), ['bad 401', 'good 200'])
  t.same(app.anomalies.filter((anomaly) => !/ended|incomplete|closed|reset/i.test(anomaly)), [], 'the app saw only whole, well-formed requests')
  t.equal(metricOf(page, 'sidegate_uncaught_errors_total'), 0)
  t.ok(metricOf(page, 'sidegate_config_reload_total{result="applied"}') >= SECONDS / 2)
  t.ok(metricOf(page, 'sidegate_keys_fetches_total{issuer="corp",result="ok"}') <= 3 + SECONDS, 'random key ids cost at most one fetch a cooldown (1 s here)')
  // A heap breathes; what leaks at this load grows by far more than this between the halves.
  t.ok(whole.anonymous - half.anonymous < 24, `memory is flat: ${half.anonymous.toFixed(1)} -> ${whole.anonymous.toFixed(1)} MiB`)
  await until(async () => metricOf(await (await fetch(`${sidecar.healthUrl}/metrics`)).text(), 'sidegate_in_flight') === 0)
  await until(() => sample().fds <= 60, 5_000, () => `${sample().fds} files are still open`)
  sidecar.process.kill('SIGTERM')
  t.equal(await sidecar.ended(), 0)
})
