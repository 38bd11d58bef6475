import t from 'tap'
import { inject } from '../../src/injector/inject.ts'
import { networkPolicy } from '../../src/injector/network-policy.ts'
import type { Pod } from '../../src/injector/pod.ts'
import { injectorSettings } from '../../src/injector/settings.ts'
import { exposureFindings, type NetworkPolicyLike, type ServiceLike } from '../../src/injector/warnings.ts'

const settings = injectorSettings({ image: 'sidegate:dev' })

function pod(annotations: Record<string, string> = {}): Pod {
  const result = inject({
    metadata: { name: 'web', namespace: 'shop', labels: { app: 'web', tier: 'front' }, annotations: { 'sidegate.dev/inject': 'true', ...annotations } },
    spec: { containers: [{ name: 'app', image: 'a', ports: [{ name: 'http', containerPort: 8080 }, { name: 'admin', containerPort: 9090 }] }] },
  }, settings)
  if (!('pod' in result)) throw new Error(JSON.stringify(result))
  return result.pod
}

const service = (ports: NonNullable<ServiceLike['spec']>['ports'], more: ServiceLike['spec'] = {}): ServiceLike =>
  ({ metadata: { name: 'web', namespace: 'shop' }, spec: { selector: { app: 'web' }, ...(ports && { ports }), ...more } })
const policy = (ingress: NonNullable<NetworkPolicyLike['spec']>['ingress'], more: NetworkPolicyLike['spec'] = {}): NetworkPolicyLike =>
  ({ metadata: { name: 'open', namespace: 'shop' }, spec: { podSelector: {}, policyTypes: ['Ingress'], ...(ingress && { ingress }), ...more } })
const withServices = (...services: ServiceLike[]) => exposureFindings(pod(), services, [])
const withPolicies = (...policies: NetworkPolicyLike[]) => exposureFindings(pod(), [], policies)
const loopback = { 'sidegate.dev/interception': 'loopback' }
const redirect = { 'sidegate.dev/interception': 'redirect' }

t.test('Services by name are fine, by number they lead nowhere', async (t) => {
  t.strictSame(withServices(service([{ port: 80, targetPort: 'http' }])), [])
  t.strictSame(withServices(service([{ port: 80, targetPort: 15_001 }])), [])
  t.strictSame(withServices(service([{ port: 80, targetPort: 'nowhere' }])), [], 'was broken before')
  const [finding, ...more] = withServices(service([{ port: 80, targetPort: 8080 }, { port: 81, targetPort: 'admin' }]))
  t.match(finding, { object: 'Service shop/web', severity: 'outage', problem: /numeric targetPort 8080/, fix: /Set targetPort: http / })
  t.strictSame(more, [])
  t.match(withServices(service([{ port: 9090 }])), [{ problem: /numeric targetPort 9090/ }], 'without targetPort it is the port')
})

t.test('Services of other pods, without selector, external or over UDP do not matter', async (t) => {
  const number = [{ port: 80, targetPort: 8080 }]
  t.strictSame(withServices(
    service(number, { selector: { app: 'other' } }), service(number, { selector: {} }), { metadata: { name: 'x' }, spec: { ports: number } },
    service(number, { type: 'ExternalName' }), service([{ port: 53, targetPort: 8080, protocol: 'UDP' }]), {},
  ), [])
})

t.test('a headless Service hands out addresses, not ports', async (t) => {
  t.match(withServices(service([{ port: 80, targetPort: 'http' }], { clusterIP: 'None' })), [{ severity: 'outage', problem: /headless/, fix: /loopback/ }])
  t.strictSame(exposureFindings(pod(loopback), [service([{ port: 8080 }], { clusterIP: 'None' })], []), [])
})

t.test('numbers are right where the sidecar or the kernel has the app\'s own', async (t) => {
  for (const how of [loopback, redirect]) t.strictSame(exposureFindings(pod(how), [service([{ port: 80, targetPort: 8080 }])], []), [])
})

t.test('a Service on a port that is not protected is told', async (t) => {
  for (const how of [{}, redirect]) {
    const some = pod({ ...how, 'sidegate.dev/ports': 'http' })
    t.match(exposureFindings(some, [service([{ port: 90, targetPort: 'admin' }])], []), [{ problem: /leads to admin, which the sidecar does not protect/ }])
  }
})

