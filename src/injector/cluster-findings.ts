/** Every hole of a cluster with its fix: a function of what was read of it. `sidegate check --cluster` prints it. */
import type { ConfigMap, KubeObject, NetworkPolicy, Pod } from '../kube/types.ts'
import type { ClusterSnapshot } from './cluster-snapshot.ts'
import { profileOfPod } from './guarantee.ts'
import {
  CONFIG_COPY, FIRST_PROTECTED_PORT, HEALTH_PORT, INJECT_ANNOTATION, INJECTED_LABEL, INTERCEPTION_ANNOTATION, INTERCEPTION_LABEL, MAX_PROTECTED_PORTS, MODE_ANNOTATION,
  NAMESPACE_LABEL, NETWORK_POLICY, profileKey, SIDECAR_CONTAINER, SYSTEM_NAMESPACE,
} from './names.ts'
import { matchesSelector } from './selector.ts'
import { compileSource, type Compiled } from './source-config.ts'
import { exposureFindings, type Finding } from './warnings.ts'

/** `hole`: requests can pass the sidecar by. `outage`: requests do not arrive. `unchecked`: could not be looked at. `note`: to know, not to mend. */
export type Severity = 'hole' | 'outage' | 'unchecked' | 'note'

export interface ClusterFinding {
  readonly severity: Severity
  /** One word, for machines. */
  readonly code: string
  readonly object: string
  readonly problem: string
  readonly fix: string
}

const nameOf = (kind: string, { metadata: { namespace, name } }: KubeObject) => `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`
const over = ({ status }: Pod) => status?.phase === 'Succeeded' || status?.phase === 'Failed'
const injected = ({ metadata }: Pod) => metadata.labels?.[INJECTED_LABEL] === 'true'
const sidecarOf = ({ spec }: Pod) => [...spec.initContainers ?? [], ...spec.containers].find(({ name }) => name === SIDECAR_CONTAINER)

function installFindings({ webhooks, admissionPolicies, releaseNamespace }: ClusterSnapshot): ClusterFinding[] {
  const findings: ClusterFinding[] = []
  const say = (severity: Severity, code: string, object: string, problem: string, fix: string) => { findings.push({ severity, code, object, problem, fix }) }
  const object = 'MutatingWebhookConfiguration sidegate'
  if (!webhooks) say('hole', 'webhook-missing', object, 'it does not exist: no pod gets a sidecar.', `Install the chart: helm upgrade --install sidegate charts/sidegate -n ${releaseNamespace}`)
  for (const { name, failurePolicy, clientConfig } of webhooks?.webhooks ?? []) {
    if (failurePolicy === 'Ignore') say('hole', 'webhook-ignore', `${object}, ${name}`, 'failurePolicy is Ignore: while the controller is away pods start without a sidecar.', 'Set the value webhook.failurePolicy to Fail.')
    if (!clientConfig.caBundle) say('outage', 'webhook-untrusted', `${object}, ${name}`, 'it has no caBundle: the API server cannot call the controller, and pods that ask are refused.', `See why the controller is not ready: kubectl -n ${releaseNamespace} logs deploy/sidegate-controller`)
  }
  if (!admissionPolicies.some((name) => name.startsWith('sidegate'))) {
    say('hole', 'backstop-missing', 'ValidatingAdmissionPolicyBinding sidegate-*', 'there is none: with the webhook deleted, a pod that asks for the sidecar starts without it, and labels of running pods can be changed.', 'Set the value admissionPolicy.enabled to true (Kubernetes 1.30 and newer).')
  }
  return findings
}

