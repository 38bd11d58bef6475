/**
 * How to reach the API server and prove who we are. In a pod: the mounted service account, read here. Elsewhere: the user's kubeconfig,
 * with everything people have in it (exec plugins, OIDC, proxies' certificates), which is what @kubernetes/client-node is for; it is loaded
 * only then (docs/decisions/0008-kubernetes-client.md).
 */
import { existsSync, readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { Agent, type Dispatcher } from 'undici'

/** An authenticated way to the API server. */
export interface Connection {
  readonly server: string
  /** Where a namespace is not named otherwise. */
  readonly namespace: string
  /** The connection pool and the headers for one request. Cheap to call for each. */
  credentials(): Promise<{ readonly dispatcher: Dispatcher, readonly headers: Readonly<Record<string, string>> }>
  close(): Promise<void>
}

const MOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'
/** Kubelet renews the token at 80% of its hour; the CA may rotate, too. */
const REREAD_MS = 30_000

interface TlsOptions {
  readonly ca?: unknown
  readonly cert?: unknown
  readonly key?: unknown
  readonly servername?: unknown
  readonly rejectUnauthorized?: unknown
}

function createAgent(tls: TlsOptions): Agent {
  // Bookmarks come every minute: a watch that is silent for longer is dead. A changed configuration is written to hundreds of namespaces at once: in turns.
  return new Agent({ connections: 64, connect: { ...tls, timeout: 5_000, keepAlive: true } as never, headersTimeout: 30_000, bodyTimeout: 150_000, keepAliveTimeout: 30_000 })
}

/** Reuses the pool as long as the TLS material stays the same. */
function agentKeeper() {
  let agent: Agent | undefined
  let made = ''
  return {
    for(tls: TlsOptions): Agent {
      const print = JSON.stringify([tls.ca, tls.cert, tls.key, tls.servername, tls.rejectUnauthorized].map(String))
      if (agent === undefined || print !== made) {
        // The old pool's requests end by themselves.
        void agent?.close().catch(() => {})
        agent = createAgent(tls)
        made = print
      }
      return agent
    },
    // destroy, not close: watches never end by themselves.
    close: async () => { await agent?.destroy() },
  }
}

/**
 * Connects as the pod's service account.
 * @param mount where the token is mounted
 * @throws Error when this is not a pod with a service account
 */
export function connectInCluster(mount = MOUNT, env: NodeJS.ProcessEnv = process.env): Connection {
  const host = env['KUBERNETES_SERVICE_HOST']
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443'
  if (host === undefined || !existsSync(`${mount}/token`)) {
    throw new Error('not in a pod with a service account: KUBERNETES_SERVICE_HOST and a token are missing; set KUBECONFIG or --kubeconfig to run outside the cluster')
  }
  const agents = agentKeeper()
  let read = -Infinity
  let token = ''
  let ca = ''
  return {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    namespace: readFileSync(`${mount}/namespace`, 'utf8').trim(),
    credentials() {
      if (performance.now() - read > REREAD_MS) {
        token = readFileSync(`${mount}/token`, 'utf8').trim()
        ca = readFileSync(`${mount}/ca.crt`, 'utf8')
        read = performance.now()
      }
      return Promise.resolve({ dispatcher: agents.for({ ca }), headers: { authorization: `Bearer ${token}` } })
    },
    close: () => agents.close(),
  }
}

/**
 * Connects as the kubeconfig says.
 * @param file default: $KUBECONFIG, then ~/.kube/config
 * @throws Error when there is none or it names no cluster
 */
export async function connectKubeconfig(file?: string): Promise<Connection> {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  if (file === undefined) config.loadFromDefault()
  else config.loadFromFile(file)
  const cluster = config.getCurrentCluster()
  if (!cluster) throw new Error(`${file ?? 'the kubeconfig'} names no current cluster; choose one with: kubectl config use-context NAME`)
  const agents = agentKeeper()
  let read = -Infinity
  let current: { dispatcher: Dispatcher, headers: Record<string, string> } | undefined
  return {
    server: cluster.server.replace(/\/$/, ''),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? 'default',
    async credentials() {
      if (current && performance.now() - read < REREAD_MS) return current
      const options: TlsOptions & { headers?: Record<string, string>, auth?: string } = {}
      await config.applyToHTTPSOptions(options)
      const headers = { ...options.headers, ...options.auth && { authorization: `Basic ${Buffer.from(options.auth).toString('base64')}` } }
      current = { dispatcher: agents.for(options), headers }
      read = performance.now()
      return current
    },
    close: () => agents.close(),
  }
}

/**
 * Connects: as `file` says; else, in a pod, as its service account; else as $KUBECONFIG or ~/.kube/config says.
 * @throws Error with what is missing
 */
export async function connect(file?: string): Promise<Connection> {
  if (file === undefined && process.env['KUBECONFIG'] === undefined && existsSync(`${MOUNT}/token`)) return connectInCluster()
  return connectKubeconfig(file)
}
