/** The replicas' certificates over weeks, with a clock of our own. The real API server has its turn in test/e2e/api/certificates.test.ts. */
import t from 'tap'
import { X509Certificate } from 'node:crypto'
import type { Clock } from '../../src/lib/clock.ts'
import { createLog } from '../../src/telemetry/log.ts'
import type { KeyPair } from '../../src/pki/authority.ts'
import { decodeState } from '../../src/pki/rotation.ts'
import { keepSelfSigned } from '../../src/injector/certificates.ts'
import type { Owner } from '../../src/injector/owners.ts'
import type { Kube } from '../../src/kube/client.ts'
import { KubeError } from '../../src/kube/kube-error.ts'
import type { KubeObject, Secret } from '../../src/kube/types.ts'
import { createFakeKube, type FakeKube } from '../helpers/fake-kube.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const log = createLog({ sink: (bytes, done) => { done(null, bytes.length) }, level: 'error' })
const owner: Owner = { current: () => undefined, refresh: () => Promise.resolve() }

type Configuration = KubeObject & { webhooks: { name: string, clientConfig: { caBundle?: string } }[] }

const START = Date.UTC(2030, 0, 1)

function fakeClock(start = START): Clock & { forward(ms: number): void } {
  let now = start
  return { now: () => now, monotonic: () => now, after: () => () => {}, forward: (ms) => { now += ms } }
}

async function withWebhooks(): Promise<FakeKube> {
  const kube = createFakeKube()
  const webhooks = ['pods', 'namespaces'].map((name) => ({ name, clientConfig: {} }))
  await kube.create('mutatingwebhookconfigurations', { metadata: { name: 'sidegate' }, webhooks } as KubeObject)
  return kube
}

function replica(kube: Kube, clock: Clock) {
  const leaves: KeyPair[] = []
  const keeper = keepSelfSigned({
    kube, clock, log, owner, namespace: 'sidegate-system', secret: 'sidegate-ca', configuration: 'sidegate', names: ['sidegate-webhook.sidegate-system.svc'],
    policy: { caValidityMs: 12 * DAY, leafValidityMs: DAY, overlapMs: HOUR }, onLeaf: (leaf) => { leaves.push(leaf) },
  })
  return { keeper, leaves, leaf: () => new X509Certificate(leaves.at(-1)!.cert) }
}

const bundles = async (kube: Kube): Promise<string[]> => (await kube.get<Configuration>({ resource: 'mutatingwebhookconfigurations', name: 'sidegate' }))!
  .webhooks.map(({ clientConfig }) => Buffer.from(clientConfig.caBundle ?? '', 'base64').toString())

const certificates = (bundle: string): X509Certificate[] => (bundle.match(/-----BEGIN[^]+?-----END CERTIFICATE-----/g) ?? []).map((pem) => new X509Certificate(pem))

/** As the API server judges it. */
const inTime = (cert: X509Certificate, now: number): boolean => cert.validFromDate.getTime() <= now && now < cert.validToDate.getTime()
const trusted = (leaf: X509Certificate, bundle: string, now: number): boolean => inTime(leaf, now)
  && certificates(bundle).some((ca) => inTime(ca, now) && ca.subject === leaf.issuer && leaf.verify(ca.publicKey))

t.test('ten replicas at once: one authority, each its own leaf, every webhook told', async (t) => {
  const kube = await withWebhooks()
  const clock = fakeClock()
  const replicas = Array.from({ length: 10 }, () => replica(kube, clock))
  await Promise.all(replicas.map(({ keeper }) => keeper.settle()))
  const [first, second] = await bundles(kube)
  t.equal(certificates(first!).length, 1)
  t.equal(second, first)
  for (const { keeper, leaf } of replicas) {
    t.equal(keeper.ready(), true)
    t.equal(trusted(leaf(), first!, clock.now()), true)
  }
  t.equal(new Set(replicas.map(({ leaf }) => leaf().serialNumber)).size, 10)
})

t.test('thirty days of three replicas that look every four hours, authorities of twelve days: each leaf is trusted at every moment, by the bundle of a look before, too', async (t) => {
  const kube = await withWebhooks()
  const clock = fakeClock()
  const replicas = Array.from({ length: 3 }, () => replica(kube, clock))
  const authorities = new Set<string>()
  let before = ''
  for (let passed = 0; passed < 30 * DAY; passed += 4 * HOUR) {
    await Promise.all(replicas.map(({ keeper }) => keeper.settle()))
    const now = (await bundles(kube))[0]!
    for (const { leaf } of replicas) {
      if (!trusted(leaf(), now, clock.now())) t.fail(`not trusted after ${passed / DAY} days`)
      if (before !== '' && !trusted(leaf(), before, clock.now())) t.fail(`not trusted by the bundle before, after ${passed / DAY} days`)
      authorities.add(leaf().issuer)
    }
    before = now
    clock.forward(4 * HOUR)
  }
  t.equal(authorities.size, 4)
})

