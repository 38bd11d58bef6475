/** Any pod: injection never throws, never changes its argument, is idempotent and reversible, loses nothing and leaves no named port open. */
import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import { applyPatch } from 'rfc6902'
import t from 'tap'
import * as v from 'valibot'
import { mergePodOverlay, parsePodOverlay } from '../../src/config/pod-overlay.ts'
import { configSchema } from '../../src/config/schema.ts'
import { inject } from '../../src/injector/inject.ts'
import { podPatch } from '../../src/injector/patch.ts'
import type { Container, ContainerPort, Pod } from '../../src/injector/pod.ts'
import { injectorSettings } from '../../src/injector/settings.ts'
import { uninject } from '../../src/injector/uninject.ts'
import { podArgumentOf, resolveTargetPort } from '../helpers/kubelet.ts'

const RUNS = { numRuns: 200 }
const native = injectorSettings({ image: 'sidegate:dev', imagePullSecrets: ['registry'], labels: { mesh: 'none' } })
const regular = injectorSettings({ image: 'sidegate:dev', nativeSidecar: false })

const some = <T>(...values: T[]) => fc.constantFrom(...values)
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 })
/** As JSON has it: no undefined members. */
const json = <T>(value: T) => JSON.parse(JSON.stringify(value)) as T

const portName = some('http', 'grpc', 'admin', 'metrics', 'web-2')
const number = some(80, 443, 8080, 8081, 9000, 9090, 14_999, 15_021, 32_767, 40_000)
const port = fc.record({ name: maybe(portName), containerPort: number, protocol: maybe(some('TCP', 'TCP', 'UDP')), hostPort: maybe(some(8080, 80)) })
const extra = fc.dictionary(some('env', 'tty', 'x-future', 'workingDir'), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 2 })
const reference = fc.oneof(number, portName)
const handler = fc.oneof(
  fc.record({ httpGet: fc.record({ path: maybe(some('/healthz', 'x', '/$(HOME)/$$', '', '/a b?c d#e')), port: reference, scheme: maybe(some('HTTP', 'HTTPS')), host: maybe(some('', 'other.example')), httpHeaders: maybe(fc.array(fc.record({ name: some('Host', 'X-A'), value: some('a', '', '$(X)') }), { maxLength: 2 })) }) }),
  fc.record({ tcpSocket: fc.record({ port: reference }) }),
  fc.record({ exec: fc.constant({ command: ['true'] }) }),
  fc.record({ grpc: fc.record({ port: number, service: maybe(some('shop')) }) }),
)
const probe = fc.tuple(handler, fc.record({ timeoutSeconds: maybe(some(1, 5)), periodSeconds: maybe(some(3)) })).map(([a, b]) => ({ ...b, ...a }))
const container = (name: string) => fc.tuple(extra, fc.record({
  name: fc.constant(name),
  image: some('a:1'),
  ports: maybe(fc.uniqueArray(port, { maxLength: 4, selector: (entry) => entry.name ?? entry })),
  livenessProbe: maybe(probe),
  readinessProbe: maybe(probe),
  startupProbe: maybe(probe),
  lifecycle: maybe(fc.record({ postStart: maybe(handler), preStop: maybe(handler) })),
})).map(([more, own]) => ({ ...more, ...own }))

const annotations = fc.record({
  'sidegate.dev/inject': fc.constant('true'),
  'sidegate.dev/interception': maybe(some('port', 'loopback', 'redirect')),
  'sidegate.dev/mode': maybe(some('audit')),
  'sidegate.dev/profile': maybe(some('default', 'partners')),
  'sidegate.dev/memory-limit': maybe(some('1Gi')),
  'kubectl.kubernetes.io/default-container': maybe(some('b')),
  other: maybe(some('x')),
})

