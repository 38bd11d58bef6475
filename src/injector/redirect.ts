/** Interception `redirect`: rules in the pod's network namespace, set by an init container before anything else starts. */
import { withinPod } from './container.ts'
import { HEALTH_PORT, REDIRECT_CONTAINER } from './names.ts'
import type { Container, PodSpec } from './pod.ts'
import type { ProtectedPort } from './ports.ts'
import type { InjectorSettings } from './settings.ts'

/**
 * The nftables script: the app's ports become the sidecar's, and nothing else comes in. One transaction; running it again (a restarted
 * init container) replaces its own table. Table family `inet` covers IPv4 and IPv6 (NAT there: Linux 5.2). REDIRECT rather than DNAT:
 * DNAT to ::1 does not work. Loopback is never touched: that is the sidecar's way to the app.
 */
export function redirectScript(ports: readonly ProtectedPort[]): string {
  const sidecar = [...new Set([...ports.map(({ listen }) => listen), HEALTH_PORT])].join(', ')
  return [
    'table inet sidegate',
    'delete table inet sidegate',
    'table inet sidegate {',
    '  chain prerouting {',
    '    type nat hook prerouting priority -100; policy accept;',
    ...ports.map(({ listen, app }) => `    iifname != "lo" tcp dport ${app} redirect to :${listen}`),
    '  }',
    '  chain input {',
    '    type filter hook input priority 0; policy drop;',
    '    iifname "lo" accept',
    '    ct state established,related accept',
    `    tcp dport { ${sidecar} } accept`,
    // Without ICMP there is no path MTU, without neighbour discovery no IPv6.
    '    meta l4proto { icmp, ipv6-icmp } accept',
    '  }',
    '}',
    '',
  ].join('\n')
}

/** The init container: root with NET_ADMIN and nothing else. */
export function redirectContainer(ports: readonly ProtectedPort[], spec: PodSpec, settings: InjectorSettings): Container {
  return {
    name: REDIRECT_CONTAINER,
    image: settings.redirect.image ?? settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    command: [...settings.redirect.command],
    args: [redirectScript(ports)],
    resources: withinPod({ limits: { cpu: '100m', memory: '64Mi' }, requests: { cpu: '10m', memory: '16Mi' } }, spec),
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] },
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsGroup: 0,
      runAsNonRoot: false,
      runAsUser: 0,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'FallbackToLogsOnError',
  }
}
