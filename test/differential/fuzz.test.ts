/**
 * Broken by chance and cut by chance. The seed is printed; `SEED=... FUZZ_RUNS=... tap test/differential/fuzz.test.ts` tries others, or the same again.
 */
import t from 'tap'
import { startEngine } from '../../src/http/engine/start.ts'
import { startTransport } from '../reference/node/start-transport.ts'
import { seedOf } from '../helpers/seed.ts'
import { compareAll } from './compare.ts'
import { DOUBTFUL, GOOD } from './messages.ts'
import { cut, generator, mutate } from './mutate.ts'

const seed = seedOf('SEED')
const runs = Number(process.env['FUZZ_RUNS'] ?? 1_000)

t.test(`${runs} mutated messages, seed ${seed}`, async (t) => {
  const random = generator(seed)
  const base = [...GOOD, ...GOOD, ...DOUBTFUL.filter((message) => message.length < 500)]
  const messages = Array.from({ length: runs }, () => mutate(base, random))
  const { faults, accepted } = await compareAll(startTransport, startEngine, messages, (message) => cut(Buffer.from(message, 'latin1'), random))
  t.same(faults, [], `seed ${seed}: ${accepted} of ${runs} reached the app`)
  t.ok(accepted > runs / 10, 'enough of them are still requests')
})
