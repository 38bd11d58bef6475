/** The webhook called a second time (reinvocationPolicy IfNeeded), and pods that an older injector or the command line has done. */
import t, { type Test } from 'tap'
import { inject } from '../../src/injector/inject.ts'
import type { Pod } from '../../src/injector/pod.ts'
import { injectorSettings } from '../../src/injector/settings.ts'
import { uninject } from '../../src/injector/uninject.ts'

const settings = injectorSettings({ image: 'sidegate:2' })
const plain: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', annotations: { 'sidegate.dev/inject': 'true', 'sidegate.dev/interception': 'loopback' }, labels: { app: 'web' } },
  spec: {
    containers: [{ name: 'app', image: 'a', ports: [{ name: 'http', containerPort: 8080 }], readinessProbe: { httpGet: { path: '/r', port: 'http' } } }],
    volumes: [{ name: 'kube-api-access-x', projected: {} }],
  },
}

function injected(pod: unknown, using = settings): Pod {
  const result = inject(pod, using)
  if (!('pod' in result)) throw new Error(JSON.stringify(result))
  return structuredClone(result.pod)
}

type Loose = Record<string, any>
const sidecarOf = (pod: Pod): Loose => pod.spec.initContainers!.find(({ name }) => name === 'sidegate')!

/** What somebody does to an injected pod, and that the next call undoes exactly that. */
function repairs(t: Test, what: string, tamper: (pod: Pod & Loose) => void) {
  t.test(what, async (t) => {
    const good = injected(plain)
    const bad = structuredClone(good)
    tamper(bad)
    t.notSame(bad, good, 'it is something else now')
    t.strictSame(injected(bad), good)
  })
}

/** What the cluster itself does, which must not lead to another patch. */
function tolerates(t: Test, what: string, change: (sidecar: Loose, pod: Pod) => void) {
  t.test(what, async (t) => {
    const pod = injected(plain)
    change(sidecarOf(pod), pod)
    t.match(inject(pod, settings), { unchanged: 'already injected' })
    t.strictSame(uninject(pod), { pod: plain })
  })
}

t.test('a second webhook that strips fields is repaired', async (t) => {
  repairs(t, 'security context', (pod) => { delete sidecarOf(pod)['securityContext'] })
  repairs(t, 'restartPolicy', (pod) => { delete sidecarOf(pod)['restartPolicy'] })
  repairs(t, 'probes', (pod) => { delete sidecarOf(pod)['readinessProbe'] })
  repairs(t, 'resources', (pod) => { delete sidecarOf(pod)['resources'] })
  repairs(t, 'environment', (pod) => { sidecarOf(pod)['env'] = [] })
  repairs(t, 'the label', (pod) => { delete (pod.metadata!.labels as Loose)['sidegate.dev/injected'] })
  repairs(t, 'every label', (pod) => { (pod.metadata as Loose)['labels'] = { app: 'web' } })
  repairs(t, 'the volume', (pod) => { (pod.spec as Loose)['volumes'].pop() })
  repairs(t, 'a command', (pod) => { sidecarOf(pod)['command'] = ['sh'] })
})

t.test('what others add to our container goes', async (t) => {
  repairs(t, 'code', (pod) => { sidecarOf(pod)['env'].push({ name: 'NODE_OPTIONS', value: '--require /x.js' }) })
  repairs(t, 'a mount', (pod) => { sidecarOf(pod)['volumeMounts'].push({ name: 'kube-api-access-x', mountPath: '/app' }) })
  repairs(t, 'a mount that only claims to be the token', (pod) => {
    sidecarOf(pod)['volumeMounts'].push({ name: 'theirs', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true })
  })
  repairs(t, 'privilege', (pod) => { sidecarOf(pod)['securityContext'].privileged = true })
  repairs(t, 'another image', (pod) => { sidecarOf(pod)['image'] = 'mirror/sidegate:1' })
  repairs(t, 'audit mode behind our back', (pod) => {
    const args = sidecarOf(pod)['args'] as string[]
    args[3] = args[3]!.replace('{', '{"mode":"audit",')
  })
  repairs(t, 'another listener', (pod) => {
    const args = sidecarOf(pod)['args'] as string[]
    args[3] = args[3]!.replace(':8080"', ':9999"')
  })
})

