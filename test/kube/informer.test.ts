/** The client and its informer against a server that does what API servers do on a bad day. */
import t, { type Test } from 'tap'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent } from 'undici'
import { createKube, ensure } from '../../src/kube/client.ts'
import { connectInCluster, type Connection } from '../../src/kube/connection.ts'
import { startInformer } from '../../src/kube/informer.ts'
import { isConflict, KubeError } from '../../src/kube/kube-error.ts'
import type { Clock } from '../../src/lib/clock.ts'
import type { ConfigMap } from '../../src/kube/types.ts'
import { createFakeKube } from '../helpers/fake-kube.ts'

type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => void

async function start(t: Test, handler: Handler) {
  const server = createServer((request, response) => { handler(request, response, new URL(request.url!, 'http://x')) }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const agent = new Agent()
  const connection: Connection = {
    server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, namespace: 'default',
    credentials: () => Promise.resolve({ dispatcher: agent, headers: { authorization: 'Bearer test' } }),
    close: () => agent.destroy(),
  }
  const kube = createKube(connection)
  t.teardown(async () => {
    await kube.close()
    server.closeAllConnections()
    server.close()
  })
  return { kube }
}

const json = (response: ServerResponse, status: number, body: unknown) => { response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)) }
const map = (name: string, version: number): ConfigMap => ({ metadata: { name, namespace: 'shop', resourceVersion: String(version) } })
const event = (type: string, object: unknown) => `${JSON.stringify({ type, object })}\n`
// Backoff without waiting.
const quick: Clock = { now: () => Date.now(), monotonic: () => performance.now(), after: (_, task) => { const timer = setTimeout(task, 5); return () => { clearTimeout(timer) } } }

async function until(check: () => boolean): Promise<void> {
  for (let i = 0; !check(); i++) {
    if (i > 400) throw new Error('it did not come to be')
    await sleep(5)
  }
}

t.test('list, then watch: what was added, changed and deleted, in chunks cut anywhere', async (t) => {
  let watch: ServerResponse | undefined
  const { kube } = await start(t, (_, response, url) => {
    if (url.searchParams.get('watch')) {
      t.equal(url.searchParams.get('resourceVersion'), '10')
      response.writeHead(200).flushHeaders()
      watch = response
    } else json(response, 200, { metadata: { resourceVersion: '10' }, items: [map('a', 1), map('b', 2)] })
  })
  const seen: string[] = []
  const informer = startInformer<ConfigMap>(kube, 'configmaps', {}, { onChange: ({ metadata }, gone) => { seen.push(`${gone ? '-' : '+'}${metadata.name}@${metadata.resourceVersion}`) }, clock: quick })
  t.teardown(() => { informer.stop() })
  await informer.synced
  await until(() => watch !== undefined)
  const text = event('MODIFIED', map('a', 11)) + event('BOOKMARK', { metadata: { name: '', resourceVersion: '12' } }) + event('DELETED', map('b', 13)) + event('ADDED', map('\u00e9', 14))
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += 7) {
    watch!.write(bytes.subarray(at, at + 7))
    await sleep(1)
  }
  await until(() => seen.length === 5)
  t.same(seen, ['+a@1', '+b@2', '+a@11', '-b@13', '+\u00e9@14'])
  t.same(informer.list('shop').map(({ metadata }) => metadata.name), ['a', '\u00e9'])
  t.equal(informer.get('a', 'shop')?.metadata.resourceVersion, '11')
  t.equal(informer.fresh(), true)
})

t.test('a list in pages, one of them empty as Go writes it', async (t) => {
  const { kube } = await start(t, (_, response, url) => {
    const at = Number(url.searchParams.get('continue') ?? 0)
    json(response, 200, { metadata: { resourceVersion: '5', ...at < 2 && { continue: String(at + 1) } }, items: at === 1 ? null : [map(`m${at}`, at)] })
  })
  t.same((await kube.list<ConfigMap>('configmaps')).items.map(({ metadata }) => metadata.name), ['m0', 'm2'])
})

