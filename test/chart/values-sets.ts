/** Value sets that the chart must render, and ones that it must refuse with the sentence given. */

const issuer = { name: 'corp', issuer: 'https://auth.internal', audiences: ['internal-services'], keys: { discovery: true } }
const digest = `sha256:${'0123456789abcdef'.repeat(4)}`

/** Name to values. */
export const GOOD: Readonly<Record<string, object>> = {
  'the defaults': {},
  'the example of the contract': {
    issuers: [issuer],
    profiles: {
      default: {
        issuers: ['corp'], mode: 'enforce',
        identity: { headers: { 'X-User-Id': { claim: 'sub' }, 'X-User-Roles': { claim: 'roles', encoding: 'csv' } } },
        rules: [{ match: { path: '/healthz' }, allow: 'anonymous' }, { match: { path: '/**' }, require: {} }],
      },
    },
    controller: { replicas: 2 },
  },
  'several issuers and profiles': {
    issuers: [issuer, { ...issuer, name: 'partner', issuer: 'https://partner.example', keys: { jwksUri: 'https://partner.example/keys' }, algorithms: ['ES256'], clockSkew: '5s' }],
    profiles: { default: {}, strict: { issuers: ['partner'], mode: 'enforce' }, watch: { mode: 'audit' } },
  },
  'no profile default': { profiles: { default: null, other: {} } },
  'image by digest from a registry': { image: { repository: 'registry.example:5000/team/sidegate', digest, pullPolicy: 'Always' }, imagePullSecrets: [{ name: 'pull' }], sidecar: { imagePullSecrets: ['pull'] } },
  'one replica without disruption budget': { controller: { replicas: 1, podDisruptionBudget: false } },
  'five replicas': { controller: { replicas: 5 } },
  'another secure port and health port': { controller: { securePort: 10250, healthPort: 9090 } },
  'node network': { controller: { hostNetwork: true, securePort: 18443, healthPort: 18081 } },
  'cert-manager, self-signed': { webhook: { certificates: { mode: 'cert-manager' } } },
  'cert-manager with a ClusterIssuer': { webhook: { certificates: { mode: 'cert-manager', issuerRef: { name: 'corp', kind: 'ClusterIssuer' } } } },
  'certificates provided': { webhook: { certificates: { mode: 'provided', secret: 'webhook-tls' } } },
  'short-lived certificates': { webhook: { certificates: { caValidity: '2h', leafValidity: '10m', overlap: '5m' }, timeoutSeconds: 2 } },
  'failure policy Ignore with the backstop': { webhook: { failurePolicy: 'Ignore' } },
  'no namespace label, excluded namespaces, no AKS annotation': { webhook: { namespaceLabel: false, excludedNamespaces: ['monitoring', 'kube-system'], annotations: { 'admissions.enforcer/disabled': null } } },
  'no backstop': { admissionPolicy: { enabled: false } },
  'no warnings, two accepted images': { admissionPolicy: { warnings: false, acceptedImages: ['sidegate:old', `sidegate@${digest}`] } },
  'GitOps network policies': { networkPolicy: { mode: 'require', namespaces: ['shop', 'billing'] } },
  'network policy with peers and egress': {
    networkPolicy: {
      from: [{ namespaceSelector: { matchLabels: { team: 'a' } } }, { ipBlock: { cidr: '10.0.0.0/8', except: ['10.9.0.0/16'] } }],
      healthFrom: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } }, podSelector: {} }],
      egress: [{ ports: [{ protocol: 'UDP', port: 53 }] }], mode: 'require', namespaces: ['shop'],
    },
  },
  'egress to nowhere': { networkPolicy: { egress: [], mode: 'require', namespaces: ['shop'] } },
  'no network policy, loopback': { networkPolicy: { mode: 'off' }, sidecar: { interception: 'loopback' } },
  'no network policy, written as YAML reads a bare off': { networkPolicy: { mode: false }, sidecar: { interception: 'redirect' } },
  'cluster network policy': { networkPolicy: { cluster: { enabled: true, priority: 7 } } },
  'Prometheus operator': { metrics: { serviceMonitor: { enabled: true, labels: { release: 'prom' } }, podMonitor: { enabled: true, interval: '15s' }, prometheusRule: { enabled: true } } },
  'scheduling': {
    controller: {
      nodeSelector: { disk: 'ssd' }, tolerations: [{ operator: 'Exists' }], priorityClassName: '', topologySpreadConstraints: [], podLabels: { a: 'b' }, podAnnotations: { c: 'd' },
      affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'x', operator: 'Exists' }] }] } } },
    },
  },
  'foreign service account, no roles': { controller: { serviceAccount: { create: false, name: 'someone' }, rbac: false } },
  'labels everywhere, no tests': { commonLabels: { 'example.com/owner': 'platform', cost: '12' }, tests: { enabled: false }, sidecar: { labels: { mesh: 'none' } } },
  'sidecar settings': { sidecar: { native: 'never', runAsUser: null, redirect: { allowed: false }, resources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { cpu: '500m', memory: '1Gi' } } } },
  'no CPU limit': { sidecar: { resources: { limits: { cpu: null } } } },
  'redirect for all': { sidecar: { interception: 'redirect' } },
  'requests as large as the limits, in another spelling': { sidecar: { resources: { requests: { cpu: '1000m', memory: '262144Ki' } } } },
  'strings that YAML could misread': { issuers: [{ ...issuer, name: 'yes', audiences: ['0x10', 'null', '1e3', "o'clock: #x"] }], commonLabels: { on: 'true' } },
}