const pods: fc.Arbitrary<Pod> = fc.record({
  apiVersion: fc.constant('v1'),
  metadata: fc.record({ annotations, labels: maybe(fc.dictionary(some('app', 'team', 'mesh'), some('web', 'x'))), name: maybe(some('web')) }),
  spec: fc.tuple(extra, fc.record({
    containers: fc.tuple(container('a'), maybe(container('b'))).map((list) => list.filter((item) => item !== undefined)),
    initContainers: maybe(fc.tuple(container('i'), container('n').map((item) => ({ ...item, restartPolicy: 'Always' }))).map((list) => list as Container[])),
    volumes: maybe(fc.array(fc.record({ name: some('data', 'tmp') }), { maxLength: 2 })),
    imagePullSecrets: maybe(fc.array(fc.record({ name: some('mine', 'registry') }), { maxLength: 2 })),
    restartPolicy: maybe(some('Always', 'Never', 'OnFailure')),
    securityContext: maybe(some({ fsGroup: 1 }, { sysctls: [{ name: 'net.x', value: '1' }] })),
    terminationGracePeriodSeconds: maybe(some(0, 1, 30, 300, 2_592_000)),
    hostNetwork: maybe(some(false)),
    resources: maybe(some({}, { limits: { cpu: '500m' } }, { limits: { memory: '64Mi' }, requests: { cpu: '1' } })),
  })).map(([more, own]) => ({ ...more, ...own })),
}).map((pod) => json(pod) as unknown as Pod)

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    Object.values(value).forEach(deepFreeze)
  }
  return value
}

const apps = ({ spec }: Pod) => [...spec.containers, ...(spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')]
const isTcp = ({ protocol }: ContainerPort) => (protocol ?? 'TCP') === 'TCP'

function expectProtected(before: Pod, after: Pod) {
  const parsed = parsePodOverlay(podArgumentOf(after))
  if (!('overlay' in parsed)) throw new Error(parsed.problems.join())
  const { listeners } = parsed.overlay
  const script = after.spec.initContainers?.find(({ name }) => name === 'sidegate-redirect')?.args?.[0]
  const declared = apps(before).flatMap(({ ports }) => (ports ?? []).filter(isTcp))
  for (const { name, containerPort } of declared) {
    const listener = listeners.find(({ upstream }) => upstream === `127.0.0.1:${containerPort}`)
    if (!listener) throw new Error(`port ${containerPort} has no listener`)
    if (script && !script.includes(`tcp dport ${containerPort} redirect to :${listener.port}`)) throw new Error(`port ${containerPort} is not redirected`)
    if (!name) continue
    const reached = resolveTargetPort(after, name)
    const answers = listeners.some(({ port }) => port === reached)
    if (!script && !answers) throw new Error(`Service target ${name} reaches ${reached}, which is not the sidecar's`)
  }
  for (const { name, livenessProbe } of apps(before)) {
    const path = livenessProbe?.httpGet?.path
    const target = parsed.overlay.probes?.[`${name}/liveness`] as { path: string } | undefined
    if (target && path?.startsWith('/') && target.path !== path.replaceAll(' ', '%20').replace(/#.*/, '')) throw new Error(`probe path ${path} became ${target.path}`)
  }
  if (!script && listeners.some(({ port, upstream, on }) => upstream.endsWith(`:${port}`) && on !== 'pod')) throw new Error('the app could not bind its own port')
  expectAccepted(after)
}

function expectAccepted(after: Pod) {
  const parsed = parsePodOverlay(podArgumentOf(after))
  if (!('overlay' in parsed)) throw new Error(parsed.problems.join())
  const profile = { issuers: [{ name: 'corp', issuer: 'https://auth.internal', audiences: ['a'], keys: { discovery: true } }] }
  v.parse(configSchema, mergePodOverlay(profile, parsed.overlay))
}

function expectNothingLost(before: Pod, after: Pod) {
  const { containers, initContainers, volumes, imagePullSecrets, securityContext, ...spec } = before.spec
  for (const [key, value] of Object.entries(spec)) if (!isDeepStrictEqual(after.spec[key], value)) throw new Error(`spec.${key} changed`)
  const kept = (was: readonly unknown[] | undefined, is: readonly unknown[] | undefined) => (was ?? []).every((item) => is?.some((other) => isDeepStrictEqual(other, item)))
  if (!kept(volumes, after.spec.volumes) || !kept(imagePullSecrets, after.spec.imagePullSecrets)) throw new Error('a volume or pull secret is gone')
  if (!kept(Object.entries(securityContext ?? {}).filter(([key]) => key !== 'sysctls'), Object.entries(after.spec.securityContext ?? {}))) throw new Error('securityContext changed')
  for (const container of [...containers, ...initContainers ?? []]) {
    const found = [...after.spec.containers, ...after.spec.initContainers ?? []].find(({ name }) => name === container.name)
    for (const [key, value] of Object.entries(container)) {
      if (!/^ports$|Probe$|^lifecycle$/.test(key) && !isDeepStrictEqual(found?.[key], value)) throw new Error(`${container.name}.${key} changed`)
    }
  }
}

let injected = 0
for (const settings of [native, regular]) {
  t.test(settings.nativeSidecar ? 'native sidecar' : 'regular sidecar', async () => {
    fc.assert(fc.property(pods, (pod) => {
      const result = inject(deepFreeze(pod), settings)
      if ('refused' in result) return /port|Port|probe/i.test(result.refused)
      if (!('pod' in result)) throw new Error(result.unchanged)
      injected += 1
      const after = json(result.pod)
      if (!isDeepStrictEqual(after, result.pod)) throw new Error('not plain JSON')
      const again = inject(deepFreeze(after), settings)
      if (!('unchanged' in again)) throw new Error('not idempotent')
      const back = uninject(after)
      if (!('pod' in back) || !isDeepStrictEqual(back.pod, pod)) throw new Error(`not reversible: ${JSON.stringify(back)}`)
      const patched = structuredClone(pod)
      for (const error of applyPatch(patched, structuredClone([...podPatch(pod, result.pod)]))) if (error) throw error
      if (!isDeepStrictEqual(patched, result.pod)) throw new Error('the patch makes another pod')
      expectProtected(pod, after)
      expectNothingLost(pod, after)
      return true
    }), RUNS)
  })
}

t.test('most of those pods are injected', async (t) => { t.ok(injected > RUNS.numRuns * 0.5, `${injected} of ${RUNS.numRuns * 2}`) })

t.test('anything at all as a pod', async () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    inject(value, native, { optIn: true })
    uninject(value)
  }), RUNS)
})

