import t from 'tap'
import * as fc from 'fast-check'
import type { ConfigMap } from '../../src/kube/types.ts'
import { planCopy, UNUSED_ANNOTATION, type CopyNeeds } from '../../src/injector/copies.ts'
import type { Accepted } from '../../src/injector/source-config.ts'

const accepted = (profiles: Record<string, string>, files: Record<string, string> = {}): Accepted =>
  ({ profiles: new Map(Object.entries(profiles)), files: new Map(Object.entries(files)), hash: 'h', warnings: [] })
const NOW = Date.UTC(2030, 0, 1)
const MINUTE = 60_000
const needs = (used: string[], more: Partial<CopyNeeds> = {}): CopyNeeds =>
  ({ namespace: 'shop', used: new Set(used), accepted: accepted({ a: 'A', b: 'B' }), now: NOW, keepMs: 10 * MINUTE, ...more })

/** Plans and does what the plan says. */
function apply(current: ConfigMap | undefined, what: CopyNeeds): ConfigMap | undefined {
  const plan = planCopy(current, what)
  if (plan.kind === 'right') return current
  return plan.kind === 'delete' ? undefined : plan.copy
}

t.test('what is in use, and nothing else', async (t) => {
  t.same(apply(undefined, needs(['a']))?.data, { 'a.json': 'A' })
  t.same(apply(undefined, needs(['b', 'a']))?.data, { 'a.json': 'A', 'b.json': 'B' })
  t.equal(apply(undefined, needs([])), undefined)
  t.equal(apply(undefined, needs(['unknown'])), undefined)
})

t.test('a changed source changes the copy; the same one does not', async (t) => {
  const copy = apply(undefined, needs(['a']))
  t.equal(planCopy(copy, needs(['a'])).kind, 'right')
  t.same(apply(copy, needs(['a'], { accepted: accepted({ a: 'A2' }) }))?.data, { 'a.json': 'A2' })
})

t.test('a profile removed from the source stays as it was while it is used; so does everything without a source', async (t) => {
  const copy = apply(undefined, needs(['a', 'b']))
  t.equal(planCopy(copy, needs(['a', 'b'], { accepted: accepted({ a: 'A' }) })).kind, 'right')
  t.equal(planCopy(copy, needs(['a', 'b'], { accepted: undefined })).kind, 'right')
})

t.test('a removed profile that is used has the text that was kept, whatever the copy says', async (t) => {
  const text = '{"issuers":[{"keys":{"caFile":"/etc/sidegate/corp.pem"}}]}'
  const removed = new Map([['b', { text, files: { 'corp.pem': 'PEM' }, at: NOW }]])
  const what = needs(['a', 'b'], { accepted: accepted({ a: 'A' }), removed })
  const right = { 'a.json': 'A', 'b.json': text, 'corp.pem': 'PEM' }
  const copy = apply(undefined, what)!
  t.same(copy.data, right)
  const edited: ConfigMap = { ...copy, data: { 'a.json': 'A', 'b.json': 'evil', 'corp.pem': 'evil' } }
  t.same(apply(edited, what)?.data, right)
  t.same(apply(edited, { ...what, bare: true })?.data, right)
})

t.test('an unused profile is marked, then dropped when it was unused for long enough', async (t) => {
  let copy = apply(undefined, needs(['a', 'b']))
  copy = apply(copy, needs(['a']))
  t.same(Object.keys(copy!.data!), ['a.json', 'b.json'])
  t.match(copy!.metadata.annotations![UNUSED_ANNOTATION], '"b"')
  t.equal(planCopy(copy, needs(['a'], { now: NOW + 9 * MINUTE })).kind, 'right')
  t.same(apply(copy, needs(['a'], { now: NOW + 10 * MINUTE }))?.data, { 'a.json': 'A' })
  const again = apply(copy, needs(['a', 'b'], { now: NOW + 9 * MINUTE }))
  t.equal(again!.metadata.annotations![UNUSED_ANNOTATION], undefined, 'used again: the mark goes')
})

t.test('what is neither used nor accepted goes at once; without a source nothing is known to be wrong', async (t) => {
  const copy = apply(undefined, needs(['a']))!
  const filled: ConfigMap = { ...copy, data: { ...copy.data, 'junk.json': 'x'.repeat(1_000_000) } }
  t.same(apply(filled, needs(['a']))?.data, { 'a.json': 'A' })
  t.same(Object.keys(apply(filled, needs(['a'], { accepted: undefined }))!.data!), ['a.json', 'junk.json'])
  t.equal(planCopy({ ...copy, data: { 'junk.json': '' } }, needs([])).kind, 'delete')
})

