import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../../src/lib/clock.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { createReconcileQueue, type Turn } from '../../src/injector/reconcile-queue.ts'

const lines: string[] = []
const log = createLog({ sink: (bytes, done) => { lines.push(bytes.toString()); done(null, bytes.length) } })

/** Time that passes when told to; every timer due fires. */
function fakeClock() {
  let now = 0
  let timers: { at: number, task: () => void }[] = []
  const clock: Clock = {
    now: () => now, monotonic: () => now,
    after(delay, task) {
      const timer = { at: now + delay, task }
      timers.push(timer)
      return () => { timers = timers.filter((other) => other !== timer) }
    },
  }
  return {
    clock,
    forward: async (ms: number): Promise<void> => {
      // What was started before goes first.
      await sleep(0)
      const end = now + ms
      for (;;) {
        const next = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
        if (!next) break
        timers = timers.filter((timer) => timer !== next)
        now = next.at
        next.task()
        await sleep(0)
      }
      now = end
      await sleep(0)
    },
  }
}

t.test('a burst of events is one turn; an event during a turn is another one', async (t) => {
  const { clock, forward } = fakeClock()
  const turns: string[] = []
  let release = () => {}
  const queue = createReconcileQueue(async (key) => {
    turns.push(key)
    await new Promise<void>((resolve) => { release = resolve })
    return 'right'
  }, clock, log)
  for (let i = 0; i < 100; i++) queue.add('a')
  await forward(100)
  t.same(turns, ['a'])
  for (let i = 0; i < 100; i++) queue.add('a')
  await forward(100)
  t.same(turns, ['a'], 'one at a time')
  release()
  await forward(100)
  t.same(turns, ['a', 'a'])
  release()
  await forward(10_000)
  t.same(turns, ['a', 'a'])
  t.equal(queue.size, 0)
})

t.test('a failure is tried again, later and later, and forgotten by success', async (t) => {
  const { clock, forward } = fakeClock()
  const at: number[] = []
  let failures = 8
  const queue = createReconcileQueue(() => {
    at.push(clock.monotonic())
    return failures-- > 0 ? Promise.reject(new Error('not now')) : Promise.resolve('written')
  }, clock, log)
  queue.add('a')
  await forward(200_000)
  t.equal(at.length, 9)
  const gaps = at.slice(1).map((time, index) => time - at[index]!)
  t.ok(gaps.at(-1)! > 10 * gaps[0]!, gaps.join(' '))
  t.ok(Math.max(...gaps) <= 30_000)
  t.match(lines.join(''), /"msg":"reconcile failed, will try again","key":"a","error":"not now"/)
})

/** Somebody changes things back at once. @param found for each look, whether another controller may have written it */
async function undone(seconds: number, found: (look: number) => 'ours' | 'foreign') {
  const { clock, forward } = fakeClock()
  const writes: number[] = []
  let looks = 0
  const queue = createReconcileQueue((_, mayDispute) => {
    const disputed = found(looks++) === 'ours'
    if (disputed && !mayDispute) return Promise.resolve<Turn>('left')
    writes.push(clock.monotonic())
    setImmediate(() => { queue.add('a') })
    return Promise.resolve<Turn>(disputed ? 'disputed' : 'written')
  }, clock, log)
  queue.add('a')
  for (let i = 0; i < seconds; i++) await forward(1_000)
  queue.stop()
  return { writes, gaps: writes.slice(1).map((at, index) => at - writes[index]!) }
}

t.test('another controller that undoes every write: soon one a second, instead of a fight without end', async (t) => {
  const { writes, gaps } = await undone(60, () => 'ours')
  t.ok(writes.length > 50 && writes.length <= 75, `${writes.length} writes in a minute`)
  t.ok(Math.max(...gaps) <= 1_100, 'never longer')
  t.match(lines.join(''), /somebody keeps changing what this controller writes/)
})

t.test('what no controller writes is put right at once, however often, and a dispute does not delay it', async (t) => {
  t.ok(Math.max(...(await undone(5, () => 'foreign')).gaps) <= 100)
  const { gaps } = await undone(5, (look) => look < 12 ? 'ours' : 'foreign')
  t.ok(Math.max(...gaps.slice(12)) <= 100)
})

t.test('what is left is looked at sooner when something happens', async (t) => {
  const { clock, forward } = fakeClock()
  const looks: number[] = []
  const queue = createReconcileQueue(() => {
    looks.push(clock.monotonic())
    return Promise.resolve('left')
  }, clock, log)
  queue.add('a')
  await forward(500)
  queue.add('a')
  await forward(100)
  t.equal(looks.length, 2)
  await forward(1_500)
  t.equal(looks.length, 3)
  queue.stop()
})

t.test('one key\'s trouble is not another\'s', async (t) => {
  const { clock, forward } = fakeClock()
  const done: string[] = []
  const queue = createReconcileQueue((key) => {
    if (key === 'bad') return Promise.reject(new Error('always'))
    done.push(key)
    return Promise.resolve('right')
  }, clock, log)
  for (const key of ['bad', 'a', 'b']) queue.add(key)
  await forward(1_000)
  t.same(done, ['a', 'b'])
  queue.stop()
})