t.test('410 Gone, as an event or as an answer: listed again, what went meanwhile is gone', async (t) => {
  for (const way of ['event', 'answer']) {
    let lists = 0
    let watches = 0
    const { kube } = await start(t, (_, response, url) => {
      if (!url.searchParams.get('watch')) {
        lists += 1
        return json(response, 200, { metadata: { resourceVersion: String(lists) }, items: lists === 1 ? [map('old', 1), map('both', 1)] : [map('both', 1), map('new', 2)] })
      }
      watches += 1
      if (watches > 1) return response.writeHead(200).flushHeaders()
      if (way === 'answer') return json(response, 410, { reason: 'Expired', message: 'too old resource version' })
      response.writeHead(200).end(event('ERROR', { code: 410, reason: 'Expired', message: 'too old resource version' }))
    })
    const seen: string[] = []
    const informer = startInformer<ConfigMap>(kube, 'configmaps', {}, { onChange: ({ metadata }, gone) => { seen.push(`${gone ? '-' : '+'}${metadata.name}`) }, clock: quick })
    await until(() => seen.length === 4)
    t.same(seen, ['+old', '+both', '-old', '+new'], way)
    informer.stop()
  }
})

t.test('410 again and again: later and later, not a list without end', async (t) => {
  let lists = 0
  const delays: number[] = []
  const { kube } = await start(t, (_, response, url) => {
    if (url.searchParams.get('watch')) {
      response.writeHead(200).end(event('ERROR', { code: 410, reason: 'Expired', message: 'too old resource version' }))
      return
    }
    lists += 1
    json(response, 200, { metadata: { resourceVersion: '1' }, items: [] })
  })
  const waiting: Clock = { ...quick, after: (ms, task) => { delays.push(ms); return quick.after(ms, task) } }
  const informer = startInformer<ConfigMap>(kube, 'configmaps', {}, { clock: waiting })
  await until(() => delays.length === 6)
  informer.stop()
  t.equal(lists, 7, 'a pause before each but the first two')
  t.ok(delays[5]! > 4 * delays[0]!, delays.join(' '))
})

t.test('a watch that broke: nothing is believed until the next one is open', async (t) => {
  const watches: ServerResponse[] = []
  const { kube } = await start(t, (_, response, url) => {
    if (url.searchParams.get('watch')) watches.push(response)
    else json(response, 200, { metadata: { resourceVersion: '1' }, items: [map('a', 1)] })
  })
  const informer = startInformer<ConfigMap>(kube, 'configmaps', {}, { clock: quick })
  t.teardown(() => { informer.stop() })
  await until(() => watches.length === 1)
  t.equal(informer.fresh(), false, 'listed, but what changes is not told yet')
  watches[0]!.writeHead(200).flushHeaders()
  await until(() => informer.fresh())
  watches[0]!.socket!.destroy()
  await until(() => watches.length === 2)
  await sleep(20)
  t.equal(informer.fresh(), false)
  watches[1]!.writeHead(200).flushHeaders()
  await until(() => informer.fresh())
})

t.test('connections cut, 500s, half lines: it goes on, and nothing is believed meanwhile', async (t) => {
  let broken = true
  let turns = 0
  const { kube } = await start(t, (request, response, url) => {
    turns += 1
    if (broken) return turns % 2 === 0 ? request.socket.destroy() : json(response, 500, { reason: 'InternalError', message: 'etcd is away' })
    if (!url.searchParams.get('watch')) return json(response, 200, { metadata: { resourceVersion: '1' }, items: [map('a', 1)] })
    response.writeHead(200).flushHeaders()
  })
  const informer = startInformer<ConfigMap>(kube, 'configmaps', {}, { clock: quick })
  t.teardown(() => { informer.stop() })
  await until(() => turns > 6)
  t.equal(informer.fresh(), false)
  broken = false
  await informer.synced
  await until(() => informer.fresh())
  t.equal(informer.list().length, 1)
})

t.test('a watch cut in the middle of a line: it goes on from the last whole one', async (t) => {
  const from: string[] = []
  const { kube } = await start(t, (request, response, url) => {
    if (!url.searchParams.get('watch')) return json(response, 200, { metadata: { resourceVersion: '1' }, items: [] })
    from.push(url.searchParams.get('resourceVersion')!)
    response.writeHead(200)
    if (from.length > 1) return response.write(event('ADDED', map('c', 3)))
    response.write(`${event('ADDED', map('b', 2))}{"type":"ADDED","obj`)
    setTimeout(() => { request.socket.destroy() }, 20)
  })
  const informer = startInformer<ConfigMap>(kube, 'configmaps', {}, { clock: quick })
  t.teardown(() => { informer.stop() })
  await until(() => informer.list().length === 2)
  t.same(informer.list().map(({ metadata }) => metadata.name), ['b', 'c'])
  t.same(from, ['1', '2'])
})

