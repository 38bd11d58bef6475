// What people put under the annotation, and what they are told when it is wrong.
import t from 'tap'
import { APPS, setStage } from '../../helpers/claims.ts'
import { eventually, openCluster, whyNoCluster, type Cluster, type Kubernetes } from '../../helpers/cluster.ts'
import { MAIN_CLUSTER, SYSTEM, asks, ensureRelease, fixtures, namespace, nodeApp, podSpec, readyPod, service } from '../../helpers/release.ts'

const why = whyNoCluster()
if (why) t.plan(0, why)
else await workloads(await openCluster(MAIN_CLUSTER))

async function workloads(cluster: Cluster) {
  await ensureRelease(cluster)
  const stage = await setStage(cluster)
  t.teardown(() => stage.agent.close())
  const { agent } = stage

  t.test('the sidecar is a native one: first init container, restartPolicy Always, the image\'s own command', async (t) => {
    const { spec, metadata } = await readyPod(cluster, APPS, 'shop')
    const [sidecar] = spec.initContainers
    t.equal(sidecar.name, 'sidegate')
    t.equal(sidecar.restartPolicy, 'Always')
    t.notOk(sidecar.command)
    t.equal(sidecar.image, `${cluster.image.repository}:${cluster.image.tag}`)
    t.match(sidecar.securityContext, { runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } })
    t.ok(sidecar.resources.limits.memory && sidecar.resources.requests.cpu)
    t.notOk(spec.volumes.some((volume: Kubernetes) => volume.emptyDir))
    t.equal(metadata.annotations['kubectl.kubernetes.io/default-container'], 'app')
  })

  t.test('PodSecurity restricted: the namespace enforces it and took the injected pod; Node\'s permission model is on in the sidecar', async (t) => {
    const { metadata: { labels } } = await cluster.get('namespace', APPS)
    t.equal(labels['pod-security.kubernetes.io/enforce'], 'restricted')
    const { metadata: { name } } = await readyPod(cluster, APPS, 'shop')
    const command = await cluster.kubectl(['-n', APPS, 'exec', name, '-c', 'sidegate', '--', 'node', '-p', 'require("fs").readFileSync("/proc/1/cmdline", "utf8").replaceAll("\\0", " ")'])
    t.match(command, /--permission/)
    t.notMatch(command, /--allow-(fs-write|child-process|worker|addons)/)
    const shell = await cluster.tryKubectl(['-n', APPS, 'exec', name, '-c', 'sidegate', '--', 'sh', '-c', 'true'])
    t.not(shell.code, 0, 'there is no shell in the image')
  })

  t.test('a Job completes', async (t) => {
    const spec = podSpec('app.mjs', {})
    spec.restartPolicy = 'Never'
    spec.containers[0].command = ['node', '-e', 'setTimeout(() => console.log("done"), 1500)']
    await cluster.apply({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'batch', namespace: APPS }, spec: { backoffLimit: 0, template: { metadata: { annotations: asks() }, spec } } })
    await cluster.kubectl(['-n', APPS, 'wait', '--for=condition=Complete', 'job/batch', '--timeout=90s'])
    const { items: [pod] } = await cluster.get('pods', '-n', APPS, '-l', 'job-name=batch')
    t.equal(pod.status.phase, 'Succeeded')
    t.ok(pod.spec.initContainers.some((container: Kubernetes) => container.name === 'sidegate'), 'it had the sidecar')
  })

  t.test('a namespace\'s label injects all its pods but those that say "false"', async (t) => {
    await cluster.apply(namespace('e2e-optin', { 'sidegate.dev/inject': 'enabled' }), fixtures('e2e-optin'))
    await cluster.apply(...nodeApp('all', 'e2e-optin'), service('all', 'e2e-optin', { port: 80, targetPort: 'http' }), ...nodeApp('not', 'e2e-optin', { annotations: { 'sidegate.dev/inject': 'false' } }))
    await readyPod(cluster, 'e2e-optin', 'all')
    t.equal((await agent.call('http://all.e2e-optin.svc/')).status, 401)
    const { spec } = await readyPod(cluster, 'e2e-optin', 'not')
    t.notOk(spec.initContainers)
    await cluster.kubectl(['delete', 'namespace', 'e2e-optin', '--wait=false'])
  })

  t.test('the first pod of a new namespace finds configuration and NetworkPolicy in place', async (t) => {
    const space = `e2e-first-${Date.now()}`
    await cluster.apply(namespace(space), fixtures(space))
    const spec = { ...podSpec('app.mjs', {}), schedulerName: 'nobody' }
    await cluster.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'first', namespace: space, annotations: asks() }, spec })
    const copy = await cluster.get('configmap', 'sidegate-config', '-n', space)
    t.same(Object.keys(copy.data), ['default.json'], 'only the profile in use')
    const policy = await cluster.get('networkpolicy', 'sidegate', '-n', space)
    t.equal(policy.metadata.ownerReferences[0].kind, 'ClusterRole', 'which goes with the release')
    await cluster.kubectl(['-n', space, 'delete', 'networkpolicy', 'sidegate'])
    await eventually(async () => await cluster.get('networkpolicy', 'sidegate', '-n', space), 20)
    t.pass('a deleted NetworkPolicy comes back')
    await cluster.kubectl(['delete', 'namespace', space, '--wait=false'])
  })

  t.test('wrong annotations are refused or warned of, with the fix', async (t) => {
    const pod = (annotations: object) => JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'wrong', namespace: APPS, annotations }, spec: podSpec('app.mjs', {}) })
    const refused = async (annotations: object, sentence: RegExp) => {
      const { code, stderr } = await cluster.tryKubectl(['apply', '--dry-run=server', '-f', '-'], pod(annotations))
      t.not(code, 0)
      t.match(stderr, sentence)
    }
    await refused({ 'sidegate.dev/inject': 'yes' }, /must be "true" or "false"/)
    await refused(asks({ interception: 'prot' }), /must be "port" or "loopback" or "redirect"/)
    await refused(asks({ prfile: 'x' }), /did you mean sidegate\.dev\/profile\?/)
    await refused(asks({ profile: 'nope' }), /There is no profile "nope"/)
    const [deployment] = nodeApp('warned', APPS) as [Kubernetes]
    deployment.metadata.annotations = asks()
    const { stderr } = await cluster.tryKubectl(['apply', '--dry-run=server', '-f', '-'], JSON.stringify(deployment))
    t.match(stderr, /Warning: .*on the Deployment itself has no effect.*spec\.template\.metadata\.annotations/)
  })

  t.test('a Service with a numeric targetPort and a policy that opens the app\'s port are reported at admission', async (t) => {
    await cluster.apply(service('numeric', APPS, { port: 80, targetPort: 8080 }))
    await cluster.apply({
      apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'opens', namespace: APPS },
      spec: { podSelector: { matchLabels: { app: 'numeric' } }, ingress: [{ ports: [{ port: 8080 }] }] },
    })
    const pod = JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'numeric', namespace: APPS, annotations: asks(), labels: { app: 'numeric' } }, spec: podSpec('app.mjs', {}) })
    await eventually(async () => {
      const { stderr } = await cluster.tryKubectl(['apply', '--dry-run=server', '-f', '-'], pod)
      if (!/Warning:.*numeric/s.test(stderr) || !/Warning:.*opens/s.test(stderr)) throw new Error(`No warnings: ${stderr}`)
    }, 10)
    await cluster.kubectl(['-n', APPS, 'delete', 'service/numeric', 'networkpolicy/opens'])
    t.pass('both named')
  })

  t.test('an Event on the owner tells of the injection', async (t) => {
    const { items } = await cluster.get('events', '-n', APPS, '--field-selector', 'reason=SidegateInjected')
    t.ok(items.some((event: Kubernetes) => event.involvedObject.kind === 'ReplicaSet' && event.involvedObject.name.startsWith('shop-')))
  })

  t.test('helm test passes, and cleans up after itself', async (t) => {
    const { code, stdout, stderr } = await cluster.helm(['test', 'sidegate', '--namespace', SYSTEM, '--timeout', '120s'])
    t.equal(code, 0, `${stdout}${stderr}`)
    t.match(stdout, /Phase: +Succeeded/)
    await eventually(async () => {
      if ((await cluster.tryKubectl(['get', 'namespace', 'sidegate-test'])).code === 0) throw new Error('The namespace sidegate-test is still there.')
    })
    t.not((await cluster.tryKubectl(['-n', SYSTEM, 'get', 'pod', 'sidegate-test'])).code, 0)
  })

  t.test('helm test fails where somebody\'s policy opens the app\'s own port', async (t) => {
    const opened = eventually(async () => await cluster.apply({
      apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'opens', namespace: 'sidegate-test' }, spec: { podSelector: {}, ingress: [{ ports: [{ port: 8080 }] }] },
    }), 60)
    const { code } = await cluster.helm(['test', 'sidegate', '--namespace', SYSTEM, '--timeout', '120s'])
    await opened
    t.not(code, 0)
    t.match(await cluster.kubectl(['-n', SYSTEM, 'logs', 'sidegate-test']), /FAILED: the app's own port can be reached without the sidecar/)
    await cluster.kubectl(['delete', 'namespace/sidegate-test', '--ignore-not-found', '--wait=false'])
    await cluster.kubectl(['-n', SYSTEM, 'delete', 'pod', 'sidegate-test', '--wait=false'])
  })
}
