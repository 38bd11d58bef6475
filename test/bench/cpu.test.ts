import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { cpuMs, family, watchCpu } from './cpu.ts'

t.test('a family is a process and all that descend from it', async (t) => {
  const child = spawn('sh', ['-c', 'sleep 30 & echo started; wait'], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  const all = family(child.pid!)
  t.equal(all.length, 2)
  t.equal(all[0], child.pid)
  t.ok(family(process.pid).includes(all[1]!))
  for (const pid of all) process.kill(pid)
  await once(child, 'exit')
  t.throws(() => cpuMs(all), { message: `process ${all[0]} ended while it was measured; see .bench/log` })
})

t.test('what is used is ours, and the rest of the busy time is others\'', async (t) => {
  const over = watchCpu(0, [process.pid])
  const end = process.cpuUsage().user + 100_000
  while (process.cpuUsage().user < end) { /* uses CPU */ }
  const { used, foreign } = over()
  t.ok(used >= 90, `${used} ms of at least 100`)
  t.ok(foreign >= 0 && foreign <= 1, `${foreign}`)
  const credited = watchCpu(0, [])
  t.equal(credited(1e9).foreign, 0, 'what others of ours used is no stranger\'s')
})
