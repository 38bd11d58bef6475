/** What the kubelet and the EndpointSlice controller do with a pod, as far as injection relies on it. */
import type { Pod } from '../../src/injector/pod.ts'

/** Expands `$(NAME)` in a container's argument (third_party/forked/golang/expansion): `$$` is `$`, an unknown name stays. */
export function expandArgument(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\$|\$\(([^)]*)\)/g, (all, name: string | undefined) => (name === undefined ? '$' : variables[name] ?? all))
}

/** The `--pod` argument as the sidecar gets it. */
export function podArgumentOf(pod: Pod, ips = '10.0.0.7'): string {
  const sidecar = [...pod.spec.initContainers ?? [], ...pod.spec.containers].find(({ name }) => name === 'sidegate')
  if (!sidecar?.args) throw new Error('the pod has no sidecar')
  return expandArgument(sidecar.args[sidecar.args.indexOf('--pod') + 1]!, { SIDEGATE_POD_IPS: ips })
}

/** The number to which a Service's named targetPort leads: regular containers first, then native sidecars. */
export function resolveTargetPort(pod: Pod, name: string): number | undefined {
  const natives = (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  return [...pod.spec.containers, ...natives].flatMap(({ ports }) => ports ?? [])
    .find((port) => port.name === name && (port.protocol ?? 'TCP') === 'TCP')?.containerPort
}
