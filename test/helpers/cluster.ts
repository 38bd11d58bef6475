/**
 * A real Kubernetes for the end-to-end tests: the one that KUBECONFIG names, else one of ../shared/cluster. Each test file runs in its own
 * process; they share a cluster by its name, so whatever is there already (nodes, images, release) is taken over.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'

export const root = fileURLToPath(new URL('../..', import.meta.url))
const tool = `${root}../shared/cluster/cluster`

export interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string
  readonly env?: NodeJS.ProcessEnv
  /** Milliseconds. */
  readonly timeout?: number
}

/** Runs a program to its end. Never throws for its exit code. */
export async function run(command: string, args: readonly string[], { input, env, timeout = 180_000 }: RunOptions = {}): Promise<Result> {
  const child = spawn(command, args, { cwd: root, env: env ?? process.env, timeout })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return await new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: 127, stdout, stderr: error.message }))
    child.on('close', (code, signal) => resolve({ code: code ?? 128, stdout, stderr: signal ? `${stderr}\nended by ${signal}` : stderr }))
  })
}

/** Like {@link run}, for what must succeed. @returns its stdout @throws an Error with the command and its stderr */
export async function must(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, options)
  if (code !== 0) throw new Error(`${command} ${args.join(' ').slice(0, 300)} ended with ${code}:\n${stderr.slice(-3000)}${stdout.slice(-1000)}`)
  return stdout
}

/** The name of the ../shared/cluster that KUBECONFIG points into, if it does. */
function localName(): string | undefined {
  return existsSync(tool) ? /\/clusters\/([^/]+)\/kubeconfig$/.exec(process.env['KUBECONFIG'] ?? '')?.[1] : undefined
}

/** Why there is no cluster to be had here, as one line; undefined when there is one. */
export function whyNoCluster(): string | undefined {
  if (process.env['KUBECONFIG'] && !localName()) {
    if (process.env['SIDEGATE_TEST_IMAGE']) return undefined
    return 'KUBECONFIG is set; set SIDEGATE_TEST_IMAGE, too: an image of this tree (docker build .) that the cluster can pull'
  }
  if (!existsSync(tool)) return 'needs a Kubernetes: set KUBECONFIG and SIDEGATE_TEST_IMAGE, or have ../shared/cluster'
  if (process.getuid?.() !== 0) return 'needs root for ../shared/cluster, or KUBECONFIG and SIDEGATE_TEST_IMAGE'
  return undefined
}

export interface Cluster {
  readonly name: string
  /** Repository and tag of the image under test. */
  readonly image: { readonly repository: string, readonly tag: string }
  readonly env: NodeJS.ProcessEnv
  /** Whether it is ours to stop things on the node. */
  readonly local: boolean
  kubectl(args: readonly string[], input?: string): Promise<string>
  tryKubectl(args: readonly string[], input?: string): Promise<Result>
  get<T = Kubernetes>(...args: string[]): Promise<T>
  apply(...objects: object[]): Promise<string>
  helm(args: readonly string[], options?: { readonly version?: 3 | 4, readonly input?: string }): Promise<Result>
}

/** Loosely typed: tests look at a few fields. */
// oxlint-disable-next-line typescript/no-explicit-any -- objects of the API server, asserted field by field
export type Kubernetes = any

/**
 * The cluster of that name, started if need be (about 10 s).
 * @param wanted name of a local cluster; KUBECONFIG wins where `kube` is not given
 * @param kube its version, such as 1.30; default 1.34
 */
export async function openCluster(wanted: string, kube?: string): Promise<Cluster> {
  const name = (kube === undefined ? localName() : undefined) ?? wanted
  if (process.env['KUBECONFIG'] && !localName()) {
    const image = process.env['SIDEGATE_TEST_IMAGE'] ?? ''
    const colon = image.lastIndexOf(':')
    return connect(name, process.env, { repository: image.slice(0, colon), tag: image.slice(colon + 1) }, false)
  }
  await must(tool, ['--name', name, 'up', '--kube', kube ?? '1.34'], { timeout: 300_000 })
  await must(tool, ['--name', name, 'base'], { timeout: 300_000 })
  return connect(name, await toolEnv(name), { repository: 'sidegate', tag: 'dev' }, true)
}

async function toolEnv(name: string): Promise<NodeJS.ProcessEnv> {
  const script = `eval "$(${JSON.stringify(tool)} --name ${name} env)"; env -0`
  const entries = (await must('bash', ['-c', script])).split('\0').filter(Boolean).map((line) => line.split(/=(.*)/s).slice(0, 2))
  return Object.fromEntries(entries) as NodeJS.ProcessEnv
}

function connect(name: string, env: NodeJS.ProcessEnv, image: Cluster['image'], local: boolean): Cluster {
  const kubectl = async (args: readonly string[], input?: string) => await must('kubectl', args, { env, ...(input !== undefined && { input }) })
  return {
    name, env, image, local, kubectl,
    tryKubectl: async (args, input) => await run('kubectl', args, { env, ...(input !== undefined && { input }) }),
    get: async (...args) => JSON.parse(await kubectl(['get', ...args, '-o', 'json'])),
    apply: async (...objects) => await kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })),
    helm: async (args, { version = 4, input } = {}) =>
      await run(version === 3 && local ? 'helm3' : 'helm', args, { env, timeout: 300_000, ...(input !== undefined && { input }) }),
  }
}

/**
 * Builds the image from the Dockerfile and loads it into the cluster, as `dev` and as `next`, unless it is there already from the same sources.
 * @returns whether it did
 */
export async function ensureImage(cluster: Cluster): Promise<boolean> {
  if (!cluster.local) return false
  const inputs = ['Dockerfile', 'package-lock.json', ...globSync(['{src,cmd}/**/*', 'scripts/{build,bundle,code-cache,exercise,image}.mjs', 'scripts/rootfs.sh'], { cwd: root })].sort()
  const hash = createHash('sha256')
  for (const file of inputs) if (/\.\w+$|Dockerfile/.test(file)) hash.update(file).update(readFileSync(root + file))
  const digest = hash.digest('hex')
  const marked = await cluster.tryKubectl(['-n', 'kube-system', 'get', 'configmap', 'sidegate-e2e', '-o', 'jsonpath={.data.image}'])
  if (marked.stdout === digest) return false
  for (const tag of ['dev', 'next']) await must(tool, ['--name', cluster.name, 'build-image', root, `sidegate:${tag}`], { timeout: 600_000 })
  await cluster.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'sidegate-e2e', namespace: 'kube-system' }, data: { image: digest } })
  return true
}

/** Runs a command inside the node (local clusters only). */
export async function onNode(cluster: Cluster, ...command: string[]): Promise<string> {
  return await must(tool, ['--name', cluster.name, 'exec', ...command])
}

/** Stops the local cluster of that name, if it runs: the next one is new and empty. Does nothing where KUBECONFIG chooses the cluster. */
export async function closeLocal(name: string): Promise<void> {
  if (existsSync(tool) && !process.env['KUBECONFIG']) await run(tool, ['--name', name, 'down'])
}

/** Stops a cluster that {@link openCluster} started. */
export async function closeCluster(cluster: Cluster): Promise<void> {
  if (cluster.local) await must(tool, ['--name', cluster.name, 'down'])
}

/**
 * Repeats until the check passes (does not throw) and returns what it returned.
 * @throws the check's last error when it does not within `seconds`
 */
export async function eventually<T>(check: () => Promise<T>, seconds = 30, pause = 200): Promise<T> {
  const end = Date.now() + seconds * 1000
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > end) throw error
      await sleep(pause)
    }
  }
}