t.test('the Secret deleted or spoilt: the same authority again', async (t) => {
  const kube = await withWebhooks()
  const clock = fakeClock()
  const { keeper, leaves } = replica(kube, clock)
  await keeper.settle()
  const key = 'secrets/sidegate-system/sidegate-ca'
  const signer = () => decodeState((kube.objects.get(key) as Secret).data)!.active.cert
  const authority = signer()
  kube.objects.delete(key)
  await keeper.settle()
  t.equal(signer(), authority)
  await kube.replace<Secret>('secrets', { ...kube.objects.get(key)!, metadata: { name: 'sidegate-ca', namespace: 'sidegate-system' }, data: { 'tls.crt': 'bm9uc2Vuc2U=' } })
  await keeper.settle()
  t.equal(signer(), authority)
  t.equal(leaves.length, 1, 'and the leaf in use was never in question')
})

t.test('a clock that was two days ahead at the start: not ready with a leaf that is not valid yet, and soon another leaf', async (t) => {
  const kube = await withWebhooks()
  const [right, ahead] = [fakeClock(), fakeClock(START + 2 * DAY)]
  const [one, other] = [replica(kube, right), replica(kube, ahead)]
  await one.keeper.settle()
  await other.keeper.settle()
  ahead.forward(-2 * DAY)
  t.equal(other.keeper.ready(), false)
  await other.keeper.settle()
  t.equal(other.keeper.ready(), true)
  for (const { leaf } of [one, other]) t.equal(trusted(leaf(), (await bundles(kube))[0]!, right.now()), true)
})

t.test('a clock that was a year ahead for a moment: the authority that all had before, again', async (t) => {
  const kube = await withWebhooks()
  const [right, ahead] = [fakeClock(), fakeClock()]
  const [one, other] = [replica(kube, right), replica(kube, ahead)]
  await one.keeper.settle()
  await other.keeper.settle()
  const before = one.leaf().issuer
  ahead.forward(365 * DAY)
  await other.keeper.settle()
  ahead.forward(-365 * DAY)
  for (const { keeper } of [one, other, one]) await keeper.settle()
  for (const { keeper, leaf } of [one, other]) {
    t.equal(keeper.ready(), true)
    t.equal(leaf().issuer, before)
    t.equal(trusted(leaf(), (await bundles(kube))[0]!, right.now()), true)
  }
})

t.test('an authority that is not valid yet and that nobody has another for: a new one; deleting the Secret does not bring it back', async (t) => {
  for (const remove of [false, true]) {
    const kube = await withWebhooks()
    const clock = fakeClock(START + 365 * DAY)
    const { keeper, leaf } = replica(kube, clock)
    await keeper.settle()
    clock.forward(-365 * DAY)
    if (remove) kube.objects.delete('secrets/sidegate-system/sidegate-ca')
    await keeper.settle()
    t.equal(keeper.ready(), true)
    t.equal(trusted(leaf(), (await bundles(kube))[0]!, clock.now()), true)
  }
})

t.test('no webhook configuration: not ready, and ready once it is there', async (t) => {
  const kube = createFakeKube()
  const { keeper } = replica(kube, fakeClock())
  await keeper.settle()
  t.equal(keeper.ready(), false)
  await kube.create('mutatingwebhookconfigurations', { metadata: { name: 'sidegate' }, webhooks: [{ name: 'pods', clientConfig: {} }] } as KubeObject)
  await keeper.settle()
  t.equal(keeper.ready(), true)
})

t.test('the API server away for a while: the leaf in use stays; for longer than it lives: not ready', async (t) => {
  const kube = await withWebhooks()
  const clock = fakeClock()
  const { keeper, leaves } = replica(kube, clock)
  await keeper.settle()
  kube.trouble = () => { throw new KubeError(500, 'InternalError', 'etcd is away') }
  clock.forward(20 * HOUR)
  await t.rejects(keeper.settle(), { message: 'etcd is away' })
  t.equal(keeper.ready(), true)
  clock.forward(5 * HOUR)
  t.equal(keeper.ready(), false)
  kube.trouble = () => {}
  await keeper.settle()
  t.equal(keeper.ready(), true)
  t.equal(leaves.length, 2)
})

t.test('settled: no more writes', async (t) => {
  const kube = await withWebhooks()
  const { keeper } = replica(kube, fakeClock())
  await keeper.settle()
  const count = kube.writes.length
  for (let i = 0; i < 5; i++) await keeper.settle()
  t.equal(kube.writes.length, count)
})
