/** The webhook's https server against clients that are not the API server, and the controller's flags and file. */
import t from 'tap'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import { Agent, request } from 'undici'
import { createLog } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { createAuthority, issueLeaf } from '../../src/pki/authority.ts'
import { createAdmission, type AdmitOptions } from '../../src/injector/admit.ts'
import { createEvents, noEvents, ownerOf } from '../../src/injector/events.ts'
import { startHealthServer } from '../../src/injector/health-server.ts'
import { completeOptions, OptionsError } from '../../src/injector/options.ts'
import { injectorSettings } from '../../src/injector/settings.ts'
import { startWebhookServer } from '../../src/injector/webhook-server.ts'
import { createFakeKube } from '../helpers/fake-kube.ts'

const log = createLog({ sink: (bytes, done) => { done(null, bytes.length) } })
const validity = { now: Date.now(), validityMs: 3_600_000 }
const ca = await createAuthority('test', validity)

const review = (object: unknown, more: object = {}) => ({
  apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview',
  request: { uid: 'u1', operation: 'CREATE', namespace: 'shop', resource: { group: '', version: 'v1', resource: 'pods' }, object, ...more },
})
const pod = (annotations?: Record<string, string>) => ({
  metadata: { name: 'web', ...annotations && { annotations } }, spec: { containers: [{ name: 'app', image: 'app:1', ports: [{ name: 'http', containerPort: 8080 }] }] },
})
const asking = pod({ 'sidegate.dev/inject': 'true' })

interface Answer { response: { uid: string, allowed: boolean, patch?: string, status?: { code: number, message: string }, warnings?: string[] } }

function admission(more: Partial<AdmitOptions> = {}) {
  const prepared: string[] = []
  const said: string[] = []
  const admit = createAdmission({
    settings: () => injectorSettings({ image: 'sidegate:test' }),
    source: { accepted: () => ({ profiles: new Map([['default', '{}'], ['strict', '{}']]), files: new Map(), hash: 'h', warnings: [] }), problems: () => [] },
    guarantee: { admit: (namespace, profile) => { prepared.push(`${namespace}/${profile}`); return Promise.resolve() } },
    surroundings: () => [],
    events: { say: (type, reason, about) => { said.push(`${type} ${reason} ${about.kind}/${about.name}`) } },
    metrics: createMetrics(), log, sourceName: 'sidegate-system/sidegate-profiles', namespace: 'sidegate-system', ...more,
  })
  return { prepared, said, answer: admit, admit: async (body: unknown, path = '/mutate') => await admit(body, path) as unknown as Answer }
}

t.test('admission: prepared first, then admitted, then said', async (t) => {
  const { admit, prepared, said } = admission()
  const { response } = await admit(review(asking))
  t.equal(response.allowed, true)
  t.ok(response.patch)
  t.same(prepared, ['shop/default'])
  t.same(said, ['Normal SidegateInjected Pod/web'])
})

t.test('admission: a namespace that cannot be prepared refuses the pod, with the reason', async (t) => {
  const { admit, said } = admission({ guarantee: { admit: () => Promise.reject(new Error('the API server did not answer within 3000 ms')) } })
  const { response } = await admit(review(asking))
  t.equal(response.allowed, false)
  t.equal(response.status?.code, 503)
  t.match(response.status?.message, /could not put .* in place in namespace shop, so the pod was not started: the API server did not answer within 3000 ms\./)
  t.equal(response.patch, undefined)
  t.same(said, ['Warning SidegateRefused Pod/web'])
})

t.test('admission: a dry run prepares and says nothing, and is answered the same', async (t) => {
  const { admit, prepared, said } = admission()
  const wet = await admission().admit(review(asking))
  t.same(await admit(review(asking, { dryRun: true })), wet)
  await admit(review(pod({ 'sidegate.dev/inject': 'maybe' }), { dryRun: true }))
  t.same([prepared, said], [[], []])
})

t.test('admission: no configuration, no pod', async (t) => {
  const source = { accepted: () => undefined, problems: () => ['issuers: name at least one issuer', 'profiles: none'] }
  const { admit, prepared } = admission({ source })
  const { response } = await admit(review(asking))
  t.equal(response.allowed, false)
  t.match(response.status?.message, /In ConfigMap sidegate-system\/sidegate-profiles: issuers: name at least one issuer \(and 1 more problems\)/)
  t.same(prepared, [])
  t.equal((await admit(review(pod()))).response.allowed, true, 'who does not ask is not kept')
})

t.test('admission: a pod that says nothing is injected only by the path of labelled namespaces', async (t) => {
  const { admit } = admission()
  t.equal((await admit(review(pod()))).response.patch, undefined)
  t.ok((await admit(review(pod()), '/mutate/namespace')).response.patch)
  t.equal((await admit(review(pod({ 'sidegate.dev/inject': 'false' })), '/mutate/namespace')).response.patch, undefined)
})

