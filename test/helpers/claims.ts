/** The claims that hold on every supported version of Kubernetes: inject, Service, lock-down, backstop, probes. Each is a named test. */
import type { Test } from 'tap'
import { startAgent, type Agent } from './agent.ts'
import { eventually, type Cluster, type Kubernetes } from './cluster.ts'
import {
  CLIENTS, SYSTEM, accountToken, asks, ensureClients, fixtures, helmUpgrade, namespace, nodeApp, readyPod, seen, service, testValues, token, trusted,
} from './release.ts'

export const APPS = 'e2e-apps'

export interface Stage {
  readonly cluster: Cluster
  readonly agent: Agent
}

/** Clients, the namespace of the apps (PodSecurity `restricted`), and the app `shop`, whose author only set the annotation. */
export async function setStage(cluster: Cluster): Promise<Stage> {
  await ensureClients(cluster)
  await cluster.apply(namespace(APPS, { 'pod-security.kubernetes.io/enforce': 'restricted' }), fixtures(APPS))
  await cluster.apply(...nodeApp('shop', APPS, { annotations: asks(), edit: withProbes }), service('shop', APPS, { port: 80, targetPort: 'http' }))
  await readyPod(cluster, APPS, 'shop')
  return { cluster, agent: await startAgent(cluster, CLIENTS) }
}

/** A probe of each kind that needs no other program in the app. */
export function withProbes(spec: Kubernetes): void {
  const [app] = spec.containers
  app.startupProbe = { httpGet: { path: '/healthz', port: 'http' }, periodSeconds: 1, failureThreshold: 30 }
  app.readinessProbe = { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1 }
  app.livenessProbe = { tcpSocket: { port: 'http' }, periodSeconds: 1, failureThreshold: 2 }
}

/** The app does not answer at all, or not as the app. */
export function isLocked(t: Test, answer: Awaited<ReturnType<Agent['call']>>, message: string): void {
  t.notOk(answer.body.includes('"app":true'), `${message}: status ${answer.status}, ${answer.error ?? answer.body.slice(0, 80)}`)
}

/** Services and traffic of an app with the annotation alone. */
export function serviceClaims(t: Test, { cluster, agent }: Stage): void {
  t.test('the Service answers 401 without a token and 200 with one of a real issuer in the cluster', async (t) => {
    const none = await agent.call(`http://shop.${APPS}.svc/orders`)
    t.equal(none.status, 401)
    t.match(none.headers['www-authenticate'], /^Bearer/)
    const bob = await token(cluster, { sub: 'bob', roles: ['user', 'buyer'] })
    const answer = await agent.call(`http://shop.${APPS}.svc/orders?x=1`, { token: bob })
    t.equal(answer.status, 200)
    t.equal(JSON.parse(answer.body).url, '/orders?x=1')
    t.equal(seen(answer.body, 'X-User-Id'), 'bob', 'the app saw the identity')
    t.equal(seen(answer.body, 'X-User-Roles'), 'user,buyer')
    t.equal(seen(answer.body, 'Authorization'), undefined, 'and not the token')
    t.equal((await agent.call(`http://shop.${APPS}.svc/orders`, { token: `${bob.slice(0, -6)}AAAAAA` })).status, 401, 'a changed signature')
    t.equal((await agent.call(`http://shop.${APPS}.svc/admin/x`, { token: bob })).status, 403, 'a role that is missing')
    t.equal((await agent.call(`http://shop.${APPS}.svc/healthz`)).status, 200, 'an anonymous path')
  })

  t.test('forged identity headers never reach the app, in any spelling', async (t) => {
    const forged = ['X-User-Id', 'root', 'x_user_id', 'root', 'X.User.Roles', 'admin', 'X-USER-ROLES', 'admin', 'Connection', 'X-User-Id']
    const bob = await token(cluster, { sub: 'bob' })
    const answer = await agent.call(`http://shop.${APPS}.svc/orders`, { token: bob, headers: forged })
    t.equal(answer.status, 200)
    t.equal(seen(answer.body, 'X-User-Id'), 'bob')
    t.notMatch(answer.body, /root|admin/)
    const anonymous = await agent.call(`http://shop.${APPS}.svc/public`, { headers: forged })
    t.equal(anonymous.status, 401)
  })

  t.test('tokens of the cluster\'s own issuer (service accounts) are verified', async (t) => {
    await cluster.apply(...nodeApp('internal', APPS, { annotations: asks({ profile: 'cluster' }) }), service('internal', APPS, { port: 80, targetPort: 'http' }))
    await readyPod(cluster, APPS, 'internal')
    const answer = await agent.call(`http://internal.${APPS}.svc/`, { token: await accountToken(cluster) })
    t.equal(answer.status, 200, answer.body)
    t.equal(seen(answer.body, 'X-User-Id'), `system:serviceaccount:${CLIENTS}:default`)
    t.equal((await agent.call(`http://internal.${APPS}.svc/`, { token: await token(cluster, { sub: 'bob' }) })).status, 401, 'another issuer\'s token')
  })
}

