/** How many ports, which ports, and whose pods. */
import t from 'tap'
import { inject } from '../../src/injector/inject.ts'
import { review } from '../../src/injector/review.ts'
import { injectorSettings } from '../../src/injector/settings.ts'

t.test('the sidecar\'s own ports, first and last, cannot be named', (t) => {
  for (const port of [15_000, 15_001, 15_020]) {
    const pod = { metadata: { annotations: { 'sidegate.dev/inject': 'true', 'sidegate.dev/interception': 'redirect', 'sidegate.dev/ports': String(port) } }, spec: { containers: [{ name: 'app', image: 'a', ports: [{ containerPort: 8080 }] }] } }
    t.match(inject(pod, injectorSettings({ image: 'x' })), { refused: /Sidegate's own/ }, String(port))
  }
  t.end()
})

t.test('pods of another API group are none of ours', (t) => {
  const object = { metadata: { annotations: { 'sidegate.dev/inject': 'true' } }, spec: { containers: [{ name: 'app', image: 'a', ports: [{ containerPort: 8080 }] }] } }
  const ask = (group: string) => review({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: { uid: 'u', operation: 'CREATE', resource: { group, version: 'v1', resource: 'pods' }, object } }, injectorSettings({ image: 'x' }))
  t.match(ask(''), { outcome: { kind: 'injected' } })
  t.match(ask('metrics.k8s.io'), { outcome: { kind: 'skipped' } })
  t.end()
})

t.test('sixteen ports are protected, seventeen are too many', async (t) => {
  const pod = (count: number) => ({ metadata: { annotations: { 'sidegate.dev/inject': 'true' } }, spec: { containers: [{ name: 'app', image: 'a', ports: Array.from({ length: count }, (_, i) => ({ containerPort: 8000 + i })) }] } })
  const settings = injectorSettings({ image: 'x' })
  t.match(inject(pod(16), settings), { ports: { length: 16 } })
  t.match(inject(pod(17), settings), { refused: /17 TCP ports/ })
})