t.test('a pod with one thing in it replaced by anything', async () => {
  const place = fc.array(some('metadata', 'spec', 'annotations', 'labels', 'containers', 'initContainers', '0', '1', 'ports', 'livenessProbe', 'httpGet', 'lifecycle', 'args', 'volumes', 'sidegate.dev/original', 'sidegate.dev/ports'), { minLength: 1, maxLength: 5 })
  fc.assert(fc.property(pods, place, fc.jsonValue(), fc.boolean(), (pod, path, value, first) => {
    const result = first ? inject(pod, native) : undefined
    const target = json(result && 'pod' in result ? result.pod : pod)
    let parent: Record<string, unknown> = target
    for (const key of path.slice(0, -1)) if (typeof parent[key] === 'object' && parent[key] !== null) parent = parent[key] as Record<string, unknown>
    parent[path.at(-1)!] = value
    deepFreeze(target)
    const after = inject(target, native, { optIn: true })
    if ('pod' in after) {
      const again = inject(json(after.pod), native, { optIn: true })
      if (!('unchanged' in again)) throw new Error('not idempotent')
    }
    uninject(target)
  }), RUNS)
})

t.test('an injected pod with any handler in its memory', async () => {
  const strange = fc.oneof(handler, fc.jsonValue({ maxDepth: 2 }), fc.record({
    httpGet: maybe(fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.record({
      port: fc.oneof(reference, fc.jsonValue({ maxDepth: 0 })), path: maybe(fc.oneof(some('/h'), fc.jsonValue({ maxDepth: 0 }))),
      httpHeaders: maybe(some<unknown>('x', [null], [{}], [{ name: 1 }], [{ name: 'X' }], [{ name: 'X', value: 2 }], null)), host: maybe(fc.jsonValue({ maxDepth: 0 })),
    }))),
    tcpSocket: maybe(fc.record({ port: fc.jsonValue({ maxDepth: 0 }) })),
    grpc: maybe(fc.record({ port: fc.jsonValue({ maxDepth: 0 }), service: maybe(fc.jsonValue({ maxDepth: 0 })) })),
  }))
  const plain = { metadata: { annotations: { 'sidegate.dev/inject': 'true', 'sidegate.dev/interception': 'loopback' } }, spec: { containers: [{ name: 'a', ports: [{ containerPort: 80 }], livenessProbe: { httpGet: { port: 80 } } }] } }
  const result = inject(plain, native)
  if (!('pod' in result)) throw new Error(JSON.stringify(result))
  const pod = json(result.pod)
  fc.assert(fc.property(strange, some('liveness', 'preStop', 'other'), (value, kind) => {
    const metadata = { ...pod.metadata, annotations: { ...pod.metadata?.annotations, 'sidegate.dev/original': JSON.stringify({ handlers: { a: { [kind]: value } } }) } }
    const after = inject(deepFreeze({ ...pod, metadata }), native)
    if ('pod' in after) expectAccepted(after.pod)
    uninject({ ...pod, metadata })
  }), { numRuns: 1000 })
})
