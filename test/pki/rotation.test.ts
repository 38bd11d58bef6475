import t from 'tap'
import { X509Certificate } from 'node:crypto'
import { issueLeaf } from '../../src/pki/authority.ts'
import { advance, bundleHas, canSign, decodeState, encodeState, trustBundle, type AuthorityState, type RotationPolicy } from '../../src/pki/rotation.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const policy: RotationPolicy = { caValidityMs: 365 * DAY, leafValidityMs: DAY, overlapMs: HOUR }
const start = Date.UTC(2030, 0, 1)
const yes = () => true

t.test('five years, looked at once an hour: every leaf is trusted from its making to its end, by what was published an overlap before', async (t) => {
  let state: AuthorityState | undefined
  let made = 0
  // What the API server trusts: the bundle as published at each look.
  let leaves: { ca: string, until: number }[] = []
  let bundles: { at: number, bundle: string }[] = []
  for (let now = start; now < start + 5 * 365 * DAY; now += 6 * HOUR) {
    const before = state
    state = await advance(state, now, policy, yes)
    if (state.active.cert !== before?.active.cert) made += 1
    bundles = [...bundles.filter(({ at }) => at > now - 2 * DAY), { at: now, bundle: trustBundle(state) }]
    leaves = [...leaves.filter(({ until }) => until > now), { ca: state.active.cert, until: now + policy.leafValidityMs }]
    const bundle = trustBundle(state)
    for (const leaf of leaves) if (!bundleHas(bundle, leaf.ca)) t.fail(`at ${new Date(now).toISOString()} a living leaf is not trusted`)
    const earlier = bundles.filter(({ at }) => at <= now - policy.overlapMs).at(-1)
    if (earlier && !bundleHas(earlier.bundle, state.active.cert)) t.fail('an authority signs before it was trusted for an overlap')
    if (new X509Certificate(state.active.cert).validToDate.getTime() < now + policy.leafValidityMs) t.fail('signs leaves that outlive it')
  }
  t.equal(made, 8, 'a new authority every two thirds of a year')
  t.ok(state!.previous.length <= 1)
})

t.test('an authority that the API server does not trust yet is not promoted', async (t) => {
  const first = await advance(undefined, start, policy, yes)
  const renewing = await advance(first, start + 300 * DAY, policy, yes)
  t.ok(renewing.next)
  t.equal(renewing.active.cert, first.active.cert)
  const stuck = await advance(renewing, start + 310 * DAY, policy, () => false)
  t.equal(stuck.active.cert, first.active.cert)
  const through = await advance(stuck, start + 310 * DAY, policy, yes)
  t.equal(through.active.cert, renewing.next!.cert)
  t.ok(bundleHas(trustBundle(through), first.active.cert), 'the old one stays trusted')
})

t.test('the old authority is forgotten a leaf\'s life and an overlap after it signed last, its key at once', async (t) => {
  let state = await advance(undefined, start, policy, yes)
  const old = state.active
  state = await advance(state, start + 250 * DAY, policy, yes)
  state = await advance(state, start + 250 * DAY + HOUR, policy, yes)
  t.not(state.active.cert, old.cert)
  t.notOk(JSON.stringify(state).includes(JSON.stringify(old.key)))
  const before = await advance(state, start + 251 * DAY + 2 * HOUR - 1, policy, yes)
  t.ok(bundleHas(trustBundle(before), old.cert))
  const after = await advance(state, start + 251 * DAY + 2 * HOUR, policy, yes)
  t.notOk(bundleHas(trustBundle(after), old.cert))
})

t.test('a cluster that slept for years starts anew', async (t) => {
  const old = await advance(undefined, start, policy, yes)
  const state = await advance(old, start + 1000 * DAY, policy, () => false)
  t.not(state.active.cert, old.active.cert)
  t.ok(new X509Certificate(state.active.cert).validToDate.getTime() > start + 1000 * DAY)
})

t.test('an authority of a clock that was far ahead is replaced; what signed before stays trusted', async (t) => {
  const first = await advance(undefined, start, policy, yes)
  const renewing = await advance(first, start + 250 * DAY, policy, yes)
  const ahead = await advance(renewing, start + 250 * DAY + HOUR, policy, yes)
  t.equal(canSign(ahead, start), false)
  const state = await advance(ahead, start, policy, yes)
  t.equal(canSign(state, start), true)
  t.not(state.active.cert, ahead.active.cert)
  t.ok(new X509Certificate(state.active.cert).validFromDate.getTime() <= start)
  t.ok(bundleHas(trustBundle(state), first.active.cert))
  t.notOk(JSON.stringify(state).includes(JSON.stringify(ahead.active.key)))
})

t.test('a next authority that is not valid yet waits for its time, whatever becomes of the active one', async (t) => {
  const state = await advance(await advance(undefined, start, policy, yes), start + 600 * DAY, policy, yes)
  const first = await advance(undefined, start, policy, yes)
  const mixed: AuthorityState = { ...first, next: state.active }
  t.equal((await advance(mixed, start + DAY, policy, yes)).active.cert, first.active.cert)
  const after = await advance(mixed, start + 366 * DAY, policy, yes)
  t.equal([first.active.cert, state.active.cert].includes(after.active.cert), false)
})

t.test('clocks that differ by some minutes make no other authority', async (t) => {
  const state = await advance(undefined, start, policy, yes)
  t.equal(await advance(state, start - 5 * 60_000, policy, yes), state)
})

t.test('nothing to do gives the same object back', async (t) => {
  const state = await advance(undefined, start, policy, yes)
  t.equal(await advance(state, start + HOUR, policy, yes), state)
})

t.test('through a Secret and back', async (t) => {
  let state = await advance(undefined, start, policy, yes)
  state = await advance(state, start + 250 * DAY, policy, yes)
  const back = decodeState(encodeState(state))
  t.same(back, state)
  const leaf = await issueLeaf(back!.active, ['localhost'], { now: start, validityMs: HOUR })
  t.ok(new X509Certificate(leaf.cert).verify(new X509Certificate(state.active.cert).publicKey))
})

t.test('an emptied, edited or mixed-up Secret is not a state', async (t) => {
  const one = encodeState(await advance(undefined, start, policy, yes))
  const two = encodeState(await advance(undefined, start, policy, yes))
  t.equal(decodeState(undefined), undefined)
  t.equal(decodeState({}), undefined)
  t.equal(decodeState({ ...one, 'tls.key': two['tls.key']! }), undefined)
  t.equal(decodeState({ ...one, 'rotation.json': Buffer.from('{').toString('base64') }), undefined)
  t.equal(decodeState({ ...one, 'tls.crt': Buffer.from('x').toString('base64') }), undefined)
})