function sourceFindings({ source, releaseNamespace }: ClusterSnapshot, compiled: Compiled): ClusterFinding[] {
  const object = `ConfigMap ${releaseNamespace}/sidegate-profiles`
  if (!source) return [{ severity: 'outage', code: 'source-missing', object, problem: 'it does not exist: no pod can be injected.', fix: 'Install the chart, or name its namespace with --namespace.' }]
  if ('profiles' in compiled) {
    return compiled.warnings.map((problem) => ({ severity: 'note', code: 'configuration-warning', object, problem, fix: 'Have a look.' }))
  }
  return compiled.problems.map((problem) => ({
    severity: 'outage', code: 'configuration-refused', object, problem, fix: 'Correct it in the chart\'s values; until then the last accepted configuration stays in force.',
  }))
}

function wants(pod: Pod, labelled: ReadonlySet<string>): boolean {
  const value = pod.metadata.annotations?.[INJECT_ANNOTATION]
  return value === 'true' || (value === undefined && labelled.has(pod.metadata.namespace!))
}

function unprotectedFindings(pod: Pod): ClusterFinding[] {
  const object = nameOf('Pod', pod)
  if (!injected(pod)) {
    const owner = pod.metadata.ownerReferences?.[0]
    const fix = owner ? `kubectl -n ${pod.metadata.namespace} rollout restart its workload (it belongs to ${owner.kind} ${owner.name}).` : 'Delete it and create it again.'
    const why = pod.spec.hostNetwork ? 'It uses hostNetwork, which a sidecar cannot protect: remove that first.' : fix
    return [{ severity: 'hole', code: 'unprotected-pod', object, problem: 'it should have the sidecar and has none: it is older than its annotation, its namespace\'s label or the webhook.', fix: why }]
  }
  if (!sidecarOf(pod)) return [{ severity: 'hole', code: 'sidecar-missing', object, problem: `it has the label ${INJECTED_LABEL} but no container ${SIDECAR_CONTAINER}.`, fix: 'Delete the pod; the new one gets the sidecar.' }]
  return []
}

function findingsAround(pod: Pod, { services, policies }: ClusterSnapshot): ClusterFinding[] {
  const here = <T extends KubeObject>(items: readonly T[]) => items.filter(({ metadata }) => metadata.namespace === pod.metadata.namespace)
  const codeOf = ({ object, severity }: Finding) => `${object.split(' ')[0]!.toLowerCase()}-${severity === 'hole' ? 'opens-app' : 'misses-sidecar'}`
  return exposureFindings(pod as never, here(services), here(policies)).map((finding) => ({ ...finding, code: codeOf(finding) }))
}

/** Whether a policy of that name does what ours does: selects the pod and opens the sidecar's ports only. */
function closes({ spec: { podSelector, policyTypes, ingress } }: NetworkPolicy, pod: Pod): boolean {
  const last = FIRST_PROTECTED_PORT + MAX_PROTECTED_PORTS - 1
  const ours = (port: number | string | undefined, end: number | undefined) => typeof port === 'number'
    && ((port >= FIRST_PROTECTED_PORT && (end ?? port) <= last) || (port === HEALTH_PORT && (end ?? port) === port))
  return matchesSelector(podSelector ?? {}, pod.metadata.labels ?? {}) && (policyTypes?.includes('Ingress') ?? true)
    && (ingress ?? []).every(({ ports }) => ports !== undefined && ports.length > 0 && ports.every(({ port, endPort }) => ours(port, endPort)))
}

/** What the controller was told: which image it injects, whether it keeps NetworkPolicies. */
function controllerFileOf({ controllerFile }: ClusterSnapshot): { readonly sidecar?: { readonly image?: string }; readonly networkPolicy?: { readonly mode?: string } } {
  try {
    return JSON.parse(controllerFile?.data?.['controller.json'] ?? '{}') as ReturnType<typeof controllerFileOf>
  } catch {
    return {}
  }
}

