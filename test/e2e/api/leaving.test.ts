/** A controller that drains, and an uninstall that deletes meanwhile, before a real API server. The moments in between: test/injector/controller-leaving.test.ts. */
import t from 'tap'
import { CONFIG_COPY, NETWORK_POLICY } from '../../../src/injector/names.ts'
import { eventually, freePort, namespace, noApiServer, pod, sourceConfig, startApiServer, startController, webhookConfiguration } from '../../helpers/api-server.ts'

t.test('a controller that drains brings nothing back, and still admits', { skip: noApiServer }, async (t) => {
  const api = await startApiServer('api-leaving')
  t.teardown(() => api.down())
  const port = await freePort(api.host)
  await api.apply(namespace('sidegate-system'), namespace('shop'), namespace('late'), sourceConfig(), webhookConfiguration(api.host, port))
  const controller = await startController(api, port, { shutdown: { delay: '4s', grace: '2s' } })
  t.teardown(() => controller.kill())
  await api.kube.create('pods', pod('shop', 'web'))
  const kept = [
    { resource: 'secrets', namespace: 'sidegate-system', name: 'sidegate-ca' }, { resource: 'configmaps', namespace: 'shop', name: CONFIG_COPY },
    { resource: 'networkpolicies', namespace: 'shop', name: NETWORK_POLICY },
  ] as const
  const deleted = () => Promise.all(kept.map((ref) => api.kube.remove(ref)))
  const there = async () => (await Promise.all(kept.map((ref) => api.kube.get(ref)))).map((object) => object !== undefined)
  await deleted()
  await eventually(async () => { if ((await there()).includes(false)) throw new Error('not written again yet') })

  const stopped = controller.stop()
  await eventually(() => { if (!controller.log().includes('shutting down')) throw new Error('not told yet') })
  await deleted()
  await api.kube.create('pods', pod('late', 'web'))
  t.equal(await stopped, 0)
  t.same(await there(), [false, false, false])
  t.ok(await api.kube.get({ resource: 'configmaps', namespace: 'late', name: CONFIG_COPY }), 'what the late pod needs is there')
})