t.test('policies that open the app\'s port are holes', async (t) => {
  t.match(withPolicies(policy([{}])), [{ object: 'NetworkPolicy shop/open', severity: 'hole', problem: /ports 8080, 9090/ }])
  t.match(withPolicies(policy([{ ports: [{ port: 8080 }] }])), [{ problem: /port 8080 / }])
  t.match(withPolicies(policy([{ ports: [{ port: 8000, endPort: 9000 }] }])), [{ problem: /port 8080 / }])
  t.match(withPolicies(policy([{ ports: [{ protocol: 'TCP' }] }])), [{ problem: /8080, 9090/ }])
  t.match(withPolicies(policy([{ from: [{ podSelector: {} }] }])), [{ severity: 'hole' }], 'for whomever')
})

t.test('policies that do not are none', async (t) => {
  t.strictSame(withPolicies(
    policy([]), policy([{ ports: [{ port: 15_001, endPort: 15_016 }] }]), policy([{ ports: [{ port: 'http' }] }]), policy([{ ports: [{ port: 8080, protocol: 'UDP' }] }]),
    policy([{}], { policyTypes: ['Egress'] }), policy([{}], { podSelector: { matchLabels: { app: 'other' } } }),
    policy([{}], { podSelector: { matchExpressions: [{ key: 'sidegate.dev/injected', operator: 'DoesNotExist' }] } }),
    policy([{}], { podSelector: { matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['front'] }] } }),
    policy([{}], { podSelector: { matchExpressions: [{ key: 'tier', operator: 'In', values: ['back'] }, { key: 'app', operator: 'Exists' }] } }), {},
    networkPolicy('shop', { from: [], healthFrom: [{ podSelector: {} }], egress: null }) as unknown as NetworkPolicyLike,
  ), [])
  t.strictSame(exposureFindings(pod(loopback), [], [policy([{}])]), [], 'the kernel is the lock there')
})

t.test('a policy with our name that is not ours is looked at', async (t) => {
  t.match(withPolicies({ ...policy([{}]), metadata: { name: 'sidegate', namespace: 'shop' } }), [{ severity: 'hole' }])
})

t.test('a pod without its sidecar, and one on the node\'s network', async (t) => {
  t.match(exposureFindings({ metadata: { name: 'x' }, spec: { containers: [] } }, [], []), [{ object: 'Pod x', severity: 'hole', fix: /Delete the pod/ }])
  const host = pod()
  t.match(exposureFindings({ ...host, spec: { ...host.spec, hostNetwork: true } }, [], []), [{ object: 'Pod shop/web', severity: 'hole', problem: /hostNetwork/ }])
})

t.test('a pod\'s ports are gone through once, however many Services and policies name ports', async (t) => {
  const looks = (names: number) => {
    const some = pod()
    let count = 0
    const containers = some.spec.containers.map((container) => Object.defineProperty({ ...container }, 'ports', { get: () => {
      count += 1
      return container.ports
    } }))
    const ports = Array.from({ length: names }, (_, i) => ({ port: 1 + i, targetPort: i % 2 === 0 ? `n${i}` : 8080 }))
    const opened = Array.from({ length: names }, (_, i) => ({ port: `n${i}` }))
    exposureFindings({ ...some, spec: { ...some.spec, containers } }, [service(ports), service(ports)], [policy([{ ports: opened }, { ports: opened }])])
    return count
  }
  t.equal(looks(100), looks(1))
})

t.test('a name that two ports have is the first one\'s over TCP', async (t) => {
  const some = pod()
  const [app, ...rest] = some.spec.containers
  const ports = [{ name: 'x', containerPort: 7000, protocol: 'UDP' }, { name: 'x', containerPort: 9999 }, { name: 'x', containerPort: 15_001 }]
  const twice: Pod = { ...some, spec: { ...some.spec, containers: [{ ...app!, ports: [...app!.ports ?? [], ...ports] }, ...rest] } }
  t.match(exposureFindings(twice, [service([{ port: 80, targetPort: 'x' }])], []), [{ problem: /leads to x, which the sidecar does not protect/ }])
})