/** The app's own port, in the three interceptions. */
export function lockClaims(t: Test, { cluster, agent }: Stage): void {
  t.test('port: the pod\'s address and the app\'s own port are refused by the NetworkPolicy', async (t) => {
    const pod = await readyPod(cluster, APPS, 'shop')
    const direct = await agent.call(`http://${pod.status.podIP}:8080/orders`, { timeout: 2000 })
    isLocked(t, direct, 'the app\'s port')
    t.equal(direct.error, 'timed out', 'dropped')
    t.equal((await agent.call(`http://${pod.status.podIP}:15001/orders`)).status, 401, 'the sidecar\'s port answers')
    isLocked(t, await agent.call(`http://${pod.status.podIP}:15000/config`, { timeout: 2000 }), 'the admin port')
    t.equal((await agent.call(`http://${pod.status.podIP}:15020/metrics`, { timeout: 2000 })).status, 0, 'metrics are for those that the values name')
  })

  t.test('port: without the NetworkPolicy the port would be open: the lock is what closes it', async (t) => {
    await cluster.apply(...nodeApp('bare', APPS), service('bare', APPS, { port: 80, targetPort: 'http' }))
    const pod = await readyPod(cluster, APPS, 'bare')
    t.equal((await agent.call(`http://${pod.status.podIP}:8080/`)).status, 200, 'a pod that is not annotated is left alone')
    t.equal(pod.spec.containers.length + (pod.spec.initContainers?.length ?? 0), 1)
  })

  t.test('loopback: pod address, numeric Service and headless Service all land on the sidecar, without any NetworkPolicy', async (t) => {
    await cluster.apply(
      ...nodeApp('loop', APPS, { annotations: asks({ interception: 'loopback' }), env: { HOST: '127.0.0.1' }, edit: withProbes }),
      service('loop', APPS, { port: 80, targetPort: 8080 }),
      { ...service('loop', APPS, { port: 8080, targetPort: 8080 }, { clusterIP: 'None' }), metadata: { name: 'loop-pods', namespace: APPS } },
    )
    const pod = await readyPod(cluster, APPS, 'loop')
    await allGuarded(t, { cluster, agent }, [`http://${pod.status.podIP}:8080/`, `http://loop.${APPS}.svc/`, `http://loop-pods.${APPS}.svc:8080/`])
  })

  t.test('redirect: an app on 0.0.0.0 is reached only through the sidecar, whatever the address; other ports are dropped', async (t) => {
    // NET_ADMIN for one init container is more than PodSecurity `restricted` allows.
    await cluster.apply(namespace('e2e-redirect', { 'pod-security.kubernetes.io/enforce': 'privileged' }), fixtures('e2e-redirect'))
    await cluster.apply(
      ...nodeApp('redir', 'e2e-redirect', { annotations: asks({ interception: 'redirect' }), edit: withProbes }),
      service('redir', 'e2e-redirect', { port: 80, targetPort: 8080 }),
    )
    const pod = await readyPod(cluster, 'e2e-redirect', 'redir')
    await cluster.tryKubectl(['-n', 'e2e-redirect', 'delete', 'networkpolicy', '--all'])
    await allGuarded(t, { cluster, agent }, [`http://${pod.status.podIP}:8080/`, 'http://redir.e2e-redirect.svc/'])
    isLocked(t, await agent.call(`http://${pod.status.podIP}:9999/`, { timeout: 1500 }), 'an undeclared port')
  })
}

