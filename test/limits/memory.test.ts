/**
 * Under a memory limit, as a container has one: whatever strangers do, the sidecar is never killed for it and the next good request passes. `npm run bench -- --limits`
 * has the same scenarios, larger, with figures.
 */
import t from 'tap'
import { missing, sweep } from '../helpers/cgroup.ts'
import { buildShipped } from '../helpers/shipped.ts'
import { runScenario } from './rig.ts'
import { SCENARIOS } from './scenarios.ts'

const why = missing('memory')
t.setTimeout(180_000)

t.test('64 MiB, or what the configuration needs', { skip: why ?? false }, async (t) => {
  sweep()
  const command = await buildShipped()
  t.teardown(command.remove)
  for (const scenario of SCENARIOS.filter(({ long }) => long !== true)) {
    await t.test(scenario.name, async (t) => {
      const { peak, idle, oomKills, died, passes, says, wrong } = await runScenario(scenario, { command, mebibytes: Math.max(64, scenario.least ?? 0), scale: 0.5 })
      t.comment(`${says}; MiB: idle ${idle.toFixed(0)}, anonymous at most ${peak.anonymous.toFixed(0)}, with kernel memory ${peak.usage.toFixed(0)}, buffers of sockets ${peak.sockets.toFixed(0)}`)
      t.equal(died, undefined, 'it lives')
      t.equal(oomKills, 0)
      t.same(wrong, [])
      t.ok(passes, 'a good request passes afterwards')
    })
  }
})