/** Name to values and a part of the sentence. */
export const BAD: Readonly<Record<string, readonly [object, RegExp]>> = {
  'an unknown value': [{ webhok: {} }, /additional properties 'webhok' not allowed/],
  'an unknown nested value': [{ controller: { replica: 2 } }, /'replica' not allowed/],
  'a number as text': [{ controller: { replicas: '2' } }, /replicas.*got string, want integer/s],
  'no replicas': [{ controller: { replicas: 0 } }, /minimum/],
  'a slow webhook': [{ webhook: { timeoutSeconds: 10 } }, /maximum/],
  'a pull policy that is none': [{ image: { pullPolicy: 'Sometimes' } }, /pullPolicy/],
  'half a digest': [{ image: { digest: 'sha256:abc' } }, /digest/],
  'a duration without unit': [{ controller: { cleanupAfter: '10' } }, /cleanupAfter/],
  'a privileged port': [{ controller: { securePort: 443 } }, /securePort/],
  'a peer that is not one': [{ networkPolicy: { from: [{ everyone: true }] } }, /from/],
  'an issuer without audiences': [{ issuers: [{ name: 'a', issuer: 'https://a', keys: { discovery: true } }] }, /audiences/],
  'Ignore without the backstop': [{ webhook: { failurePolicy: 'Ignore' }, admissionPolicy: { enabled: false } }, /would start annotated pods without their sidecar/],
  'no network policy for interception port': [{ networkPolicy: { mode: 'off' } }, /leaves the app's own port open/],
  'rendered policies that the controller manages': [{ networkPolicy: { namespaces: ['shop'] } }, /only for mode require/],
  'redirect by default and forbidden': [{ sidecar: { interception: 'redirect', redirect: { allowed: false } } }, /redirect\.allowed is false/],
  'one port for two': [{ controller: { securePort: 8081 } }, /need two ports/],
  'no service account at all': [{ controller: { serviceAccount: { create: false } } }, /must name the service account/],
  'certificates provided by nobody': [{ webhook: { certificates: { mode: 'provided' } } }, /needs webhook\.certificates\.secret/],
  'a profile with an issuer that is not there': [{ issuers: [issuer], profiles: { default: { issuers: ['corb'] } } }, /names "corb", but there is no such issuer; known: corp/],
  'two issuers of one name': [{ issuers: [issuer, issuer] }, /two issuers are named "corp"/],
  'a memory request above the limit': [{ sidecar: { resources: { requests: { memory: '1Gi' } } } }, /requests\.memory 1Gi is more than sidecar\.resources\.limits\.memory 256Mi/],
  'a quarter of a byte of memory': [{ sidecar: { resources: { limits: { memory: '256m' } } } }, /more than sidecar\.resources\.limits\.memory 256m/],
  'an authority that ends too soon': [{ webhook: { certificates: { caValidity: '3d' } } }, /at least three times leafValidity 24h and overlap 1h/],
  'certificates that never live': [{ webhook: { certificates: { leafValidity: '0s' } } }, /leafValidity/],
  'a label of the chart\'s own': [{ commonLabels: { 'app.kubernetes.io/name': 'x' } }, /commonLabels has app\.kubernetes\.io\/name, which the chart sets itself/],
  'a label of the chart\'s own on its pods': [{ controller: { podLabels: { 'app.kubernetes.io/component': 'x' } } }, /controller\.podLabels has/],
  'a file of a name that profiles have': [{ files: { 'a.json': '{}' } }, /files has "a\.json", a name that the chart uses itself/],
  'a namespace that is none': [{ tests: { namespace: 'Bad_Name' } }, /namespace/],
  'a policy for a namespace that is none': [{ networkPolicy: { mode: 'require', namespaces: ['Bad_Name'] } }, /namespaces/],
  'tests where nothing is injected': [{ tests: { namespace: 'kube-system' } }, /left out of injection/],
}