async function allGuarded(t: Test, { cluster, agent }: Stage, urls: readonly string[]): Promise<void> {
  const bob = await token(cluster, { sub: 'bob' })
  for (const url of urls) {
    t.equal((await agent.call(url)).status, 401, `${url} without a token`)
    const answer = await agent.call(url, { token: bob })
    t.equal(answer.status, 200, `${url} with a token`)
    t.equal(answer.status === 200 ? seen(answer.body, 'X-User-Id') : answer.body, 'bob')
  }
}

/** Probes of the pods above, after they had time to fail. */
export function probeClaims(t: Test, { cluster }: Stage): void {
  t.test('http and tcp probes are green in every interception: no restart, no failed probe once started', async (t) => {
    for (const [space, app] of [[APPS, 'shop'], [APPS, 'loop'], ['e2e-redirect', 'redir']] as const) {
      const pod = await readyPod(cluster, space, app)
      const all = [...pod.status.containerStatuses, ...(pod.status.initContainerStatuses ?? [])]
      t.same(all.filter((row: Kubernetes) => row.restartCount > 0).map((row: Kubernetes) => row.name), [], `${app}: nothing restarted`)
      const { items } = await cluster.get('events', '-n', space, '--field-selector', `involvedObject.name=${pod.metadata.name},reason=Unhealthy`)
      const failed = items.filter((event: Kubernetes) => !event.message.startsWith('Startup probe'))
      t.ok(failed.length <= 1, `${app}: ${failed.map((event: Kubernetes) => `${event.count} x ${event.message}`).join('; ')}`)
    }
  })

  t.test('a failing readiness probe still takes the pod out: the sidecar passes the app\'s answer on', async (t) => {
    await cluster.apply(...nodeApp('sick', APPS, {
      annotations: asks({ interception: 'loopback' }), env: { HOST: '127.0.0.1', PORT: '9090' }, edit: (spec) => {
        spec.containers[0].readinessProbe = { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1, failureThreshold: 1 }
      },
    }))
    await eventually(async () => {
      const { items: [pod] } = await cluster.get('pods', '-n', APPS, '-l', 'app=sick')
      const state = pod.status.containerStatuses.find((row: Kubernetes) => row.name === 'app')
      if (!state.state.running) throw new Error('The app is not running yet.')
    })
    const { items } = await cluster.get('pods', '-n', APPS, '-l', 'app=sick')
    t.notOk(items[0].status.containerStatuses.find((row: Kubernetes) => row.name === 'app').ready)
    await cluster.kubectl(['-n', APPS, 'delete', 'deployment', 'sick', '--wait=false'])
  })
}