t.test('what the cluster itself adds stays, and makes no second patch', async (t) => {
  tolerates(t, 'the service-account token (in-tree plugins run again after webhooks)', (sidecar) => {
    sidecar['volumeMounts'].push({ mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', name: 'kube-api-access-x', readOnly: true })
  })
  tolerates(t, 'AlwaysPullImages', (sidecar) => { sidecar['imagePullPolicy'] = 'Always' })
  tolerates(t, 'LimitRanger\'s default of another resource', (sidecar) => { sidecar['resources'].limits['ephemeral-storage'] = '1Gi' })
  tolerates(t, 'a quantity in another spelling', (sidecar) => { sidecar['resources'].limits.cpu = '1000m' })
  tolerates(t, 'a default of newer versions', (sidecar) => { sidecar['resizePolicy'] = [{ resourceName: 'cpu', restartPolicy: 'NotRequired' }] })
  tolerates(t, 'another order of keys', (sidecar, pod) => {
    const { initContainers } = pod.spec as Loose
    initContainers[0] = Object.fromEntries(Object.entries(sidecar).reverse())
  })
  t.test('what the API server fills in and appends to a pod that was injected before it came', async (t) => {
    const asking = { metadata: { annotations: { 'sidegate.dev/inject': 'true' } }, spec: { containers: [{ name: 'app', ports: [{ name: 'http', containerPort: 8080 }], livenessProbe: { httpGet: { path: '/', port: 'http' } } }] } }
    const pod = injected(asking) as Loose
    pod['spec'].containers[0].livenessProbe.httpGet.scheme = 'HTTP'
    pod['spec'].containers[0].ports[0].protocol = 'TCP'
    pod['spec'].volumes.push({ name: 'kube-api-access-x', projected: {} })
    t.match(inject(pod, settings), { unchanged: 'already injected' })
    t.match(uninject(pod), { pod: { spec: { containers: [{ livenessProbe: { httpGet: { port: 'http', scheme: 'HTTP' } } }], volumes: [{ name: 'kube-api-access-x' }] } } })
  })
  t.test('and stays when something else is repaired', async (t) => {
    const pod = injected(plain)
    const sidecar = sidecarOf(pod)
    sidecar['imagePullPolicy'] = 'Always'
    delete sidecar['livenessProbe']
    const repaired = sidecarOf(injected(pod))
    t.equal(repaired['imagePullPolicy'], 'Always')
    t.ok(repaired['livenessProbe'])
  })
})

t.test('what others add beside stays', async (t) => {
  const pod = injected(plain)
  const { containers, initContainers } = pod.spec as Loose
  containers.push({ name: 'late', image: 'l', ports: [{ name: 'late', containerPort: 9000 }], livenessProbe: { tcpSocket: { port: 9000 } } })
  initContainers.unshift({ name: 'first', image: 'f' })
  ;(pod.metadata!.annotations as Loose)['late'] = 'yes'
  const again = injected(pod)
  t.match(again.spec.initContainers?.map(({ name }) => name), ['sidegate', 'first'], 'ours is the first again')
  t.match(again.spec.containers[1]?.livenessProbe, { httpGet: { path: '/probe/late/liveness', port: 15_020 } }, 'the new container is protected')
  t.match(sidecarOf(again)['args'][3], /"port":9000,"on":"pod"/)
  const back = uninject(again)
  t.match(back, { pod: { metadata: { annotations: { late: 'yes' } }, spec: { containers: [{ name: 'app' }, { name: 'late', livenessProbe: { tcpSocket: { port: 9000 } } }], initContainers: [{ name: 'first' }] } } })
})

t.test('an older injector\'s work becomes today\'s', async (t) => {
  const old = injected(plain, injectorSettings({ image: 'sidegate:1', nativeSidecar: false, command: ['node', 'x'], labels: { old: 'yes' } }))
  t.equal(old.spec.containers[0]?.name, 'sidegate')
  t.strictSame(injected(old), injected(plain))
})

t.test('other annotations on an injected pod lead to another injection', async (t) => {
  const pod = injected(plain)
  ;(pod.metadata!.annotations as Loose)['sidegate.dev/interception'] = 'redirect'
  const fresh = structuredClone(plain)
  ;(fresh.metadata!.annotations as Loose)['sidegate.dev/interception'] = 'redirect'
  t.strictSame(injected(pod), injected(fresh))
})

t.test('a container that no longer looks like ours is the user\'s', async (t) => {
  const pod = injected(plain)
  sidecarOf(pod)['args'] = ['--config', '/tmp/open.json']
  t.match(inject(pod, settings), { code: 403, refused: /own container named "sidegate"/ })
  t.match(uninject(pod), { code: 403 })
})

t.test('ours beside a user\'s of the same name: the user\'s is not taken away silently', async (t) => {
  const pod = injected(plain)
  ;(pod.spec as Loose)['containers'].push({ name: 'sidegate', image: 'theirs' })
  t.match(inject(pod, settings), { code: 403, refused: /own container named "sidegate"/ })
  t.match(uninject(pod), { code: 403 })
})

t.test('the injector\'s annotation alone is not a way in', async (t) => {
  const pod = injected(plain)
  ;(pod.spec as Loose)['initContainers'] = []
  t.match(inject(pod, settings), { code: 403, refused: /sidegate\.dev\/original/ })
})

t.test('whatever the annotation claims, every declared port ends behind the sidecar', async (t) => {
  const pod = injected({ ...plain, metadata: { annotations: { 'sidegate.dev/inject': 'true' } } })
  ;(pod.metadata!.annotations as Loose)['sidegate.dev/original'] = JSON.stringify({ ports: [{ listen: 8080, app: 9 }, { listen: 15_001, app: 7777 }] })
  const again = injected(pod)
  t.strictSame(again.spec.containers[0]?.ports, [{ name: 'http', containerPort: 15_001 }])
  t.match(sidecarOf(again)['args'][3], /"upstream":"127\.0\.0\.1:7777"/)
})
