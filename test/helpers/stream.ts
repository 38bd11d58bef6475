/** A stream of annotated pods being created, to see that none is lost or left unprotected while something else happens. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fixtures, namespace, nodeApp, asks } from './release.ts'
import type { Cluster, Kubernetes } from './cluster.ts'

export interface Streamed {
  readonly created: number
  /** What the API server said to those that it refused. */
  readonly refused: readonly string[]
  /** Names of pods that exist without the sidecar or its label. */
  readonly unprotected: readonly string[]
  /** Images of the sidecars. */
  readonly images: readonly string[]
  /** Slowest creation, milliseconds. */
  readonly slowest: number
}

/**
 * Creates pods until `end` is called. They are never scheduled: admission is what counts.
 * @param pause milliseconds between one answer and the next creation
 */
export async function streamPods(cluster: Cluster, pause = 150): Promise<{ end(): Promise<Streamed> }> {
  const inNamespace = `e2e-stream-${Date.now()}`
  await cluster.apply(namespace(inNamespace), fixtures(inNamespace))
  const proxy = spawn('kubectl', ['proxy', '--port=0'], { env: cluster.env, stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(createInterface({ input: proxy.stdout }), 'line') as [string]
  const url = `http://127.0.0.1:${/:(\d+)$/.exec(line)![1]}/api/v1/namespaces/${inNamespace}/pods`
  const spec = { ...(nodeApp('app', inNamespace)[0] as Kubernetes).spec.template.spec, schedulerName: 'nobody' }
  const refused: string[] = []
  let created = 0
  let slowest = 0
  const stop = new AbortController()

  const create = async () => {
    const started = Date.now()
    const answer = await fetch(url, {
      method: 'POST', headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: `pod-${created + refused.length}`, annotations: asks(), labels: { app: 'stream' } }, spec }),
    })
    slowest = Math.max(slowest, Date.now() - started)
    if (answer.status === 201) created += 1
    else refused.push(((await answer.json()) as { message: string }).message)
  }
  const running = (async () => {
    while (!stop.signal.aborted) {
      await create()
      await sleep(pause)
    }
  })()

  return {
    end: async () => {
      stop.abort()
      await running
      proxy.kill()
      const { items } = await cluster.get('pods', '-n', inNamespace)
      const sidecars = (pod: Kubernetes) => [...(pod.spec.initContainers ?? []), ...pod.spec.containers].filter((container: Kubernetes) => container.name === 'sidegate')
      const unprotected = items.filter((pod: Kubernetes) => sidecars(pod).length !== 1 || pod.metadata.labels['sidegate.dev/injected'] !== 'true')
      const images = [...new Set(items.flatMap((pod: Kubernetes) => sidecars(pod).map((container: Kubernetes) => String(container.image))))] as string[]
      await cluster.kubectl(['delete', 'namespace', inNamespace, '--wait=false'])
      return { created, refused, unprotected: unprotected.map((pod: Kubernetes) => pod.metadata.name), images, slowest }
    },
  }
}