/** The backstop: what holds without the webhook. */
export function backstopClaims(t: Test, { cluster }: Stage): void {
  const pod = (name: string, annotations: object, labels = {}) => ({
    apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: APPS, annotations, labels },
    spec: (nodeApp(name, APPS)[0] as Kubernetes).spec.template.spec,
  })
  const tryApply = async (object: object) => await cluster.tryKubectl(['apply', '-f', '-'], JSON.stringify(object))

  t.test('label, annotations and sidecar image of a running pod cannot be changed', async (t) => {
    const { metadata: { name } } = await readyPod(cluster, APPS, 'shop')
    for (const args of [
      ['label', 'pod', name, 'sidegate.dev/injected-'],
      ['label', 'pod', name, '--overwrite', 'sidegate.dev/injected=no'],
      ['annotate', 'pod', name, 'sidegate.dev/inject-'],
      ['annotate', 'pod', name, 'sidegate.dev/mode=audit'],
      ['set', 'image', `pod/${name}`, 'sidegate=localhost/busybox:1'],
      ['patch', 'pod', name, '--subresource=status', '--type=merge', '-p', '{"metadata":{"labels":{"sidegate.dev/injected":null}}}'],
    ]) {
      const { code, stderr } = await cluster.tryKubectl(['-n', APPS, ...args])
      t.ok(code !== 0 && /sidegate-running-pods.*cannot be changed/.test(stderr), `${args.join(' ')}: ${stderr}`)
    }
    t.equal((await cluster.tryKubectl(['-n', APPS, 'label', 'pod', name, 'other=1'])).code, 0, 'other labels are free')
  })

  t.test('who may edit ConfigMaps and NetworkPolicies of a namespace changes neither the configuration of its sidecars nor their lock', async (t) => {
    const user = `--as=system:serviceaccount:${APPS}:default`
    await cluster.tryKubectl(['-n', APPS, 'create', 'rolebinding', 'editor', '--clusterrole=edit', `--serviceaccount=${APPS}:default`])
    const open = JSON.stringify({ data: { 'default.json': '{}' } })
    for (const args of [
      ['patch', 'configmap', 'sidegate-config', '--type=merge', '-p', open],
      ['patch', 'configmap', 'sidegate-config', '--type=merge', '-p', '{"metadata":{"finalizers":["example.com/mine"]}}'],
      ['delete', 'configmap', 'sidegate-config'],
      ['patch', 'networkpolicy', 'sidegate', '--type=merge', '-p', '{"spec":{"ingress":[{}]}}'],
      ['delete', 'networkpolicy', 'sidegate'],
      ['delete', '--raw', `/apis/networking.k8s.io/v1/namespaces/${APPS}/networkpolicies?dryRun=All`],
    ]) {
      const raw = args.includes('--raw')
      const { code, stderr, stdout } = await cluster.tryKubectl([...raw ? [] : ['-n', APPS], ...args, ...raw ? [] : ['--dry-run=server'], user])
      t.ok(code !== 0 && /is kept by the controller of Sidegate .*only it may write it/.test(stderr + stdout), `${args.join(' ')}: ${stderr}${stdout}`)
    }
    t.equal((await cluster.tryKubectl(['-n', APPS, 'create', 'configmap', 'mine', '--dry-run=server', user])).code, 0, 'their own are free')
    const generated = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'mine-', namespace: APPS } })
    t.equal((await cluster.tryKubectl(['create', '--dry-run=server', '-f', '-', user], generated)).code, 0, 'also without a name')
    t.equal((await cluster.tryKubectl(['-n', APPS, 'annotate', 'configmap', 'sidegate-config', 'example.com/x=y', '--dry-run=server'])).code, 0, 'system:masters may, to break glass')
  })

  t.test('webhook deleted: an annotated pod is denied, with or without a container of the sidecar\'s name; one not annotated starts', async (t) => {
    const injected: Kubernetes = JSON.parse(await cluster.kubectl(['apply', '--dry-run=server', '-o', 'json', '-f', '-'], JSON.stringify(pod('almost', asks()))))
    const saved = await cluster.get('mutatingwebhookconfiguration', 'sidegate')
    await cluster.kubectl(['delete', 'mutatingwebhookconfiguration', 'sidegate'])
    t.teardown(async () => {
      // As Helm made it: without caBundle, which the controller puts in again.
      for (const { clientConfig } of saved.webhooks) delete clientConfig.caBundle
      const { name, labels, annotations } = saved.metadata
      await cluster.kubectl(['apply', '--server-side', '--field-manager=helm', '-f', '-'], JSON.stringify({ ...saved, metadata: { name, labels, annotations } }))
      await trusted(cluster)
    })
    const bare = await eventually(async () => {
      const result = await tryApply(pod('naked', asks()))
      if (result.code === 0) throw new Error('started')
      return result
    })
    t.match(bare.stderr, /sidegate-pods.*has no sidecar: the injection webhook did not see it/s)
    const impostor = pod('impostor', asks(), { 'sidegate.dev/injected': 'true' })
    impostor.spec.containers.push({ ...impostor.spec.containers[0], name: 'sidegate', ports: [] })
    t.match((await tryApply(impostor)).stderr, /accepts only/)
    impostor.spec.containers[1].image = `${cluster.image.repository}:${cluster.image.tag}`
    t.match((await tryApply(impostor)).stderr, /does not start the sidecar/)
    // As the webhook makes it, but for one thing.
    const almost = async (change: (made: Kubernetes, sidecar: Kubernetes) => void) => {
      const { uid: _, creationTimestamp: __, managedFields: ___, ...metadata } = injected.metadata
      const made = structuredClone({ apiVersion: 'v1', kind: 'Pod', metadata, spec: injected.spec }) as Kubernetes
      const all = [...made.spec.initContainers ?? [], ...made.spec.containers]
      change(made, all.find(({ name }: Kubernetes) => name === 'sidegate'))
      return await cluster.tryKubectl(['apply', '--dry-run=server', '-f', '-'], JSON.stringify(made))
    }
    t.match(await almost(() => {}), { code: 0 }, 'the webhook\'s own work')
    const tricks: Record<string, [(made: Kubernetes, sidecar: Kubernetes) => void, RegExp]> = {
      'a configuration elsewhere': [(_, sidecar) => { sidecar.args[1] = '/etc/sidegate/../../mine/open.json' }, /does not start the sidecar/],
      'only looks at its configuration': [(_, sidecar) => { sidecar.args.push('--check') }, /does not start the sidecar/],
      'another volume in its place': [(made, sidecar) => {
        made.spec.volumes.push({ name: 'mine', configMap: { name: 'mine' } })
        sidecar.volumeMounts.find(({ mountPath }: Kubernetes) => mountPath === '/etc/sidegate').name = 'mine'
      }, /does not start the sidecar/],
      'another ConfigMap behind the volume': [(made) => { made.spec.volumes.find(({ name }: Kubernetes) => name === 'sidegate-config').configMap.name = 'mine' }, /does not start the sidecar/],
      'another program': [(made, sidecar) => {
        made.spec.volumes.push({ name: 'mine', emptyDir: {} })
        sidecar.volumeMounts.push({ name: 'mine', mountPath: '/app/dist' })
      }, /does not start the sidecar/],
      'something that Node loads first': [(_, sidecar) => { sidecar.env.push({ name: 'NODE_OPTIONS', value: '--import=/mine/x.mjs' }) }, /variables that change what it loads/],
      'a label that the NetworkPolicy passes over': [(made) => { made.metadata.labels['sidegate.dev/interception'] = 'loopback' }, /not the interception that it asks for/],
      'the node\'s network': [(made) => { made.spec.hostNetwork = true }, /hostNetwork|PodSecurity/],
    }
    for (const [name, [change, sentence]] of Object.entries(tricks)) {
      const { code, stderr } = await almost(change)
      t.not(code, 0, name)
      t.match(stderr, sentence, name)
    }
    t.match(await almost((_, sidecar) => { sidecar.env.push({ name: 'OTEL_SERVICE_NAME', value: 'x' }) }), { code: 0 }, 'what others add to every container is no harm')
    t.equal((await tryApply(pod('free', {}))).code, 0, 'a pod that did not ask')
    await cluster.kubectl(['-n', APPS, 'delete', 'pod', 'free', '--wait=false'])
  })
}

