/** Every message that we know a doubt about, and the http-desync corpus, through both transports. */
import t from 'tap'
import { startEngine } from '../../src/http/engine/start.ts'
import { startTransport } from '../reference/node/start-transport.ts'
import { byLine, fault, observeAll, stricter } from './compare.ts'
import { corpusMessages } from './corpus.ts'
import { DOUBTFUL, GOOD } from './messages.ts'

const whole = (messages: readonly string[]): Buffer[][] => messages.map((message) => [Buffer.from(message, 'latin1')])

/** @param patience milliseconds; costs time only where a message is incomplete, and must be long enough for a busy machine */
async function both(messages: readonly string[], patience = 500) {
  const [reference, engine] = await Promise.all([observeAll(startTransport, messages.map(byLine), () => patience), observeAll(startEngine, whole(messages), () => patience)])
  return messages.map((message, at) => ({ message, reference: reference[at]!, engine: engine[at]! }))
}

t.test('what is well-formed passes whole, as through the reference', async (t) => {
  for (const { message, reference, engine } of await both(GOOD, 10_000)) {
    t.equal(fault(message, reference, engine), undefined, JSON.stringify(message))
    t.same(engine.requests, reference.requests)
    t.ok(engine.statuses.includes(200), 'and is answered')
    t.equal(engine.statuses.includes(400), message.includes('/smuggled'), 'the fence behind it is in step')
  }
})

t.test('what is doubtful: never accepted where the reference refuses, never read in another way', async (t) => {
  const seen = await both(DOUBTFUL)
  for (const { message, reference, engine } of seen) t.equal(fault(message, reference, engine), undefined, JSON.stringify(message.slice(0, 300)))
  t.comment(`${seen.filter(({ reference, engine }) => stricter(reference, engine)).length} of ${seen.length} refused where the reference accepts`)
})

const corpus = corpusMessages()
t.test('the http-desync corpus', { skip: corpus === undefined && 'the corpus is not beside the project (../shared/corpora/http-desync)' }, async (t) => {
  const seen = await both(corpus!)
  t.ok(seen.length > 150, `${seen.length} messages`)
  for (const { message, reference, engine } of seen) t.equal(fault(message, reference, engine), undefined, JSON.stringify(message.slice(0, 300)))
})
