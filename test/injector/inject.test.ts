import t from 'tap'
import { mergePodOverlay, parsePodOverlay } from '../../src/config/pod-overlay.ts'
import { validateConfig } from '../../src/config/validate.ts'
import { inject } from '../../src/injector/inject.ts'
import { injectorSettings } from '../../src/injector/settings.ts'
import { uninject } from '../../src/injector/uninject.ts'
import { podArgumentOf } from '../helpers/kubelet.ts'

const settings = injectorSettings({ image: 'sidegate:dev' })
const pod = Object.freeze({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'x', annotations: { 'sidegate.dev/inject': 'true' } },
  spec: { containers: [{ name: 'app', image: 'a', ports: [{ name: 'http', containerPort: 8080 }], livenessProbe: { httpGet: { port: 'http', path: '/h' } } }] },
})

t.test('the port entry keeps its name and gets the sidecar\'s number; the named probe becomes the app\'s number', async (t) => {
  const out = inject(pod, settings)
  if (!('pod' in out)) throw new Error(JSON.stringify(out))
  t.strictSame(out.pod.spec.containers[0]?.ports, [{ name: 'http', containerPort: 15_001 }])
  t.strictSame(out.pod.spec.containers[0]?.livenessProbe, { httpGet: { port: 8080, path: '/h' } })
  t.equal(out.pod.spec.initContainers?.[0]?.name, 'sidegate')
  t.match(inject(out.pod, settings), { unchanged: 'already injected' })
  t.strictSame(uninject(out.pod), { pod })
})

t.test('resources: a CPU limit of null is none; a request above its limit is a mistake of the settings', async (t) => {
  const out = inject(pod, injectorSettings({ image: 'sidegate:dev', resources: { limits: { cpu: null } } }))
  if (!('pod' in out)) throw new Error(JSON.stringify(out))
  t.strictSame(out.pod.spec.initContainers?.[0]?.['resources'], { limits: { memory: '256Mi' }, requests: { cpu: '50m', memory: '96Mi' } })
  t.match(inject(out.pod, injectorSettings({ image: 'sidegate:dev', resources: { limits: { cpu: null } } })), { unchanged: 'already injected' })
  const limited = inject({ ...pod, metadata: { annotations: { ...pod.metadata.annotations, 'sidegate.dev/cpu-limit': '200m' } } }, injectorSettings({ image: 'sidegate:dev', resources: { limits: { cpu: null } } }))
  t.match(limited, { choices: { resources: { limits: { cpu: '200m' } } } }, 'a pod may have one all the same')
  t.throws(() => injectorSettings({ image: 'sidegate:dev', resources: { requests: { memory: '1Gi' } } }), /resources: a request is more than its limit/)
  t.throws(() => injectorSettings({ image: 'sidegate:dev', resources: { limits: { cpu: '0.01' } } }), /resources: a request is more than its limit/)
})

t.test('loopback with a regular sidecar: the warning says what the app has to do, in full', (t) => {
  const warningsOf = (spec: object, nativeSidecar: boolean) => {
    const metadata = { annotations: { 'sidegate.dev/inject': 'true', 'sidegate.dev/interception': 'loopback' } }
    const out = inject({ metadata, spec: { ...pod.spec, ...spec } }, injectorSettings({ image: 'sidegate:dev', nativeSidecar }))
    if (!('pod' in out)) throw new Error(JSON.stringify(out))
    return out.warnings
  }
  const [warning, ...others] = warningsOf({}, false)
  t.match(warning, /must listen on 127\.0\.0\.1 only.*answer without a token.*sidecar then exits and the pod is not ready\.$/)
  t.ok(`sidegate: ${warning}`.length <= 256, 'the API server gets all of it')
  t.same(others, [])
  t.same(warningsOf({}, true), [])
  t.same(warningsOf({ restartPolicy: 'Never' }, false), [], 'its sidecar is native everywhere')
  t.end()
})

