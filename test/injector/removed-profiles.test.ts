/** Profiles that were removed from the source while pods use them, over changes of the source, restarts and several replicas. */
import t from 'tap'
import { createLog } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { noEvents } from '../../src/injector/events.ts'
import type { Owner } from '../../src/injector/owners.ts'
import { joinKept, splitKept } from '../../src/injector/removed-profiles.ts'
import { createSource } from '../../src/injector/source.ts'
import { KubeError } from '../../src/kube/kube-error.ts'
import type { ConfigMap } from '../../src/kube/types.ts'
import { issuers } from '../helpers/api-server.ts'
import { createFakeKube, type FakeKube } from '../helpers/fake-kube.ts'

const log = createLog({ sink: (bytes, done) => { done(null, bytes.length) }, level: 'error' })
const owner: Owner = { current: () => undefined, refresh: () => Promise.resolve() }
const MINUTE = 60_000
const BOTH = '{"default":{},"strict":{"mode":"enforce"}}'
const ONE = '{"default":{}}'

interface World { kube: FakeKube, used: Set<string> | undefined, now: number, profiles: string }
const world = (): World => ({ kube: createFakeKube(), used: new Set(['default', 'strict']), now: Date.UTC(2030, 0, 1), profiles: BOTH })

function replica(world: World) {
  const clock: Clock = { now: () => world.now, monotonic: () => world.now, after: () => () => {} }
  const source = createSource({
    kube: world.kube, namespace: 's', source: 'profiles', acceptedName: 'accepted', owner, inUse: () => world.used, keepMs: 10 * MINUTE, clock, log,
    metrics: createMetrics(), events: noEvents, onAccepted: () => {},
  })
  return {
    removed: () => [...source.removed().keys()], text: () => source.removed().get('strict')?.text,
    accepted: () => [...source.accepted()?.profiles.keys() ?? []],
    async settle() {
      const current: ConfigMap = { metadata: { name: 'profiles', namespace: 's' }, data: { issuers, profiles: world.profiles } }
      const ref = { resource: 'configmaps', namespace: 's', name: 'profiles' } as const
      if (!await world.kube.get(ref)) await world.kube.create('configmaps', current)
      await source.settle(current)
    },
  }
}

t.test('kept while it is used, over a restart, and forgotten some time after', async (t) => {
  const shop = world()
  const first = replica(shop)
  await first.settle()
  t.same(first.removed(), [])
  shop.profiles = ONE
  await first.settle()
  t.same([first.accepted(), first.removed()], [['default'], ['strict']])
  t.match(first.text(), /"mode": "enforce"/)
  const second = replica(shop)
  await second.settle()
  t.equal(second.text(), first.text())
  shop.now += 60 * MINUTE
  await second.settle()
  t.same(second.removed(), ['strict'], 'in use')
  shop.used = undefined
  await second.settle()
  t.same(second.removed(), ['strict'], 'not known')
  shop.used = new Set(['default'])
  await second.settle()
  t.same(second.removed(), [])
  t.same(Object.keys((shop.kube.objects.get('configmaps/s/accepted') as ConfigMap).data!), ['issuers', 'profiles'])
})

t.test('removed while no controller ran', async (t) => {
  const shop = world()
  await replica(shop).settle()
  shop.profiles = ONE
  const next = replica(shop)
  await next.settle()
  t.same(next.removed(), ['strict'])
})

t.test('in the source again: no longer removed; broken: as it was', async (t) => {
  const shop = world()
  const first = replica(shop)
  await first.settle()
  shop.profiles = ONE
  await first.settle()
  shop.profiles = '{'
  const second = replica(shop)
  await second.settle()
  t.same([second.accepted(), second.removed()], [['default'], ['strict']])
  shop.profiles = BOTH
  await first.settle()
  t.same([first.accepted(), first.removed()], [['default', 'strict'], []])
})

t.test('two replicas do not write in turns', async (t) => {
  const shop = world()
  const [one, other] = [replica(shop), replica(shop)]
  for (const each of [one, other]) await each.settle()
  shop.profiles = ONE
  await one.settle()
  shop.now += MINUTE
  await other.settle()
  const count = shop.kube.writes.filter((write) => write.includes('accepted')).length
  for (const each of [one, other, one, other]) await each.settle()
  t.equal(shop.kube.writes.filter((write) => write.includes('accepted')).length, count)
  t.same([one.removed(), other.removed()], [['strict'], ['strict']])
})

t.test('no room for it: the configuration is in force and kept all the same', async (t) => {
  const shop = world()
  const first = replica(shop)
  await first.settle()
  const real = { ...shop.kube }
  shop.kube.replace = (resource, object, options) => (object as ConfigMap).data?.['removed.json'] === undefined
    ? real.replace(resource, object, options) : Promise.reject(new KubeError(422, 'Invalid', 'Too long'))
  shop.profiles = ONE
  await first.settle()
  t.same([first.accepted(), first.removed()], [['default'], ['strict']])
  t.equal((shop.kube.objects.get('configmaps/s/accepted') as ConfigMap).data!['profiles'], ONE)
})

t.test('what was accepted before cannot be read: in force all the same, and looked for again', async (t) => {
  const shop = world()
  await replica(shop).settle()
  shop.profiles = ONE
  const next = replica(shop)
  shop.kube.trouble = (_, { name }) => { if (name === 'accepted') throw new KubeError(500, 'InternalError', 'etcd is away') }
  await t.rejects(next.settle())
  t.same(next.accepted(), ['default'])
  shop.kube.trouble = () => {}
  await next.settle()
  t.same(next.removed(), ['strict'])
})

t.test('nonsense in the kept one is none', async (t) => {
  for (const text of ['', '{', 'null', '[]', '7', '{"a":7}', '{"a":null}', '{"a":{"text":1,"files":{},"at":1}}']) t.equal(splitKept({ 'removed.json': text }).removed.size, 0, text)
  const one = { text: 'x', files: {}, at: 1 }
  t.same(joinKept({ a: 'b' }, new Map([['z', one], ['y', one]])), joinKept({ a: 'b' }, new Map([['y', one], ['z', one]])))
})