t.test('bare: what is accepted and used, and nothing else', async (t) => {
  const copy = apply(undefined, needs(['a', 'b']))!
  const full: ConfigMap = { ...copy, data: { ...copy.data, 'junk.json': 'x' }, metadata: { ...copy.metadata, labels: { team: 'x' } } }
  const after = apply(full, needs(['a', 'junk'], { bare: true }))!
  t.same(after.data, { 'a.json': 'A' })
  t.same([after.metadata.labels, after.metadata.annotations], [{ 'app.kubernetes.io/managed-by': 'sidegate-controller' }, {}])
})

t.test('the last one gone: the copy is deleted', async (t) => {
  const copy = apply(apply(undefined, needs(['a'])), needs([]))
  t.ok(copy)
  t.equal(planCopy(copy, needs([], { now: NOW + 10 * MINUTE })).kind, 'delete')
})

t.test('edited by hand: put right; labels of others stay, annotations do not', async (t) => {
  const copy = apply(undefined, needs(['a']))!
  const edited: ConfigMap = { ...copy, data: { 'a.json': 'evil', 'more': 'x' }, metadata: { ...copy.metadata, labels: { team: 'x' }, annotations: { note: 'y' } } }
  const after = apply(edited, needs(['a']))!
  t.same(after.data, { 'a.json': 'A' })
  t.match(after.metadata, { labels: { team: 'x', 'app.kubernetes.io/managed-by': 'sidegate-controller' } })
  t.same(after.metadata.annotations, {})
  t.same(apply({ ...copy, binaryData: { x: 'eA==' } } as ConfigMap, needs(['a']))?.data, { 'a.json': 'A' })
})

t.test('marks that somebody wrote: nonsense is ignored, the far past does not drop what is in use', async (t) => {
  const copy = apply(undefined, needs(['a', 'b']))!
  const marked = (text: string): ConfigMap => ({ ...copy, metadata: { ...copy.metadata, annotations: { [UNUSED_ANNOTATION]: text } } })
  for (const text of ['', '{', 'null', '[]', '{"a":7}', '{"a":"never"}', '{"a":"1970-01-01T00:00:00Z","b":"1970-01-01T00:00:00Z"}']) {
    t.same(apply(marked(text), needs(['a', 'b']))?.data, { 'a.json': 'A', 'b.json': 'B' }, text)
  }
})

t.test('a profile brings the files that it names, and only those', async (t) => {
  const text = '{"issuers":[{"keys":{"caFile":"/etc/sidegate/corp.pem"}}]}'
  const source = accepted({ a: text, b: 'B' }, { 'corp.pem': 'PEM', 'other.pem': 'OTHER' })
  const copy = apply(undefined, needs(['a', 'b'], { accepted: source }))
  t.same(copy?.data, { 'a.json': text, 'b.json': 'B', 'corp.pem': 'PEM' })
  t.same(apply(undefined, needs(['b'], { accepted: source }))?.data, { 'b.json': 'B' })
  t.same(apply(copy, needs(['a'], { accepted: accepted({ a: text }, { 'corp.pem': 'PEM 2' }) }))?.data!['corp.pem'], 'PEM 2')
  t.equal(planCopy(copy, needs(['a', 'b'], { accepted: accepted({ b: 'B' }) })).kind, 'right', 'the profile removed while it is used: its file stays with it')
})

t.test('an owner is set, and set again when it is made anew', async (t) => {
  const owner = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', name: 'x', uid: '1' }
  const copy = apply(undefined, needs(['a'], { owner }))
  t.same(copy!.metadata.ownerReferences, [owner])
  t.equal(planCopy(copy, needs(['a'], { owner })).kind, 'right')
  t.same(apply(copy, needs(['a'], { owner: { ...owner, uid: '2' } }))?.metadata.ownerReferences, [{ ...owner, uid: '2' }])
  t.equal(planCopy(copy, needs(['a'])).kind, 'right', 'an owner that cannot be read now is no reason to write')
})

t.test('whatever happens in whatever order: right after one step, and nothing in use is ever missing', async () => {
  const profile = fc.constantFrom('a', 'b', 'c')
  const step = fc.record({ used: fc.array(profile), source: fc.array(profile), later: fc.integer({ min: 0, max: 20 }) })
  fc.assert(fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
    let copy: ConfigMap | undefined
    let now = NOW
    for (const { used, source, later } of steps) {
      now += later * MINUTE
      const what = needs(used, { now, accepted: accepted(Object.fromEntries(source.map((name) => [name, `${name}-${now}`]))) })
      copy = apply(copy, what)
      if (planCopy(copy, what).kind !== 'right') return false
      if (used.some((name) => source.includes(name) && copy?.data?.[`${name}.json`] !== `${name}-${now}`)) return false
    }
    return true
  }))
})