t.test('interception port: a named port is a number also where a host is asked, for it is the kubelet that looks it up in the pod', (t) => {
  const livenessProbe = { httpGet: { host: 'example.org', port: 'http', path: '/' } }
  const readinessProbe = { tcpSocket: { host: 'example.org', port: 'http' } }
  const asked = { ...pod, spec: { containers: [{ ...pod.spec.containers[0]!, livenessProbe, readinessProbe }] } }
  const out = inject(asked, settings)
  if (!('pod' in out)) throw new Error(JSON.stringify(out))
  t.match(out.pod.spec.containers[0], { livenessProbe: { httpGet: { host: 'example.org', port: 8080 } }, readinessProbe: { tcpSocket: { host: 'example.org', port: 8080 } } })
  t.match(inject(out.pod, settings), { unchanged: 'already injected' })
  t.strictSame(uninject(out.pod), { pod: asked })
  const loopback = { ...asked, metadata: { annotations: { 'sidegate.dev/inject': 'true', 'sidegate.dev/interception': 'loopback' } } }
  const kept = inject(loopback, settings)
  if (!('pod' in kept)) throw new Error(JSON.stringify(kept))
  t.match(kept.pod.spec.containers[0], { livenessProbe, readinessProbe }, 'nothing moves: the sidecar asks nobody but the app')
  t.end()
})

t.test('what moves to the sidecar is what its configuration takes', (t) => {
  const metadata = { annotations: { 'sidegate.dev/inject': 'true', 'sidegate.dev/interception': 'loopback' } }
  const profile = { issuers: [{ name: 'corp', issuer: 'https://auth.internal', audiences: ['a'], keys: { discovery: true } }] }
  const problemsOf = (container: object, spec: object = {}) => {
    const out = inject({ metadata, spec: { ...spec, containers: [{ ...pod.spec.containers[0]!, ...container }] } }, settings)
    if (!('pod' in out)) return out
    const parsed = parsePodOverlay(podArgumentOf(out.pod))
    return 'problems' in parsed ? parsed.problems : validateConfig(mergePodOverlay(profile, parsed.overlay)).problems
  }
  const preStop = { lifecycle: { preStop: { httpGet: { path: '/bye', port: 8080 } } } }
  for (const terminationGracePeriodSeconds of [30, 172_800, 2_592_000, 9_999_999_999]) t.same(problemsOf(preStop, { terminationGracePeriodSeconds }), [], `a grace period of ${terminationGracePeriodSeconds} s`)
  const probed = (httpGet: object) => ({ livenessProbe: { httpGet: { port: 8080, ...httpGet } } })
  for (const path of ['/a b', '/café', '/\u010aX: y', '/x#frag', '', 'http://other/', '/q?a=b c']) t.same(problemsOf(probed({ path })), [], path)
  t.match(problemsOf(probed({ httpHeaders: [{ name: 'X-é', value: 'a' }] })), { refused: /^livenessProbe of container "app" has a header named "X-é"/ })
  t.match(problemsOf(probed({ httpHeaders: [{ name: 'X', value: 'a\nb' }] })), { refused: /control characters in the value of its header "X"/ })
  t.end()
})

t.test('a memory that the injector did not write is refused, never an exception', (t) => {
  const out = inject({ ...pod, metadata: { annotations: { 'sidegate.dev/inject': 'true', 'sidegate.dev/interception': 'loopback' } } }, settings)
  if (!('pod' in out)) throw new Error(JSON.stringify(out))
  const forgeries = [
    { httpGet: { port: 8080, httpHeaders: 'x' } }, { httpGet: { port: 8080, httpHeaders: [null] } }, { httpGet: { port: 8080, path: 5 } }, { httpGet: { port: 1.5 } }, { httpGet: { port: -1 } },
    { grpc: { port: '1","z":"' } }, { httpGet: {} }, { httpGet: 'x' }, { exec: {} },
  ]
  for (const liveness of forgeries) {
    const annotations = { ...out.pod.metadata?.annotations, 'sidegate.dev/original': JSON.stringify({ handlers: { app: { liveness } } }) }
    t.match(inject({ ...out.pod, metadata: { ...out.pod.metadata, annotations } }, settings), { refused: /^Annotation sidegate\.dev\/original is not what the injector wrote/ }, JSON.stringify(liveness))
  }
  t.end()
})

