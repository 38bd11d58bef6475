/** A client inside the cluster: a pod whose requests the tests direct, over one `kubectl exec`. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Cluster } from './cluster.ts'

export interface Answer {
  /** 0: no HTTP answer; see `error`. */
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** ECONNREFUSED, "timed out", ... */
  readonly error?: string
  readonly ms: number
}

export interface Call {
  readonly method?: string
  readonly token?: string
  /** Flat list of names and values. */
  readonly headers?: readonly string[]
  /** Milliseconds. */
  readonly timeout?: number
}

export interface Agent {
  call(url: string, call?: Call): Promise<Answer>
  close(): void
}

/** Starts the session in the pod `client` of the namespace. */
export async function startAgent(cluster: Cluster, namespace: string): Promise<Agent> {
  const child = spawn('kubectl', ['-n', namespace, 'exec', '-i', 'client', '--', 'node', '/fixtures/agent.mjs'], { env: cluster.env, stdio: ['pipe', 'pipe', 'inherit'] })
  const waiting = new Map<number, (answer: Answer) => void>()
  let ready = () => {}
  const started = new Promise<void>((resolve, reject) => {
    ready = resolve
    child.on('exit', (code) => {
      reject(new Error(`The agent's session ended with ${code}.`))
      for (const settle of waiting.values()) settle({ status: 0, headers: {}, body: '', error: 'agent ended', ms: 0 })
    })
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = JSON.parse(line) as Answer & { readonly ready?: boolean, readonly id: number }
    if (message.ready) return ready()
    waiting.get(message.id)?.(message)
    waiting.delete(message.id)
  })
  await started
  let last = 0
  return {
    call: async (url, { token, headers = [], ...rest } = {}) => await new Promise((resolve) => {
      const id = last += 1
      waiting.set(id, resolve)
      const all = [...headers, ...(token === undefined ? [] : ['Authorization', `Bearer ${token}`])]
      child.stdin.write(`${JSON.stringify({ id, url, headers: all, ...rest })}\n`)
    }),
    close: () => { child.kill('SIGKILL') },
  }
}
