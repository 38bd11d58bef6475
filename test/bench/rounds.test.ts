import t from 'tap'
import { collect, disturbance, turned } from './rounds.ts'

const window = (cpu: number, foreign = 0) => ({ cpu, foreign })

t.test('a round is disturbed by strangers in any of its windows', async (t) => {
  const of = (foreign: number) => disturbance({ envoy: window(50), ours: window(20, foreign) }, [], ['envoy'])
  t.ok(of(0.05) < 1)
  t.ok(of(0.1) >= 1)
  t.ok(of(0.5) > of(0.2))
})

t.test('a round is disturbed when a reference costs more than at its best, and only then', async (t) => {
  const quiet = { envoy: window(50), nginx: window(10), ours: window(20) }
  const slow = { envoy: window(61), nginx: window(10), ours: window(20) }
  t.ok(disturbance(slow, [quiet, slow], ['envoy', 'nginx']) >= 1)
  t.ok(disturbance(quiet, [quiet, slow], ['envoy', 'nginx']) < 1)
  t.equal(disturbance(slow, [slow], ['envoy']), 0, 'alone it is the best')
  const ours = { envoy: window(50), ours: window(90) }
  t.equal(disturbance(ours, [{ envoy: window(50), ours: window(20) }, ours], ['envoy']), 0, 'what we cost ourselves never decides')
  t.equal(disturbance({ ours: window(20) }, [], ['envoy']), 0, 'a reference that is not there')
  t.equal(disturbance({ direct: window(Number.NaN) }, [{ direct: window(Number.NaN) }], ['direct']), 0)
})

/** Plays rounds of which some are disturbed, by so much. */
async function play(wanted: number, disturbed: readonly number[], mayRepeat?: () => boolean) {
  const measured: number[] = []
  const result = await collect(wanted, async (at) => { measured.push(at); return at }, (round) => disturbed[round] ?? 0, mayRepeat)
  return { ...result, measured: measured.length }
}

t.test('undisturbed rounds are measured once', async (t) => {
  t.same(await play(3, []), { kept: [0, 1, 2], thrown: 0, disturbed: 0, measured: 3 })
})

t.test('a disturbed round is thrown away and measured again', async (t) => {
  t.same(await play(3, [0, 2]), { kept: [0, 2, 3], thrown: 1, disturbed: 0, measured: 4 })
})

t.test('there is an end to repeats: then the least disturbed count, and are said to be', async (t) => {
  t.same(await play(3, [0, 9, 2, 8, 3, 7]), { kept: [0, 2, 4], thrown: 3, disturbed: 2, measured: 6 })
})

t.test('without time for repeats there are none', async (t) => {
  t.same(await play(2, [5, 0], () => false), { kept: [1, 0], thrown: 0, disturbed: 1, measured: 2 })
})

t.test('a later round can show that an earlier one was disturbed', async (t) => {
  const costs = [65, 50, 50, 50]
  const rounds = await collect(2, async (at) => ({ envoy: window(costs[at]!) }), (round, all) => disturbance(round, all, ['envoy']))
  t.same(rounds.kept.map(({ envoy }) => envoy.cpu), [50, 50])
  t.equal(rounds.thrown, 1)
})

t.test('each round begins with another', async (t) => {
  t.same([0, 1, 2, 3].map((round) => turned(['a', 'b', 'c'], round).join('')), ['abc', 'bca', 'cab', 'abc'])
})
