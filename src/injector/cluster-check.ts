/** `sidegate check --cluster`: read the cluster, find the holes, say them. */
import { createKube } from '../kube/client.ts'
import { connect } from '../kube/connection.ts'
import { clusterFindings, countGuarded, type ClusterFinding, type Severity } from './cluster-findings.ts'
import { takeSnapshot } from './cluster-snapshot.ts'

export interface ClusterCheckOptions {
  readonly kubeconfig?: string | undefined
  /** Release namespace; default: where the source of configuration is. */
  readonly namespace?: string | undefined
  readonly output: 'text' | 'json'
  /** Notes fail, too. */
  readonly strict: boolean
}

const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`

/** One finding as lines. */
function lines({ severity, object, problem, fix }: ClusterFinding): string {
  return `${severity.padEnd(9)} ${object}: ${problem}\n          Fix: ${fix}`
}

/**
 * Checks the cluster that the kubeconfig (or the pod's service account) names.
 * @param print takes one line or a whole JSON document
 * @returns whether nothing has to be mended
 * @throws Error when the API server cannot be reached
 */
export async function checkCluster({ kubeconfig, namespace, output, strict }: ClusterCheckOptions, print: (text: string) => void): Promise<boolean> {
  const kube = createKube(await connect(kubeconfig))
  try {
    // Nothing can be said of a cluster that does not answer; of parts that may not be read, a lot.
    await kube.raw('/version').catch((error: Error) => { throw new Error(`the API server at ${kube.server} does not answer: ${error.message || (error as NodeJS.ErrnoException).code || error.name}`, { cause: error }) })
    const snapshot = await takeSnapshot(kube, namespace)
    const findings = await clusterFindings(snapshot)
    const count = (severity: Severity) => findings.filter((finding) => finding.severity === severity).length
    const summary = { holes: count('hole'), outages: count('outage'), unchecked: count('unchecked'), notes: count('note'), protected: countGuarded(snapshot) }
    const good = summary.holes + summary.outages + summary.unchecked + (strict ? summary.notes : 0) === 0
    if (output === 'json') print(JSON.stringify({ ok: good, summary, findings }, undefined, 2))
    else {
      for (const finding of findings) print(lines(finding))
      const { pods, namespaces } = summary.protected
      print(`${good ? 'ok' : 'not ok'}: ${plural(summary.holes, 'hole')}, ${plural(summary.outages, 'outage')}, ${summary.unchecked} unchecked, ${plural(summary.notes, 'note')}; `
        + `${plural(pods, 'pod')} with the sidecar in ${plural(namespaces, 'namespace')}`)
    }
    return good
  } finally {
    await kube.close()
  }
}
