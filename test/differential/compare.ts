/** Holds a transport to the reference: it may refuse more, never accept more, and what both accept is the same. */
import type { StartTransport } from '../../src/http/contract.ts'
import { FENCE, startRig, type Observed, type Rig } from './rig.ts'

/** A way to deliver a message: its bytes in pieces. */
export type Delivery = readonly Uint8Array[]

/**
 * How the reference gets a message: line by line. Node parses all that has arrived before anything is decided, and a fault further on spoils requests
 * before it that were in order; in pieces, each request is read before the next has come.
 */
export function byLine(message: string): Delivery {
  return message.split(/(?<=\n)/).filter((piece) => piece !== '').map((piece) => Buffer.from(piece, 'latin1'))
}

/**
 * Where the reference is known to do otherwise, and why that is right: the message, and what the app then may get more or differently.
 * Everything not listed here is a fault.
 */
const ARGUED: readonly { readonly message: RegExp; readonly why: string }[] = [
  { message: /[A-Z] [^\s/]\S* HTTP\/1/, why: 'not origin-form (RFC 9112 section 3.2): undici cannot send it, the engine leaves it to the pipeline, which refuses it as ambiguous_path' },
  { message: /\r\nhost:[^\r]*\r\n(?:[^\r]+\r\n)*host:/i, why: 'two Hosts: undici refuses them with an internal error, the engine leaves them to the pipeline, which refuses them as bad_host' },
  { message: /\r\nupgrade:/i, why: 'an offer to upgrade that is not taken up (h2c): node reads nothing more on that connection, the engine reads the next request' },
  {
    message: /\r\n0\r\n(?:[^\r]+\r\n)*(?:proxy-)?connection:[^\r]*close/i,
    why: '`Connection: close` as a trailer: node closes, and answers the next request 400; trailers say nothing about the connection (RFC 9110 section 6.5.1), the engine reads it',
  },
]

/**
 * @param message for the argued exceptions; latin1
 * @returns what is wrong, or undefined
 */
export function fault(message: string, reference: Observed, candidate: Observed): string | undefined {
  if (candidate.anomalies.length > 0) return `the app got what is no request: ${candidate.anomalies[0]}`
  const forged = candidate.trailers.find((name) => /^(x[^a-z0-9]user[^a-z0-9]id|host|authorization|content-length|transfer-encoding)$/i.test(name))
  if (forged) return `the app got the trailer ${forged}`
  if (ARGUED.some((exception) => exception.message.test(message + FENCE.toString()))) return undefined
  for (const [at, head] of candidate.decided.entries()) {
    if (reference.decided[at] !== head) return `decided ${head}; by the reference ${reference.decided[at] ?? 'nothing'}`
  }
  for (const [at, request] of candidate.requests.entries()) {
    if (reference.requests[at] !== request) return `the app got ${request}; by the reference ${reference.requests[at] ?? 'nothing'}`
  }
  return undefined
}

/** Whether the candidate refused what the reference accepted. */
export function stricter(reference: Observed, candidate: Observed): boolean {
  return candidate.requests.length < reference.requests.length
}

const RIGS = 32

/** Does the work on several rigs at once; every rig has one message under way. */
export async function onRigs<Item>(start: StartTransport, count: number, items: readonly Item[], work: (rig: Rig, item: Item, index: number) => Promise<void>): Promise<void> {
  let next = 0
  const rigs = await Promise.all(Array.from({ length: count }, () => startRig(start)))
  try {
    await Promise.all(rigs.map(async (rig) => { while (next < items.length) { const index = next++; await work(rig, items[index]!, index) } }))
  } finally {
    await Promise.all(rigs.map((rig) => rig.close()))
  }
}

/** Sends every delivery through a transport; results in the same order. */
export async function observeAll(start: StartTransport, deliveries: readonly Delivery[], patience?: (index: number) => number): Promise<Observed[]> {
  const results: Observed[] = []
  await onRigs(start, Math.min(RIGS, deliveries.length), deliveries, async (rig, pieces, index) => { results[index] = await rig.observe(pieces, patience?.(index)) })
  return results
}

/**
 * Sends messages through both transports, the candidate's cut by `cut`, and compares. A slow machine can make a message look incomplete: what seems to
 * be a fault is tried again with time.
 * @returns the faults, as sentences, and how many messages reached the app
 */
export async function compareAll(reference: StartTransport, candidate: StartTransport, messages: readonly string[], cut: (message: string) => Delivery): Promise<{ faults: string[]; accepted: number }> {
  const deliveries = messages.map(cut)
  const expected = await observeAll(reference, messages.map(byLine))
  const seen = await observeAll(candidate, deliveries)
  const faults: string[] = []
  for (const [at, message] of messages.entries()) {
    if (fault(message, expected[at]!, seen[at]!) === undefined) continue
    const [again] = await observeAll(reference, [byLine(message)], () => 2_000)
    const [retried] = await observeAll(candidate, [deliveries[at]!], () => 2_000)
    const wrong = fault(message, again!, retried!)
    if (wrong !== undefined) faults.push(`${JSON.stringify(message)}: ${wrong}`)
  }
  return { faults, accepted: seen.filter(({ requests }) => requests.length > 0).length }
}
