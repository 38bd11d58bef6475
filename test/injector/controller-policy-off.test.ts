/** A controller without NetworkPolicies refuses what relies on them. The API server is a double. */
import t from 'tap'
import { Agent, request } from 'undici'
import * as v from 'valibot'
import { createLog } from '../../src/telemetry/log.ts'
import { SOURCE_CONFIG } from '../../src/injector/names.ts'
import { controllerSchema } from '../../src/injector/options.ts'
import { startController } from '../../src/injector/run.ts'
import type { KubeObject, Secret } from '../../src/kube/types.ts'
import { issuers, pod, profiles } from '../helpers/api-server.ts'
import { createFakeKube } from '../helpers/fake-kube.ts'

const SYSTEM = 'sidegate-system'

t.test('networkPolicy.mode off: a pod that asks for interception port is refused, the others are not', async (t) => {
  const kube = createFakeKube()
  await kube.create('mutatingwebhookconfigurations', { metadata: { name: 'sidegate' }, webhooks: [{ name: 'pods', clientConfig: {} }] } as KubeObject)
  await kube.create('configmaps', { metadata: { name: SOURCE_CONFIG, namespace: SYSTEM }, data: { issuers, profiles } } as KubeObject)
  const options = v.parse(controllerSchema, {
    webhook: { bind: '127.0.0.1:0', extraNames: ['localhost'] }, health: { bind: '127.0.0.1:0' }, networkPolicy: { mode: 'off' },
    sidecar: { image: 'sidegate:test', interception: 'loopback' }, shutdown: { delay: '1ms', grace: '1s' },
  })
  const log = createLog({ sink: (bytes, done) => { done(null, bytes.length) } })
  const controller = await startController({ options, namespace: SYSTEM, replica: 'one', kubeconfig: undefined, nativeByVersion: true, checkOnly: false }, { log, kube })
  t.teardown(() => controller.stop())
  const { port } = await controller.ready
  const ca = Buffer.from((await kube.get<Secret>({ resource: 'secrets', namespace: SYSTEM, name: 'sidegate-ca' }))!.data!['ca.crt']!, 'base64').toString()
  const agent = new Agent({ connect: { ca } })
  t.teardown(() => agent.close())
  const review = async (annotations: Record<string, string>) => {
    const body = {
      apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview',
      request: { uid: 'u1', operation: 'CREATE', namespace: 'shop', resource: { group: '', version: 'v1', resource: 'pods' }, object: pod('shop', 'web', annotations) },
    }
    const answer = await request(`https://localhost:${port}/mutate`, { method: 'POST', dispatcher: agent, body: JSON.stringify(body) })
    return (await answer.body.json() as { response: unknown }).response
  }
  t.match(await review({ 'sidegate.dev/interception': 'port' }), { allowed: false, status: { code: 422, message: /networkPolicy\.mode "off" nothing keeps other pods from the app's own port/ } })
  t.match(await review({}), { allowed: true })
  t.match(await review({ 'sidegate.dev/interception': 'redirect' }), { allowed: true })
})
