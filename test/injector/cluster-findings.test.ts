/** Each hole that `sidegate check --cluster` knows, made from a sound cluster by one change. On a real API server: test/e2e/api/cluster-check.test.ts. */
import t from 'tap'
import type { KubeObject, Pod } from '../../src/kube/types.ts'
import { clusterFindings, countGuarded } from '../../src/injector/cluster-findings.ts'
import type { ClusterSnapshot } from '../../src/injector/cluster-snapshot.ts'
import { inject } from '../../src/injector/inject.ts'
import { networkPolicy } from '../../src/injector/network-policy.ts'
import { injectorSettings } from '../../src/injector/settings.ts'
import { compileSource } from '../../src/injector/source-config.ts'

const data = {
  issuers: JSON.stringify([{ name: 'corp', issuer: 'https://auth.internal', audiences: ['x'], keys: { discovery: true } }]),
  profiles: JSON.stringify({ default: {} }),
}
const compiled = await compileSource(data)
const text = 'profiles' in compiled ? compiled.profiles.get('default')! : ''

function plain(name: string, annotations: Record<string, string> = { 'sidegate.dev/inject': 'true' }): Pod {
  return {
    metadata: { name, namespace: 'shop', annotations, labels: { app: 'web' } },
    spec: { containers: [{ name: 'app', image: 'app:1', ports: [{ name: 'http', containerPort: 8080 }] }] }, status: { phase: 'Running' },
  }
}

function guarded(name: string, annotations: Record<string, string> = {}): Pod {
  const result = inject(plain(name, { 'sidegate.dev/inject': 'true', ...annotations }), injectorSettings({ image: 'sidegate:1' }))
  if (!('pod' in result)) throw new Error(JSON.stringify(result))
  return result.pod as unknown as Pod
}

const closed = { from: [], healthFrom: [], egress: null }
const sound: ClusterSnapshot = {
  releaseNamespace: 'sidegate-system',
  namespaces: [{ metadata: { name: 'shop' } }, { metadata: { name: 'sidegate-system' } }],
  pods: [guarded('web')],
  services: [{ metadata: { name: 'web', namespace: 'shop' }, spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 'http' }] } }],
  policies: [networkPolicy('shop', closed)],
  copies: [{ metadata: { name: 'sidegate-config', namespace: 'shop' }, data: { 'default.json': text } }],
  workloads: [],
  source: { metadata: { name: 'sidegate-profiles', namespace: 'sidegate-system' }, data },
  controllerFile: { metadata: { name: 'sidegate-controller', namespace: 'sidegate-system' }, data: { 'controller.json': '{"sidecar":{"image":"sidegate:1"}}' } },
  webhooks: { metadata: { name: 'sidegate' }, webhooks: [{ name: 'pods.sidegate.dev', failurePolicy: 'Fail', clientConfig: { caBundle: 'Q0E=' } }] },
  admissionPolicies: ['sidegate-pods'],
  unread: [],
}

const found = async (change: Partial<ClusterSnapshot>): Promise<string[]> =>
  (await clusterFindings({ ...sound, ...change })).filter(({ code }) => code !== 'enforcement-unknown').map(({ severity, code }) => `${severity} ${code}`)

t.test('a sound cluster: nothing but what cannot be seen', async (t) => {
  t.same((await clusterFindings(sound)).map(({ severity, code }) => `${severity} ${code}`), ['note enforcement-unknown'])
  t.same(countGuarded(sound), { pods: 1, namespaces: 1 })
})

t.test('the installation', async (t) => {
  const webhook = sound.webhooks!.webhooks![0]!
  t.same(await found({ webhooks: undefined }), ['hole webhook-missing'])
  t.same(await found({ webhooks: { ...sound.webhooks!, webhooks: [{ ...webhook, failurePolicy: 'Ignore' }] } }), ['hole webhook-ignore'])
  t.same(await found({ webhooks: { ...sound.webhooks!, webhooks: [{ ...webhook, clientConfig: {} }] } }), ['outage webhook-untrusted'])
  t.same(await found({ admissionPolicies: ['other'] }), ['hole backstop-missing'])
  t.same(await found({ unread: [{ what: 'pods', why: 'forbidden' }] }), ['unchecked unreadable'])
})

