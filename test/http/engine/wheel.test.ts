/** Deadlines: never early, at most a slot and the machine's own delay late, each once. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Timed, Wheel } from '../../../src/http/engine/wheel.ts'

class Entry extends Timed {
  readonly calls: number[] = []
  expired(now: number): void { this.calls.push(now) }
}

t.test('each is called once, not early', async (t) => {
  const wheel = new Wheel(() => performance.now(), 4, 16)
  const start = wheel.now()
  // The last lie further away than the ring is long.
  const entries = Array.from({ length: 40 }, (_, at) => ({ entry: new Entry(), deadline: start + at * 5 }))
  for (const { entry, deadline } of entries) wheel.set(entry, deadline)
  await sleep(350)
  for (const { entry, deadline } of entries) {
    t.equal(entry.calls.length, 1)
    t.ok(entry.calls[0]! >= deadline, `${entry.calls[0]! - deadline} ms after`)
  }
  wheel.close()
})

t.test('moved later, moved earlier, taken away, dropped, set again', async (t) => {
  const wheel = new Wheel(() => performance.now(), 4, 64)
  const start = wheel.now()
  const [later, earlier, none, dropped, again] = Array.from({ length: 5 }, () => new Entry()) as [Entry, Entry, Entry, Entry, Entry]
  wheel.set(later, start + 10)
  wheel.set(later, start + 80)
  wheel.set(earlier, start + 5_000)
  wheel.set(earlier, start + 10)
  wheel.set(none, start + 10)
  wheel.set(none, Infinity)
  wheel.set(dropped, start + 10)
  wheel.drop(dropped)
  wheel.set(again, start + 10)
  await sleep(50)
  t.equal(earlier.calls.length, 1)
  t.equal(later.calls.length, 0)
  t.equal(again.calls.length, 1)
  wheel.set(again, wheel.now() + 10)
  wheel.set(none, wheel.now() + 10)
  await sleep(100)
  t.equal(later.calls.length, 1)
  t.ok(later.calls[0]! >= start + 80)
  t.equal(again.calls.length, 2)
  t.equal(none.calls.length, 1)
  t.equal(dropped.calls.length, 0)
  wheel.close()
})

t.test('an entry may drop another, or itself, while the slot is being emptied', async (t) => {
  const wheel = new Wheel(() => performance.now(), 4, 64)
  const victim = new Entry()
  const killer = new (class extends Timed { expired(): void { wheel.drop(victim); wheel.drop(this) } })()
  const deadline = wheel.now() + 10
  wheel.set(victim, deadline)
  wheel.set(killer, deadline)
  await sleep(60)
  t.equal(victim.calls.length, 0)
  wheel.close()
})
