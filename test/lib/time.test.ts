import t from 'tap'
import { createBackoff } from '../../src/lib/backoff.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { detach } from '../../src/lib/detach.ts'

t.test('backoff doubles to its ceiling, shortened by up to half, and starts again after a success', async (t) => {
  const longest = createBackoff(1000, 6000, () => 0)
  t.same(Array.from({ length: 5 }, () => longest.next()), [1000, 2000, 4000, 6000, 6000])
  longest.reset()
  t.equal(longest.next(), 1000)
  const shortest = createBackoff(1000, 6000, () => 0.999_999)
  t.same(Array.from({ length: 4 }, () => Math.round(shortest.next())), [500, 1000, 2000, 3000])
})

t.test('the machine\'s clock', async (t) => {
  t.ok(Math.abs(systemClock.now() - Date.now()) < 1000)
  const before = systemClock.monotonic()
  await new Promise<void>((resolve) => {
    systemClock.after(5, resolve)
    setTimeout(() => {}, 50) // the clock's own timers keep no process alive
  })
  t.ok(systemClock.monotonic() > before)
  let fired = false
  systemClock.after(2 ** 40, () => { fired = true })
  const cancel = systemClock.after(1, () => { fired = true })
  cancel()
  await new Promise((resolve) => { setTimeout(resolve, 20) })
  t.notOk(fired, 'neither what is cancelled nor what is due in 34 years')
})

t.test('detach copies', async (t) => {
  t.equal(detach('Bearer eyJ'.slice(7)), 'eyJ')
  t.equal(detach('\u00ff\u0000'), '\u00ff\u0000')
})