t.test('admission: what is around the pod is warned of and said', async (t) => {
  const { admit, said } = admission({ surroundings: () => ['Service shop/web: numeric.'] })
  t.match((await admit(review(asking))).response.warnings, ['sidegate: Service shop/web: numeric.'])
  t.same(said, ['Normal SidegateInjected Pod/web', 'Warning SidegateExposed Pod/web'])
})

t.test('the server', async (t) => {
  let failing = false
  const admit: Parameters<typeof startWebhookServer>[0]['admit'] = (body, path) => {
    if (failing) return Promise.reject(new Error('a bug'))
    return admission().answer(body, path)
  }
  const answers: number[] = []
  const server = await startWebhookServer({
    bind: { host: '127.0.0.1', port: 0 }, admit, log, certificate: await issueLeaf(ca, ['localhost'], validity), onAnswer: (status) => { answers.push(status) },
  })
  const agent = new Agent({ connect: { ca: ca.cert, servername: 'localhost' } })
  t.teardown(async () => {
    await agent.destroy()
    await server.close(0, 0)
  })
  const url = `https://127.0.0.1:${server.address.port}`
  const post = async (body: string, path = '/mutate') => {
    const response = await request(url + path, { method: 'POST', body, dispatcher: agent })
    return { status: response.statusCode, text: await response.body.text() }
  }

  await t.test('a review', async (t) => {
    const { status, text } = await post(JSON.stringify(review(asking)))
    t.equal(status, 200)
    t.match(JSON.parse(text), { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid: 'u1', allowed: true } })
  })

  await t.test('a query, as API servers append ?timeout=5s', async (t) => {
    t.match((await post(JSON.stringify(review(pod())), '/mutate/namespace?timeout=5s')).text, '"patch"')
  })

  await t.test('3 MiB', async (t) => {
    const big = { ...asking, metadata: { ...asking.metadata, labels: { filler: 'x'.repeat(3 * 1024 ** 2) } } }
    t.equal((await post(JSON.stringify(review(big)))).status, 200)
  })

  await t.test('what is not a review is refused with a status that fails the call', async (t) => {
    for (const body of ['', '{', '[]', 'null', '"x"', '{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"x"}}', '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}']) {
      t.equal((await post(body)).status, 400, body)
    }
    t.equal((await request(url, { dispatcher: agent })).statusCode, 405)
    t.equal((await post('x'.repeat(9 * 1024 ** 2)).catch(() => ({ status: 413 }))).status, 413)
  })

  await t.test('a bug in here refuses the pod; the next one is answered', async (t) => {
    failing = true
    t.match(await post(JSON.stringify(review(asking))), { status: 500, text: 'sidegate: internal error.\n' })
    failing = false
    t.equal((await post(JSON.stringify(review(asking)))).status, 200)
    t.ok(answers.includes(500))
  })

  await t.test('clients that go away, or speak no TLS, are no trouble', async (t) => {
    for (let i = 0; i < 20; i++) {
      const socket = connect({ port: server.address.port, host: '127.0.0.1', ca: ca.cert, servername: 'localhost' })
      await once(socket, 'secureConnect')
      socket.write('POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"api')
      socket.destroy()
    }
    await request(url.replace('https', 'http'), { method: 'GET' }).catch(() => {})
    t.equal((await post(JSON.stringify(review(asking)))).status, 200)
  })

  await t.test('a new certificate is served from the next handshake on; a wrong pair changes nothing', async (t) => {
    const serial = async () => {
      const socket = connect({ port: server.address.port, host: '127.0.0.1', ca: ca.cert, servername: 'localhost' })
      await once(socket, 'secureConnect')
      const { serialNumber } = socket.getPeerCertificate()
      socket.destroy()
      return serialNumber
    }
    const before = await serial()
    const [one, two] = [await issueLeaf(ca, ['localhost'], validity), await issueLeaf(ca, ['localhost'], validity)]
    t.throws(() => { server.setCertificate({ cert: one.cert, key: two.key }) })
    t.equal(await serial(), before)
    server.setCertificate(one)
    t.not(await serial(), before)
  })

  await t.test('draining: answers on, says close, then stops', async (t) => {
    const closed = server.close(200, 1_000)
    const response = await request(`${url}/mutate`, { method: 'POST', body: JSON.stringify(review(asking)), dispatcher: agent })
    t.equal(response.headers['connection'], 'close')
    await response.body.dump()
    await closed
    await t.rejects(post('{}'))
  })
})

