/** Metrics about the process itself, read when somebody scrapes. */
import { readdirSync } from 'node:fs'
import { VERSION } from '../lib/version.ts'
import type { Metrics } from './metrics.ts'

/**
 * Adds the process_ and nodejs_ metrics, and which versions run.
 * @returns a function that removes them
 */
export function collectProcess(metrics: Metrics): () => void {
  metrics.series('sidegate_build_info', VERSION, process.version).value = 1
  metrics.series('process_start_time_seconds').value = Math.round(Date.now() / 1000 - process.uptime())
  // Since the start of the process at first. `performance` is not touched before somebody scrapes: that loads all of node:perf_hooks.
  let last: ReturnType<typeof performance.eventLoopUtilization> | undefined
  return metrics.collect(() => {
    const { user, system } = process.cpuUsage()
    const { rss, heapUsed } = process.memoryUsage()
    const current = performance.eventLoopUtilization()
    metrics.series('process_cpu_seconds_total').value = (user + system) / 1e6
    metrics.series('process_resident_memory_bytes').value = rss
    metrics.series('nodejs_heap_size_used_bytes').value = heapUsed
    metrics.series('nodejs_eventloop_utilization').value = (last === undefined ? current : performance.eventLoopUtilization(current, last)).utilization
    last = current
    const fds = openFds()
    if (fds !== undefined) metrics.series('process_open_fds').value = fds
  })
}

function openFds(): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return undefined // no /proc, or not allowed to read it
  }
}
