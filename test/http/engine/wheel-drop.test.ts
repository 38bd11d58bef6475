/** A deadline that is dropped holds nothing. */
import t from 'tap'
import { Timed, Wheel } from '../../../src/http/engine/wheel.ts'

class Entry extends Timed { expired(): void {} }

t.test('what is dropped is let go at once, not when its slot comes up', (t) => {
  const wheel = new Wheel(() => 0)
  const [one, two] = [new Entry(), new Entry()]
  for (const entry of [one, two]) wheel.set(entry, 10_000)
  wheel.drop(one)
  t.equal(one.tick, -1)
  t.equal(two.after ?? two.before, undefined)
  wheel.drop(one)
  wheel.close()
  t.end()
})
