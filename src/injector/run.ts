/** The controller, put together: Completed options -> a running webhook, its certificates, and the namespaces' configuration. */
import { systemClock, type Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import { createMetrics, type Metrics } from '../telemetry/metrics.ts'
import { collectProcess } from '../telemetry/process-metrics.ts'
import type { Address } from '../http/contract.ts'
import type { KeyPair } from '../pki/authority.ts'
import { createKube, type Kube } from '../kube/client.ts'
import { connect } from '../kube/connection.ts'
import { writesUntil } from '../kube/writes-until.ts'
import { startInformer, type Informer, type InformerOptions } from '../kube/informer.ts'
import type { ConfigMap, KubeObject, NetworkPolicy, Secret, Service } from '../kube/types.ts'
import { createAdmission } from './admit.ts'
import { keepSelfSigned, type CertificateKeeper } from './certificates.ts'
import { createEvents, noEvents, type Events } from './events.ts'
import { createGuarantee, profileOfPod } from './guarantee.ts'
import { startHealthServer } from './health-server.ts'
import { keepMounted } from './mounted-certificate.ts'
import { ACCEPTED_CONFIG, CONFIG_COPY, INJECTED_LABEL, NETWORK_POLICY } from './names.ts'
import type { Completed } from './options.ts'
import { trackOwner, type Owner } from './owners.ts'
import { createReconcileQueue } from './reconcile-queue.ts'
import { supportsNativeSidecar, type InjectorSettings } from './settings.ts'
import { createSource } from './source.ts'
import { createSurroundings } from './surroundings.ts'
import { startWebhookServer, type WebhookServer } from './webhook-server.ts'

export interface Controller {
  /** Resolves when admissions are taken; rejects when the webhook's port cannot be bound. */
  readonly ready: Promise<Address>
  readonly health: Address
  readonly metrics: Metrics
  /** Drains and stops everything. */
  stop(): Promise<void>
}

export interface ControllerParts {
  readonly log: Log
  readonly clock?: Clock
  /** The API server. Default: as the options say; it is closed at the end. */
  readonly kube?: Kube
}

const RESYNC_MS = 60_000
const VERSION_EVERY_MS = 10 * 60_000

/** Runs a task now and then every so often, one at a time, until stopped. */
function every(clock: Clock, intervalMs: number, task: () => void): () => void {
  let cancel = clock.after(intervalMs, function again() {
    task()
    cancel = clock.after(intervalMs, again)
  })
  return () => { cancel() }
}

/** Settings for the injector: without NetworkPolicies no interception `port`; whether native sidecars are right may be the API server's version to say. */
function settingsOf({ options, nativeByVersion }: Completed, kube: Kube, log: Log) {
  let settings: InjectorSettings = { ...options.sidecar, portAllowed: options.sidecar.portAllowed && options.networkPolicy.mode !== 'off' }
  return {
    current: () => settings,
    async refresh() {
      if (!nativeByVersion) return
      const nativeSidecar = supportsNativeSidecar(await kube.raw('/version') as { major: string, minor: string })
      if (nativeSidecar !== settings.nativeSidecar) log.info('native sidecars', { on: nativeSidecar })
      settings = { ...settings, nativeSidecar }
    },
  }
}

function certificateKeeper({ options, namespace }: Completed, kube: Kube, owner: Owner, clock: Clock, log: Log, onLeaf: (leaf: KeyPair) => void): CertificateKeeper {
  const { webhook, certificates } = options
  if (certificates.mode !== 'self') {
    const publish = certificates.mode === 'provided' ? { kube, configuration: webhook.configuration } : undefined
    return keepMounted({ directory: certificates.directory, publish, clock, log, onLeaf })
  }
  const host = `${webhook.service}.${namespace}`
  return keepSelfSigned({
    kube, namespace, owner, clock, log, onLeaf,
    secret: certificates.secret,
    configuration: webhook.configuration,
    names: [`${host}.svc`, host, webhook.service, `${host}.svc.cluster.local`, ...webhook.extraNames],
    policy: { caValidityMs: certificates.caValidity, leafValidityMs: certificates.leafValidity, overlapMs: certificates.overlap },
  })
}

/**
 * Starts the controller.
 * @throws Error when the API server cannot be reached at all or a port cannot be bound; everything later is retried and logged
 */
export async function startController(completed: Completed, { log, clock = systemClock, kube: given }: ControllerParts): Promise<Controller> {
  const { options, namespace } = completed
  const metrics = createMetrics()
  collectProcess(metrics)
  const kube = given ?? createKube(await connect(completed.kubeconfig))
  const leaving = new AbortController()
  // Reviews go on while the controller leaves, with all that they write; nothing else does.
  const background = writesUntil(kube, leaving.signal)
  const events: Events = options.events ? createEvents(kube, clock, log, completed.replica) : noEvents
  const settings = settingsOf(completed, kube, log)
  const owner = trackOwner(kube, { resource: 'clusterroles', name: options.owners.clusterRole }, clock, log)
  const localOwner = trackOwner(kube, { resource: 'serviceaccounts', namespace, name: options.owners.serviceAccount }, clock, log)
  await Promise.all([settings.refresh(), owner.refresh(), localOwner.refresh()])

  const informers: Informer<KubeObject>[] = []
  function watch<T extends KubeObject>(...[resource, selection, onChange]: [
    Parameters<typeof startInformer>[1], Parameters<typeof startInformer>[2], InformerOptions<T>['onChange']?]): Informer<T> {
    const informer = startInformer<T>(kube, resource, selection, { log, clock, ...onChange && { onChange } })
    informers.push(informer)
    return informer
  }
  const named = (name: string) => ({ fieldSelector: `metadata.name=${name}` })

  // The namespaces.
  const touched = ({ metadata }: KubeObject) => { namespaces.add(metadata.namespace!) }
  const copies = watch<ConfigMap>('configmaps', named(CONFIG_COPY), touched)
  const pods = watch<KubeObject>('pods', { labelSelector: `${INJECTED_LABEL}=true`, metadataOnly: true }, touched)
  const policies = options.networkPolicy.mode === 'off' ? undefined
    : watch<NetworkPolicy>('networkpolicies', {}, (policy) => { if (policy.metadata.name === NETWORK_POLICY) touched(policy) })
  const services = watch<Service>('services', {})
  const guarantee = createGuarantee({
    kube, background, copies, pods, policies, owner, clock, log, keepMs: options.cleanup.after, policy: options.networkPolicy, accepted: () => source.accepted(),
    removed: () => source.removed(),
    deadlineMs: options.admission.deadline,
  })
  const synced = Promise.all([copies.synced, pods.synced, policies?.synced])
  const namespaces = createReconcileQueue(async (name, mayDispute) => {
    // Before everything is listed, something that is there looks missing.
    await synced
    const did = await guarantee.reconcile(name, mayDispute).catch((error: unknown) => {
      metrics.series('sidegate_reconcile_total', 'failed').value += 1
      throw error
    })
    metrics.series('sidegate_reconcile_total', did === 'written' || did === 'disputed' ? 'written' : 'right').value += 1
    return did
  }, clock, log)
  const reconcileAll = () => {
    void owner.refresh().then(() => { for (const name of guarantee.namespaces()) namespaces.add(name) })
  }

  // Their configuration.
  const sourceName = options.source.configMap
  const sourceWatch = watch<ConfigMap>('configmaps', { namespace, ...named(sourceName) }, () => { work.add('source') })
  const source = createSource({
    kube: background, namespace, source: sourceName, acceptedName: ACCEPTED_CONFIG, owner: localOwner, clock, log, metrics, events, onAccepted: reconcileAll,
    inUse: () => pods.fresh() ? new Set(pods.list().map(profileOfPod)) : undefined, keepMs: options.cleanup.after,
  })

  // The webhook.
  const admit = createAdmission({
    settings: settings.current, source, guarantee, events, metrics, log, sourceName: `${namespace}/${sourceName}`, namespace,
    surroundings: createSurroundings({ services, policies }),
  })
  const { promise: ready, resolve: markReady, reject: markFailed } = Promise.withResolvers<Address>()
  let server: Promise<WebhookServer> | undefined
  let draining = false
  const keeper = certificateKeeper(completed, background, localOwner, clock, log, (certificate) => {
    const onAnswer = (status: number, seconds: number) => { metrics.histogram('sidegate_admission_seconds', String(status)).observe(seconds) }
    if (server) {
      server.then((running) => { running.setCertificate(certificate) }).catch((error: Error) => { log.error('certificate not usable', { error: error.message }) })
      return
    }
    server = startWebhookServer({ bind: options.webhook.bind, admit, log, onAnswer, certificate })
    server.catch(markFailed)
  })
  if (options.certificates.mode === 'self') watch<Secret>('secrets', { namespace, ...named(options.certificates.secret) }, () => { work.add('certificates') })
  if (options.certificates.mode !== 'cert-manager') {
    watch('mutatingwebhookconfigurations', { ...named(options.webhook.configuration), metadataOnly: true }, () => { work.add('certificates') })
  }

  const chores: Record<string, () => Promise<void>> = {
    source: async () => {
      await sourceWatch.synced
      await source.settle(sourceWatch.get(sourceName, namespace))
    },
    certificates: async () => {
      await keeper.settle()
      await server
    },
    version: () => settings.refresh(),
  }
  const work = createReconcileQueue(async (chore) => {
    await chores[chore]!()
    if (unready().length === 0) markReady((await server!).address)
    return 'right'
  }, clock, log)

  function unready(): string[] {
    const missing: string[] = []
    if (draining) missing.push('shutting down')
    if (!source.judged) missing.push(`ConfigMap ${namespace}/${sourceName} has not been read yet`)
    if (!keeper.ready()) missing.push(`no webhook certificate that the API server trusts (MutatingWebhookConfiguration ${options.webhook.configuration})`)
    return missing
  }

  metrics.collect(() => {
    metrics.series('sidegate_ready').value = unready().length === 0 ? 1 : 0
    metrics.series('sidegate_log_dropped_total').value = log.dropped
    metrics.series('sidegate_namespaces').value = guarantee.namespaces().size
    metrics.series('sidegate_certificate_expiry_timestamp_seconds').value = (keeper.expires() ?? 0) / 1000
  })
  const health = await startHealthServer(options.health.bind, unready, metrics)
  for (const chore of ['source', 'certificates']) work.add(chore)
  const timers = [
    every(clock, Math.min(RESYNC_MS, options.cleanup.after / 2), reconcileAll),
    every(clock, keeper.interval, () => { work.add('certificates') }),
    every(clock, VERSION_EVERY_MS, () => { work.add('version') }),
    every(clock, RESYNC_MS, () => { work.add('source') }),
  ]
  ready.then(({ host, port }) => { log.notice('ready', { webhook: `${host}:${port}`, health: `${health.address.host}:${health.address.port}` }) }, () => {})

  return {
    ready,
    health: health.address,
    metrics,
    async stop() {
      draining = true
      // First no more chores, those under way included: one who leaves must not write again what an uninstall has just deleted, or a successor
      // makes anew. Reviews go on.
      leaving.abort(new Error('the controller is leaving'))
      for (const cancel of timers) cancel()
      for (const queue of [work, namespaces]) queue.stop()
      await (await server)?.close(options.shutdown.delay, options.shutdown.grace)
      for (const informer of informers) informer.stop()
      await health.close()
      await kube.close()
    },
  }
}