t.test('answers that are not success', async (t) => {
  let answer: () => { status: number, body: string } = () => ({ status: 200, body: '{}' })
  const { kube } = await start(t, (_, response) => {
    const { status, body } = answer()
    response.writeHead(status).end(body)
  })
  const ref = { resource: 'configmaps', namespace: 'shop', name: 'x' } as const
  answer = () => ({ status: 404, body: '{"reason":"NotFound","message":"no"}' })
  t.equal(await kube.get(ref), undefined)
  await kube.remove(ref)
  answer = () => ({ status: 409, body: '{"reason":"AlreadyExists","message":"already there"}' })
  await t.rejects(kube.create('configmaps', { metadata: { name: 'x', namespace: 'shop' } }), { status: 409, reason: 'AlreadyExists', message: 'already there' })
  answer = () => ({ status: 403, body: '<html>a proxy</html>' })
  await t.rejects(kube.get(ref), { status: 403, message: 'status 403: <html>a proxy</html>' })
})

t.test('names are escaped in paths', async (t) => {
  const paths: string[] = []
  const { kube } = await start(t, (request, response) => {
    paths.push(request.url!)
    json(response, 200, {})
  })
  await kube.get({ resource: 'configmaps', namespace: '../../x', name: 'a/b?c' })
  t.same(paths, ['/api/v1/namespaces/..%2F..%2Fx/configmaps/a%2Fb%3Fc'])
  for (const name of ['', '.', '..']) {
    await t.rejects(kube.get({ resource: 'configmaps', namespace: name, name: 'x' }), { message: /is not a name/ })
    await t.rejects(kube.get({ resource: 'configmaps', namespace: 'shop', name }), { message: /is not a name/ })
  }
  t.equal(paths.length, 1, 'nothing was asked')
})

t.test('ensure: races are read again and won; endless ones end; refusals are not retried', async (t) => {
  const kube = createFakeKube()
  const ref = { resource: 'configmaps', namespace: 'shop', name: 'x' } as const
  const add = (key: string) => ensure<ConfigMap>(kube, ref, (current) => current?.data?.[key] === '1' ? undefined
    : { ...current, metadata: current?.metadata ?? { name: 'x', namespace: 'shop' }, data: { ...current?.data, [key]: '1' } })
  await Promise.all(['a', 'b', 'c', 'd'].map(add))
  t.same((await kube.get<ConfigMap>(ref))?.data, { a: '1', b: '1', c: '1', d: '1' })
  kube.trouble = (method) => { if (method === 'replace') throw new KubeError(409, 'Conflict', 'again') }
  await t.rejects(add('e'), { message: 'lost 6 races in a row for configmaps shop/x' })
  let calls = 0
  kube.trouble = (method) => {
    if (method !== 'replace') return
    calls += 1
    throw new KubeError(403, 'Forbidden', 'you may not')
  }
  await t.rejects(add('e'), { message: 'you may not' })
  t.equal(calls, 1)
  t.equal(isConflict(new Error('x')), false)
})

t.test('in a pod: the mounted service account; elsewhere one sentence', async (t) => {
  const mount = mkdtempSync('/tmp/sidegate-mount-')
  for (const [name, text] of Object.entries({ 'token': 'abc\n', 'ca.crt': '', 'namespace': 'sidegate-system' })) writeFileSync(`${mount}/${name}`, text)
  const connection = connectInCluster(mount, { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' })
  t.teardown(() => connection.close())
  t.equal(connection.server, 'https://[fd00::1]:443')
  t.equal(connection.namespace, 'sidegate-system')
  t.same((await connection.credentials()).headers, { authorization: 'Bearer abc' })
  t.throws(() => connectInCluster(mount, {}), { message: /not in a pod with a service account.*set KUBECONFIG or --kubeconfig/ })
})