t.test('events', async (t) => {
  const kube = createFakeKube()
  let now = 0
  const clock = { now: () => 1e12 + now, monotonic: () => now, after: () => () => {} }
  const events = createEvents(kube, clock, log, 'replica')
  const about = (name: string) => ({ apiVersion: 'apps/v1', kind: 'ReplicaSet', name, namespace: 'shop', uid: name })

  await t.test('the same thing about the same object once in five minutes', async (t) => {
    for (let i = 0; i < 10; i++) events.say('Warning', 'SidegateRefused', about('web'), 'no')
    now += 5 * 60_000 + 1
    events.say('Warning', 'SidegateRefused', about('web'), 'no')
    await sleep(10)
    t.equal(kube.writes.length, 2)
  })

  await t.test('a flood is cut off, and an API server that refuses events is nobody\'s trouble', async (t) => {
    kube.trouble = () => { throw new Error('forbidden') }
    for (let i = 0; i < 1000; i++) events.say('Normal', 'SidegateInjected', about(`web-${i}`), 'yes')
    await sleep(10)
    t.ok(kube.writes.length <= 55)
  })

  await t.test('on whom', async (t) => {
    const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-5d', uid: '1', controller: true }
    t.same(ownerOf({ metadata: { ownerReferences: [{ ...owner, name: 'x', controller: false }, owner] } }, 'shop'), { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-5d', uid: '1', namespace: 'shop' })
    t.match(ownerOf({ metadata: { name: 'web' } }, 'shop'), { kind: 'Pod', name: 'web' })
    t.equal(ownerOf({ metadata: { generateName: 'web-' } }, 'shop'), undefined)
    t.equal(ownerOf({}, 'shop'), undefined)
  })

  noEvents.say('Normal', 'x', about('y'), 'z')
})

t.test('health', async (t) => {
  const metrics = createMetrics()
  metrics.series('sidegate_admissions_total', 'injected').value = 7
  let missing = ['no certificate']
  const health = await startHealthServer({ host: '127.0.0.1', port: 0 }, () => missing, metrics)
  t.teardown(() => health.close())
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${health.address.port}${path}`)
    return { status: response.status, text: await response.text() }
  }
  t.match(await get('/livez'), { status: 200 })
  t.match(await get('/readyz'), { status: 503, text: 'no certificate\n' })
  missing = []
  t.match(await get('/readyz?verbose'), { status: 200 })
  t.match(await get('/other'), { status: 404 })
  const { text } = await get('/metrics')
  t.match(text, /^# TYPE sidegate_admissions_total counter\nsidegate_admissions_total\{outcome="injected"\} 7$/m)
  t.notMatch(text, /sidegate_token_cache/, 'the sidecar\'s are not here')
})

t.test('flags and file', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'sidegate-options-'))
  const file = join(directory, 'controller.json')
  const complete = (content: unknown, argv: string[] = [], env: NodeJS.ProcessEnv = { POD_NAMESPACE: 'sidegate-system' }) => {
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
    return completeOptions(['--config', file, ...argv], env)
  }
  const problemsOf = (content: unknown, argv: string[] = [], env?: NodeJS.ProcessEnv): string => {
    try {
      complete(content, argv, env)
      return 'accepted'
    } catch (error) {
      if (error instanceof OptionsError) return error.problems.join('\n')
      throw error
    }
  }

  const least = complete({ sidecar: { image: 'sidegate:1' } })
  t.match(least, { namespace: 'sidegate-system', nativeByVersion: true, options: { webhook: { bind: { host: '::', port: 8443 } }, cleanup: { after: 600_000 } } })
  t.equal(complete({ sidecar: { image: 'x', nativeSidecar: false } }).nativeByVersion, false)
  t.equal(complete('sidecar:\n  image: x\nwebhook:\n  bind: ":9443"\n').options.webhook.bind.port, 9443, 'YAML')
  t.match(problemsOf({ sidecar: {} }), /sidecar\.image/)
  t.match(problemsOf({ sidecar: { image: 'x' }, webhok: {}, cleanup: { after: 'soon' }, networkPolicy: { mode: 'on' } }), /webhok[^]*cleanup\.after: write a duration[^]*|cleanup\.after[^]*webhok/)
  t.match(problemsOf({ sidecar: { image: 'x' }, certificates: { caValidity: '24h' } }), /caValidity must be at least three times/)
  t.match(problemsOf({ sidecar: { image: 'x' } }, [], {}), /the release namespace is not known; set it in the file or set POD_NAMESPACE/)
  t.match(problemsOf({ sidecar: { image: 'x' } }, ['--cofnig', 'x']), /Known flags: --config FILE/)
  t.match(problemsOf('{'), /cannot be read/)
  t.not(problemsOf('null'), 'accepted')
})