t.test('pod-level resources: within the pod\'s limits, without a request; a field that says nothing is none', (t) => {
  const resourcesOf = (resources: object, annotations: Record<string, string> = {}, app: object = {}) => {
    const given = { metadata: { annotations: { ...pod.metadata.annotations, ...annotations } }, spec: { containers: [{ ...pod.spec.containers[0]!, ...app }], resources } }
    const out = inject(given, settings)
    if (!('pod' in out)) throw new Error(JSON.stringify(out))
    t.match(inject(out.pod, settings), { unchanged: 'already injected' })
    t.strictSame(uninject(out.pod), { pod: given })
    return out.pod.spec.initContainers?.map((container) => container['resources'])
  }
  const own = { limits: { cpu: '1', memory: '256Mi' }, requests: { cpu: '50m', memory: '96Mi' } }
  for (const nothing of [{}, { limits: {} }, { limits: null, requests: {} }, { claims: [] }]) t.strictSame(resourcesOf(nothing), [own], JSON.stringify(nothing))
  const none = { cpu: '0', memory: '0' }
  // As the API server shows them to a webhook: it has filled in the pod's requests.
  t.strictSame(resourcesOf({ limits: { cpu: '500m' }, requests: { cpu: '500m' } }), [{ limits: { cpu: '500m', memory: '256Mi' }, requests: none }])
  t.strictSame(resourcesOf({ limits: { cpu: 2, memory: '1Gi' }, requests: { cpu: 2, memory: '1Gi' } }), [{ limits: own.limits, requests: none }])
  t.strictSame(resourcesOf({ limits: { memory: '128Mi' }, requests: { memory: '128Mi' } }), [{ limits: { cpu: '1', memory: '128Mi' }, requests: none }])
  t.strictSame(resourcesOf({ requests: { memory: '512Mi' } }), [{ limits: own.limits, requests: none }])
  t.strictSame(resourcesOf({ limits: { cpu: '50m' }, requests: { cpu: '50m' } }, { 'sidegate.dev/interception': 'redirect' }), [
    { limits: { cpu: '50m', memory: '64Mi' }, requests: none }, { limits: { cpu: '50m', memory: '256Mi' }, requests: none },
  ])
  // In a manifest nothing is filled in: what only the pod limits, it will request.
  t.strictSame(resourcesOf({ limits: { cpu: '500m', memory: '1Gi' } }), [{}])
  t.strictSame(resourcesOf({ limits: { cpu: '500m' } }), [{ limits: { memory: '256Mi' }, requests: { memory: '0' } }])
  t.strictSame(resourcesOf({ limits: { memory: '1Gi' } }, {}, { resources: { requests: { memory: '64Mi' } } }), [{ limits: own.limits, requests: none }])
  t.end()
})

t.test('a hook that moves to the sidecar has a path that only the pod\'s spec knows', async (t) => {
  const hooked = {
    ...pod,
    metadata: { annotations: { 'sidegate.dev/inject': 'true', 'sidegate.dev/interception': 'loopback' } },
    spec: { containers: [{ ...pod.spec.containers[0]!, lifecycle: { preStop: { httpGet: { path: '/shutdown', port: 'http' } } } }] },
  }
  const pathOf = (result: ReturnType<typeof inject>) => {
    if (!('pod' in result)) throw new Error(JSON.stringify(result))
    return result.pod.spec.containers[0]?.lifecycle?.preStop?.httpGet?.path ?? ''
  }
  const one = inject(hooked, settings)
  t.match(pathOf(one), /^\/probe\/app\/preStop\/[\w-]{22}$/)
  t.not(pathOf(inject(hooked, settings)), pathOf(one), 'another one each time')
  if (!('pod' in one)) throw new Error('no')
  t.match(inject(one.pod, settings), { unchanged: 'already injected' }, 'and the same one when called again')
  t.ok(one.pod.spec.initContainers?.[0]?.args?.[3]?.includes(pathOf(one).slice('/probe/'.length)), 'the sidecar knows it')
  const secret = injectorSettings({ image: 'sidegate:dev', hookSecret: 'a secret of 16 and more' })
  t.equal(pathOf(inject(hooked, secret)), pathOf(inject(hooked, secret)), 'or reproducible, by a secret')
  t.not(pathOf(inject(hooked, secret)), pathOf(inject(hooked, injectorSettings({ image: 'sidegate:dev', hookSecret: 'another secret of 16' }))))
  t.notMatch(JSON.stringify(inject({ ...hooked, metadata: pod.metadata }, settings)), /hookKey/, 'none where hooks stay')
})