function policyFindings(pods: readonly Pod[], snapshot: ClusterSnapshot): ClusterFinding[] {
  const { policies } = snapshot
  const open = pods.filter((pod) => (pod.metadata.labels?.[INTERCEPTION_LABEL] ?? 'port') === 'port'
    && !policies.some((policy) => policy.metadata.namespace === pod.metadata.namespace && policy.metadata.name === NETWORK_POLICY && closes(policy, pod)))
  return [...new Set(open.map(({ metadata }) => metadata.namespace!))].map((namespace) => ({
    severity: 'hole', code: 'policy-missing', object: `NetworkPolicy ${namespace}/${NETWORK_POLICY}`,
    problem: 'it is missing or opens more than the sidecar\'s ports: injected pods of the namespace can be reached past their sidecar.',
    fix: controllerFileOf(snapshot).networkPolicy?.mode === 'off'
      ? `The value networkPolicy.mode is off: give the pods annotation ${INTERCEPTION_ANNOTATION}: loopback or redirect, or set the value to manage.`
      : 'See that the controller runs (it puts the policy back), or apply manifests/networkpolicy.yaml there if you manage it yourself.',
  }))
}

function copyFindings(pods: readonly Pod[], { copies }: ClusterSnapshot, compiled: Compiled): ClusterFinding[] {
  const findings = new Map<string, ClusterFinding>()
  for (const pod of pods) {
    const [namespace, profile] = [pod.metadata.namespace!, profileOfPod(pod)]
    const copy: ConfigMap | undefined = copies.find(({ metadata }) => metadata.namespace === namespace)
    const text = copy?.data?.[profileKey(profile)]
    const wanted = 'profiles' in compiled ? compiled.profiles.get(profile) : text
    if (text !== undefined && text === wanted) continue
    const problem = text === undefined ? `it lacks profile ${profile}: sidecars of the namespace cannot start.`
      : wanted === undefined ? `profile ${profile} is used but no longer in the configuration: its sidecars go on with the last text.`
        : `profile ${profile} is not what the configuration says now.`
    findings.set(`${namespace}/${profile}`, {
      severity: text === undefined ? 'outage' : 'hole', code: text === undefined ? 'copy-missing' : 'copy-outdated', object: `ConfigMap ${namespace}/${CONFIG_COPY}`, problem,
      fix: wanted === undefined && text !== undefined ? 'Put the profile back, or change annotation sidegate.dev/profile of its pods.' : 'See why the controller does not write it: its log, and its metric sidegate_reconcile_total.',
    })
  }
  return [...findings.values()]
}

function noteFindings(pods: readonly Pod[], snapshot: ClusterSnapshot, compiled: Compiled): ClusterFinding[] {
  const findings: ClusterFinding[] = []
  const image = controllerFileOf(snapshot).sidecar?.image
  for (const pod of pods) {
    const found = sidecarOf(pod)?.image
    if (image !== undefined && found !== image) findings.push({ severity: 'note', code: 'outdated-sidecar', object: nameOf('Pod', pod), problem: `its sidecar is ${found}; new pods get ${image}.`, fix: 'kubectl rollout restart its workload when it suits you.' })
    if (pod.metadata.annotations?.[MODE_ANNOTATION] === 'audit') findings.push({ severity: 'note', code: 'audit-mode', object: nameOf('Pod', pod), problem: 'it is in mode audit by annotation: nothing is denied.', fix: `Remove annotation ${MODE_ANNOTATION} when the metrics say that nothing good would be denied.` })
  }
  if ('profiles' in compiled) {
    for (const [name, text] of compiled.profiles) {
      if ((JSON.parse(text) as { mode?: string }).mode === 'audit') findings.push({ severity: 'note', code: 'audit-mode', object: `profile ${name}`, problem: 'it is in mode audit: its pods deny nothing.', fix: 'Set mode: enforce when the metrics say that nothing good would be denied.' })
    }
  }
  if (pods.some(({ metadata }) => (metadata.labels?.[INTERCEPTION_LABEL] ?? 'port') === 'port')) {
    findings.push({ severity: 'note', code: 'enforcement-unknown', object: 'NetworkPolicies', problem: 'whether this cluster\'s CNI enforces them cannot be seen from here, and interception port relies on it.', fix: 'helm test proves it from inside; interception loopback and redirect do not need it.' })
  }
  return findings
}

