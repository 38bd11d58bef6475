import t from 'tap'
import { isSamePolicy, networkPolicy, networkPolicySpec } from '../../src/injector/network-policy.ts'
import { matchesSelector } from '../../src/injector/selector.ts'

const closed = { from: [], healthFrom: [], egress: null }

t.test('by default: the sidecar\'s ports from anyone, nothing else, no egress', async (t) => {
  t.same(networkPolicySpec(closed), {
    podSelector: {
      matchLabels: { 'sidegate.dev/injected': 'true' },
      matchExpressions: [{ key: 'sidegate.dev/interception', operator: 'NotIn', values: ['loopback', 'redirect'] }],
    },
    policyTypes: ['Ingress'],
    ingress: [{ ports: [{ protocol: 'TCP', port: 15001, endPort: 15016 }] }],
  })
})

t.test('health and metrics only from where it was said', async (t) => {
  const monitoring = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }
  const { ingress } = networkPolicySpec({ ...closed, healthFrom: [monitoring] })
  t.same(ingress?.[1], { ports: [{ protocol: 'TCP', port: 15020 }], from: [monitoring] })
  t.notOk(networkPolicySpec(closed).ingress?.some(({ ports }) => ports?.some(({ port }) => port === 15020)))
})

t.test('an empty list never becomes `from: []`, which would mean anyone as well as no rule', async (t) => {
  for (const rule of networkPolicySpec({ ...closed, healthFrom: [] }).ingress!) t.notOk('from' in rule)
  t.same(networkPolicySpec({ ...closed, from: [{ podSelector: {} }] }).ingress?.[0]?.from, [{ podSelector: {} }])
})

t.test('egress only when asked for; an empty list is "nowhere"', async (t) => {
  t.same(networkPolicySpec({ ...closed, egress: [] }).policyTypes, ['Ingress', 'Egress'])
  t.same(networkPolicySpec({ ...closed, egress: [] }).egress, [])
  t.notOk('egress' in networkPolicySpec(closed))
})

t.test('whom it selects', async (t) => {
  const { podSelector } = networkPolicySpec(closed)
  const selects = (labels: Record<string, string>) => matchesSelector(podSelector!, labels)
  t.equal(selects({ 'sidegate.dev/injected': 'true', 'sidegate.dev/interception': 'port' }), true)
  t.equal(selects({ 'sidegate.dev/injected': 'true' }), true, 'the other label lost: still closed')
  t.equal(selects({ 'sidegate.dev/injected': 'true', 'sidegate.dev/interception': 'loopback' }), false)
  t.equal(selects({ app: 'other' }), false)
})

t.test('the whole object', async (t) => {
  t.match(networkPolicy('shop', closed), { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'sidegate', namespace: 'shop' } })
})

t.test('what the API server stores is the same', async (t) => {
  const written = networkPolicySpec({
    from: [{ podSelector: {} }, { namespaceSelector: { matchLabels: {}, matchExpressions: [] } }, { ipBlock: { cidr: '10.0.0.0/8', except: [] } }],
    healthFrom: [], egress: [{ ports: [{ port: 443 }, { port: 53, protocol: 'UDP' }], to: [] }],
  })
  const kept = {
    ...written,
    ingress: [{ ports: written.ingress![0]!.ports, from: [{ podSelector: {} }, { namespaceSelector: {} }, { ipBlock: { cidr: '10.0.0.0/8' } }] }],
    egress: [{ ports: [{ protocol: 'TCP', port: 443 }, { protocol: 'UDP', port: 53 }] }],
  }
  t.equal(isSamePolicy(written, kept), true)
  const { egress: _, ...nowhere } = networkPolicySpec({ ...closed, egress: [] })
  t.equal(isSamePolicy(networkPolicySpec({ ...closed, egress: [] }), nowhere), true, 'no rule is not stored; that it is restricted is')
  t.equal(isSamePolicy({ ...nowhere, policyTypes: ['Egress', 'Ingress'] }, nowhere), true)
})

t.test('what means something else is not the same', async (t) => {
  const spec = networkPolicySpec(closed)
  const peers = (from: readonly unknown[]) => ({ ...spec, ingress: [{ ...spec.ingress![0], from }] })
  t.equal(isSamePolicy(spec, networkPolicySpec({ ...closed, egress: [] })), false, 'egress is restricted')
  t.equal(isSamePolicy(spec, { ...spec, ingress: [] }), false)
  t.equal(isSamePolicy(spec, { ...spec, ingress: [...spec.ingress!, {}] }), false, 'a rule without anything lets everyone in')
  t.equal(isSamePolicy(spec, { ...spec, podSelector: {} }), false)
  t.equal(isSamePolicy(peers([{ podSelector: {} }]), peers([{}])), false)
  t.equal(isSamePolicy(peers([{ podSelector: {} }]), peers([{ podSelector: {}, namespaceSelector: {} }])), false)
  t.equal(isSamePolicy({ ...spec, egress: [{ ports: [{ port: 53 }] }] }, { ...spec, egress: [{ ports: [{ port: 53, protocol: 'UDP' }] }] }), false)
  t.equal(isSamePolicy(spec, undefined), false)
})