t.test('the configuration', async (t) => {
  t.same(await found({ source: { ...sound.source!, data: { ...data, profiles: '{"default":{"mode":"of"}}' } } }), ['outage configuration-refused'])
  t.same(await found({ copies: [] }), ['outage copy-missing'])
  t.same(await found({ copies: [{ ...sound.copies[0]!, data: { 'default.json': '{}' } }] }), ['hole copy-outdated'])
  t.same(await found({ pods: [guarded('web', { 'sidegate.dev/profile': 'gone' })], copies: [{ ...sound.copies[0]!, data: { 'gone.json': '{}' } }] }), ['hole copy-outdated'])
})

t.test('pods', async (t) => {
  t.same(await found({ pods: [...sound.pods, plain('bare')] }), ['hole unprotected-pod'])
  t.same(await found({ pods: [...sound.pods, plain('no', { 'sidegate.dev/inject': 'false' }), plain('silent', {})] }), [])
  const labelled: KubeObject[] = [{ metadata: { name: 'shop', labels: { 'sidegate.dev/inject': 'enabled' } } }]
  t.same(await found({ namespaces: labelled, pods: [...sound.pods, plain('silent', {})] }), ['hole unprotected-pod'])
  t.same(await found({ pods: [{ ...plain('done'), status: { phase: 'Succeeded' } }] }), [], 'a Job that ended')
  const forged = { ...plain('forged'), metadata: { ...plain('forged').metadata, labels: { 'sidegate.dev/injected': 'true' } } }
  t.same(await found({ pods: [forged] }), ['hole sidecar-missing'])
  t.same(await found({ pods: [guarded('trial', { 'sidegate.dev/mode': 'audit' })] }), ['note audit-mode'])
  t.same(await found({ controllerFile: { ...sound.controllerFile!, data: { 'controller.json': '{"sidecar":{"image":"sidegate:2"}}' } } }), ['note outdated-sidecar'])
})

t.test('network policies', async (t) => {
  const policy = (spec: object): ClusterSnapshot['policies'][number] => ({ ...networkPolicy('shop', closed), spec })
  t.same(await found({ policies: [] }), ['hole policy-missing'])
  t.same(await found({ policies: [networkPolicy('elsewhere', closed)] }), ['hole policy-missing'])
  const off = { ...sound.controllerFile!, data: { 'controller.json': '{"networkPolicy":{"mode":"off"},"sidecar":{"image":"sidegate:1"}}' } }
  t.match((await clusterFindings({ ...sound, policies: [], controllerFile: off }))[0], { code: 'policy-missing', fix: /networkPolicy\.mode is off: give the pods/ }, 'nobody puts it back there')
  t.same(await found({ policies: [policy({ podSelector: {}, policyTypes: ['Egress'] })] }), ['hole policy-missing'])
  const ports = [[{ port: 15001, endPort: 65000 }], [{ port: 'http' }], []]
  for (const wide of ports) t.ok((await found({ policies: [policy({ podSelector: {}, ingress: [{ ports: wide }] })] })).includes('hole policy-missing'), JSON.stringify(wide))
  t.same(await found({ policies: [networkPolicy('shop', { ...closed, healthFrom: [{ podSelector: {} }] })] }), [])
  const kernel = guarded('web', { 'sidegate.dev/interception': 'loopback' })
  t.same(await found({ pods: [kernel], policies: [] }), [], 'loopback needs none')
  const open = { metadata: { name: 'allow-all', namespace: 'shop' }, spec: { podSelector: {}, ingress: [{}] } }
  t.same(await found({ policies: [...sound.policies, open] }), ['hole networkpolicy-opens-app'])
})

t.test('opting in where it has no effect', async (t) => {
  const space = (name: string, value: string): KubeObject => ({ metadata: { name, labels: { 'sidegate.dev/inject': value } } })
  t.same(await found({ namespaces: [space('shop', 'true')] }), ['hole label-misspelt'])
  t.same(await found({ namespaces: [space('kube-system', 'enabled')] }), ['hole namespace-excluded'])
  const workload = { kind: 'Deployment', metadata: { name: 'web', namespace: 'shop', annotations: { 'sidegate.dev/inject': 'true' } } }
  t.same(await found({ workloads: [workload] }), ['hole annotation-misplaced'])
  t.same(await found({ workloads: [{ ...workload, spec: { template: { metadata: { annotations: { 'sidegate.dev/inject': 'true' } } } } }] }), [])
})

t.test('the same hole of ten replicas is said once where it is one thing to mend', async (t) => {
  const services = [{ ...sound.services[0]!, spec: { ...sound.services[0]!.spec, ports: [{ port: 80, targetPort: 8080 }] } }]
  t.same(await found({ pods: Array.from({ length: 10 }, (_, index) => guarded(`web-${index}`)), services }), ['outage service-misses-sidecar'])
})
