import t from 'tap'
import { inject } from '../../src/injector/inject.ts'
import { injectorSettings } from '../../src/injector/settings.ts'
import { uninject } from '../../src/injector/uninject.ts'

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
