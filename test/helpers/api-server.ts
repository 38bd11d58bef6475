/** A real API server without nodes (`../shared/cluster/cluster up --api-only`: 4 s), and the controller as a process beside it, called by URL. */
import { spawn, execFile, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createKube, type Kube } from '../../src/kube/client.ts'
import { connectKubeconfig } from '../../src/kube/connection.ts'
import type { KubeObject } from '../../src/kube/types.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const tool = join(root, '../shared/cluster/cluster')

/** The reason to skip, or false. */
export const noApiServer: string | false = !existsSync(tool) ? 'no ../shared/cluster on this machine: nothing to start an API server with'
  : process.getuid?.() !== 0 ? '../shared/cluster needs root' : false

export interface ApiServer {
  readonly kube: Kube
  /** This machine, as the API server sees it. */
  readonly host: string
  readonly kubeconfig: string
  kubectl(args: readonly string[], input?: unknown): Promise<{ code: number, stdout: string, stderr: string }>
  /** Creates or replaces objects; throws with kubectl's words. */
  apply(...objects: readonly object[]): Promise<void>
  down(): Promise<void>
}

/** Starts a cluster of its own. @param name at most ten live side by side on one machine */
export async function startApiServer(name: string, version = process.env['CLUSTER_KUBE'] ?? '1.34'): Promise<ApiServer> {
  // What a run that was killed has left behind.
  await run(tool, ['--name', name, 'down'])
  await run(tool, ['--name', name, 'up', '--kube', version, '--api-only'])
  const { stdout } = await run('bash', ['-c', `eval "$(${tool} --name ${name} env)" && printf '%s\\n' "$KUBECONFIG" "$CLUSTER_HOST_IP" "$PATH"`])
  const [kubeconfig, host, path] = stdout.split('\n') as [string, string, string]
  const kube = createKube(await connectKubeconfig(kubeconfig))

  async function kubectl(args: readonly string[], input?: unknown) {
    const child = spawn('kubectl', args, { env: { ...process.env, KUBECONFIG: kubeconfig, PATH: path }, stdio: 'pipe' })
    child.stdin.end(input === undefined ? '' : JSON.stringify(input))
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString() })
    child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString() })
    await once(child, 'close')
    return { code: child.exitCode ?? 1, stdout: out, stderr: err }
  }

  return {
    kube, host, kubeconfig, kubectl,
    async apply(...items) {
      const { code, stderr } = await kubectl(['apply', '-f', '-'], { apiVersion: 'v1', kind: 'List', items })
      if (code !== 0) throw new Error(`kubectl apply: ${stderr}`)
    },
    async down() {
      await kube.close()
      await run(tool, ['--name', name, 'down'])
    },
  }
}

export async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

export interface ControllerProcess {
  readonly log: () => string
  readonly port: number
  readonly metricsUrl: string
  stop(): Promise<number | null>
  /** SIGKILL. */
  kill(): Promise<void>
}

/** Starts cmd/controller.ts and waits until it is ready. @param more laid over the file's defaults */
export async function startController(api: ApiServer, port: number, more: Record<string, unknown> = {}, kubeconfig = api.kubeconfig): Promise<ControllerProcess> {
  const healthPort = await freePort('127.0.0.1')
  const file = join(mkdtempSync(join(tmpdir(), 'sidegate-controller-')), 'controller.json')
  writeFileSync(file, JSON.stringify({
    namespace: 'sidegate-system',
    webhook: { bind: `${api.host}:${port}`, extraNames: [api.host] },
    health: { bind: `127.0.0.1:${healthPort}` },
    shutdown: { delay: '200ms', grace: '2s' },
    sidecar: { image: 'registry.internal/sidegate:test' },
    ...more,
  }))
  const child: ChildProcess = spawn(process.execPath, ['cmd/controller.ts', '--config', file, '--kubeconfig', kubeconfig], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk: Buffer) => { log += chunk.toString() })
  const base = `http://127.0.0.1:${healthPort}`
  for (let tries = 0; ; tries++) {
    const ready = await fetch(`${base}/readyz`).then(({ status }) => status === 200, () => false)
    if (ready) break
    if (child.exitCode !== null || tries > 900) throw new Error(`the controller did not get ready:\n${log}`)
    await sleep(100)
  }
  const stop = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }
  return {
    log: () => log, port, metricsUrl: `${base}/metrics`,
    async stop() {
      await stop('SIGTERM')
      return child.exitCode
    },
    kill: () => stop('SIGKILL'),
  }
}

/** The webhook configuration as the chart makes it, with URLs instead of a Service; one entry per port. */
export function webhookConfiguration(host: string, ...ports: readonly number[]): object {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingWebhookConfiguration', metadata: { name: 'sidegate' },
    webhooks: ports.map((port, index) => ({
      name: `pods-${index}.sidegate.dev`, admissionReviewVersions: ['v1'], sideEffects: 'NoneOnDryRun', failurePolicy: 'Fail', timeoutSeconds: 5,
      reinvocationPolicy: 'IfNeeded',
      clientConfig: { url: `https://${host}:${port}/mutate` },
      rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
      matchConditions: [{
        name: 'asks',
        expression: 'has(object.metadata.annotations) && \'sidegate.dev/inject\' in object.metadata.annotations && object.metadata.annotations[\'sidegate.dev/inject\'] != \'false\'',
      }],
    })),
  }
}

export const issuers = JSON.stringify([{ name: 'corp', issuer: 'https://auth.internal', audiences: ['internal-services'], keys: { discovery: true } }])
export const profiles = JSON.stringify({
  default: { rules: [{ match: { path: '/healthz' }, allow: 'anonymous' }, { match: { path: '/**' }, require: {} }] },
  strict: { rules: [{ match: { path: '/**' }, require: { scopes: ['orders.write'] } }] },
})

/** The source ConfigMap. */
export function sourceConfig(data: Record<string, string> = { issuers, profiles }): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'sidegate-profiles', namespace: 'sidegate-system' }, data }
}

export const namespace = (name: string): object => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })

/** A pod that asks for the sidecar. */
export function pod(space: string, name: string, annotations: Record<string, string> = {}): KubeObject & { spec: object } {
  return {
    apiVersion: 'v1', kind: 'Pod',
    metadata: { name, namespace: space, annotations: { 'sidegate.dev/inject': 'true', ...annotations } },
    spec: { containers: [{ name: 'app', image: 'app:1', ports: [{ name: 'http', containerPort: 8080 }] }] },
  }
}

/** Waits until a condition holds; the last failure is thrown after half a minute: the machine may be busy. */
export async function eventually<T>(check: () => Promise<T> | T, timeoutMs = 30_000): Promise<T> {
  const end = Date.now() + timeoutMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > end) throw error
      await sleep(50)
    }
  }
}