function optInFindings({ namespaces, workloads, releaseNamespace }: ClusterSnapshot): ClusterFinding[] {
  const findings: ClusterFinding[] = []
  for (const namespace of namespaces) {
    const value = namespace.metadata.labels?.[NAMESPACE_LABEL]
    if (value !== undefined && value !== 'enabled' && value !== 'disabled') findings.push({ severity: 'hole', code: 'label-misspelt', object: nameOf('Namespace', namespace), problem: `label ${NAMESPACE_LABEL} is "${value}": only "enabled" has an effect, so nothing is injected there.`, fix: `kubectl label --overwrite namespace ${namespace.metadata.name} ${NAMESPACE_LABEL}=enabled` })
    const excluded = namespace.metadata.name === SYSTEM_NAMESPACE || namespace.metadata.name === releaseNamespace
    if (value === 'enabled' && excluded) findings.push({ severity: 'hole', code: 'namespace-excluded', object: nameOf('Namespace', namespace), problem: 'it is labelled for injection, but this namespace is left out of it.', fix: 'Move the workloads to a namespace of their own.' })
  }
  for (const workload of workloads) {
    const above = workload.metadata.annotations?.[INJECT_ANNOTATION]
    if (above === 'true' && workload.spec?.template?.metadata?.annotations?.[INJECT_ANNOTATION] === undefined) {
      findings.push({ severity: 'hole', code: 'annotation-misplaced', object: nameOf(workload.kind!, workload), problem: `annotation ${INJECT_ANNOTATION} is on the ${workload.kind} itself, where it has no effect.`, fix: 'Put it under spec.template.metadata.annotations.' })
    }
  }
  return findings
}

const ORDER: readonly Severity[] = ['hole', 'outage', 'unchecked', 'note']

/** Everything found, holes first, each once. */
export async function clusterFindings(snapshot: ClusterSnapshot): Promise<readonly ClusterFinding[]> {
  const { source, namespaces, pods, unread, releaseNamespace } = snapshot
  const compiled: Compiled = source ? await compileSource(source.data) : { problems: [] }
  const labelled = new Set(namespaces.filter(({ metadata }) => metadata.labels?.[NAMESPACE_LABEL] === 'enabled').map(({ metadata }) => metadata.name))
  const living = pods.filter((pod) => !over(pod) && pod.metadata.namespace !== SYSTEM_NAMESPACE && pod.metadata.namespace !== releaseNamespace)
  const guarded = living.filter((pod) => injected(pod) && sidecarOf(pod))
  const findings = [
    ...unread.map(({ what, why }): ClusterFinding => ({ severity: 'unchecked', code: 'unreadable', object: what, problem: `could not be read: ${why}.`, fix: 'Run the check as someone who may read it.' })),
    ...installFindings(snapshot), ...sourceFindings(snapshot, compiled), ...optInFindings(snapshot),
    ...living.filter((pod) => wants(pod, labelled) || injected(pod)).flatMap(unprotectedFindings),
    ...guarded.flatMap((pod) => findingsAround(pod, snapshot)),
    ...policyFindings(guarded, snapshot), ...copyFindings(guarded, snapshot, compiled), ...noteFindings(guarded, snapshot, compiled),
  ]
  const once = new Map(findings.map((finding) => [JSON.stringify([finding.code, finding.object, finding.problem]), finding]))
  return [...once.values()].sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity))
}

/** What is in order, for the last line. */
export function countGuarded({ pods }: ClusterSnapshot): { readonly pods: number, readonly namespaces: number } {
  const guarded = pods.filter((pod) => injected(pod) && !over(pod))
  return { pods: guarded.length, namespaces: new Set(guarded.map(({ metadata }) => metadata.namespace)).size }
}