/** An upgrade of the release with changed values, and back. */
export function upgradeClaims(t: Test, { cluster, agent }: Stage): void {
  t.test('helm upgrade and rollback: pods are refused or protected, never unprotected; running ones are not touched', async (t) => {
    const shop = await readyPod(cluster, APPS, 'shop')
    const { webhooks: [before] } = await cluster.get('mutatingwebhookconfiguration', 'sidegate')
    await helmUpgrade(cluster, { ...testValues(cluster), webhook: { timeoutSeconds: 3 } })
    t.equal((await cluster.get('mutatingwebhookconfiguration', 'sidegate')).webhooks[0].timeoutSeconds, 3)
    const { code, stderr } = await cluster.helm(['rollback', 'sidegate', '--namespace', SYSTEM, '--wait', '--timeout', '120s'])
    t.equal(code, 0, stderr)
    const { webhooks: [after] } = await cluster.get('mutatingwebhookconfiguration', 'sidegate')
    t.equal(after.clientConfig.caBundle, before.clientConfig.caBundle, 'the webhook kept its caBundle')
    t.equal((await readyPod(cluster, APPS, 'shop')).metadata.uid, shop.metadata.uid)
    t.equal((await agent.call(`http://shop.${APPS}.svc/orders`)).status, 401)
  })
}
