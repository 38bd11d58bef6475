import t from 'tap'
import { memoryLimit } from '../../src/lib/memory-limit.ts'

t.test('the container\'s limit, or 2 GiB where there is none', (t) => {
  t.equal(memoryLimit(64 * 2 ** 20), 64 * 2 ** 20)
  t.equal(memoryLimit(6 * 2 ** 30), 6 * 2 ** 30)
  for (const none of [0, 2 ** 63, 18_446_744_073_709_552_000]) t.equal(memoryLimit(none), 2 * 2 ** 30)
  t.ok(memoryLimit() > 0)
  t.end()
})
