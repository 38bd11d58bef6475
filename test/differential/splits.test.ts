/** TCP cuts where it likes: each message, cut at each byte, reads as it does whole. */
import t from 'tap'
import { startEngine } from '../../src/http/engine/start.ts'
import { startTransport } from '../reference/node/start-transport.ts'
import { byLine, fault, observeAll } from './compare.ts'
import type { Observed } from './rig.ts'
import { DOUBTFUL, GOOD } from './messages.ts'

/** Longer ones are cut around what matters by the fuzz suite. */
const SHORT = 160

const isWaiting = (observed: Observed): boolean => !observed.closed && !observed.fenced

for (const [name, messages] of [['well-formed', GOOD], ['doubtful', DOUBTFUL]] as const) {
  t.test(`${name} messages cut in two at every byte`, async (t) => {
    const short = messages.filter((message) => message.length <= SHORT)
    const reference = await observeAll(startTransport, short.map(byLine))
    const cuts = short.flatMap((message, index) => Array.from({ length: message.length - 1 }, (_, at) => ({ message, index, at: at + 1 })))
    const engine = await observeAll(startEngine, cuts.map(({ message, at }) => [Buffer.from(message.slice(0, at), 'latin1'), Buffer.from(message.slice(at), 'latin1')]),
      // Where the whole message leaves the reference waiting for more, little is to be waited for.
      (at) => isWaiting(reference[cuts[at]!.index]!) ? 20 : 1_000)
    const faults: string[] = []
    for (const [i, { message, index, at }] of cuts.entries()) {
      const wrong = fault(message, reference[index]!, engine[i]!)
      if (wrong) faults.push(`${JSON.stringify(message.slice(0, at))} | ${JSON.stringify(message.slice(at))}: ${wrong}`)
      else if (name === 'well-formed' && JSON.stringify(engine[i]!.requests) !== JSON.stringify(reference[index]!.requests)) faults.push(`${JSON.stringify(message)} at ${at}: lost`)
    }
    t.same(faults, [], `${cuts.length} cuts of ${short.length} messages`)
  })
}
