/**
 * Metrics: counters, gauges and histograms in the Prometheus text format (version 0.0.4). A series is looked up once and kept, so
 * that a request costs one addition per counter (decision 0013 says why this is not a library).
 */
import { METRICS, type MetricName } from './metric-table.ts'

/** One line of a counter or gauge. Add to `value`. */
export interface Series {
  value: number
}

/** One histogram series. Counts per bucket are made cumulative when they are rendered. */
export interface Histogram {
  observe(value: number): void
}

interface HistogramState extends Histogram {
  readonly counts: number[]
  sum: number
}

export interface Metrics {
  /**
   * The series of a counter or gauge with these label values, in the order of the table. Resolve it once, keep it.
   * Past {@link MAX_SERIES} series of one metric, all further label values share the series `other`.
   */
  series(name: MetricName, ...labels: string[]): Series
  histogram(name: MetricName, ...labels: string[]): Histogram
  /** Removes every series of a metric: for gauges that are written anew at each scrape. */
  clear(name: MetricName): void
  /** Calls `fill` before each rendering, to set gauges. @returns a function that stops it */
  collect(fill: () => void): () => void
  /** The whole page, `text/plain; version=0.0.4`. */
  render(): string
}

/** Most series one metric may have: a configuration with thousands of rules must not eat the sidecar's memory, nor Prometheus's. */
export const MAX_SERIES = 2_000

/** Makes an empty set of metrics. Counters without labels are there from the start, as 0. */
export function createMetrics(): Metrics {
  const plain = new Map<MetricName, Map<string, Series>>()
  const histograms = new Map<MetricName, Map<string, HistogramState>>()
  const collectors = new Set<() => void>()

  function series(name: MetricName, ...labels: string[]): Series {
    return resolve(plain, name, labels, () => ({ value: 0 }))
  }

  for (const name of Object.keys(METRICS) as MetricName[]) {
    if (METRICS[name].type === 'counter' && METRICS[name].labels.length === 0) series(name)
  }

  return {
    series,
    histogram: (name, ...labels) => resolve(histograms, name, labels, () => createHistogram(METRICS[name].buckets ?? [])),
    clear: (name) => void plain.get(name)?.clear(),
    collect(fill) {
      collectors.add(fill)
      return () => void collectors.delete(fill)
    },
    render() {
      for (const fill of collectors) fill()
      let page = ''
      for (const [name, { type, help }] of Object.entries(METRICS) as [MetricName, (typeof METRICS)[MetricName]][]) {
        const lines = type === 'histogram' ? renderHistograms(name, histograms.get(name)) : renderPlain(name, plain.get(name))
        if (lines !== '') page += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines}`
      }
      return page
    },
  }
}

/** Finds or makes one series of a family; falls back to `other` past the bound. */
function resolve<S>(families: Map<MetricName, Map<string, S>>, name: MetricName, labels: string[], make: () => S): S {
  const names = METRICS[name].labels
  if (labels.length !== names.length) throw new Error(`metric ${name} has labels ${names.join(', ')}; got ${labels.length} values`)
  let family = families.get(name)
  if (family === undefined) families.set(name, family = new Map())
  let key = labelText(names, labels)
  let found = family.get(key)
  if (found !== undefined) return found
  if (family.size >= MAX_SERIES) key = labelText(names, names.map(() => 'other'))
  found = family.get(key) ?? make()
  family.set(key, found)
  return found
}

function createHistogram(bounds: readonly number[]): HistogramState {
  const counts: number[] = Array.from({ length: bounds.length + 1 }, () => 0)
  const state: HistogramState = {
    counts,
    sum: 0,
    observe(value) {
      let i = 0
      while (i < bounds.length && value > bounds[i]!) i++
      counts[i]!++
      state.sum += value
    },
  }
  return state
}

function labelText(names: readonly string[], values: readonly string[]): string {
  return names.map((name, i) => `${name}="${escape(values[i]!)}"`).join(',')
}

// Exposition format: backslash, quote and line feed are escaped. Control characters have no escape, so they go.
function escape(value: string): string {
  return value.replace(/[\\"]/g, String.raw`\$&`).replace(/\n/g, String.raw`\n`).replace(/[^\x20-\x7e\u00a0-\uffff]/g, '?').slice(0, 200)
}

function renderPlain(name: string, family: Map<string, Series> | undefined): string {
  let lines = ''
  for (const [labels, { value }] of family ?? []) lines += labels === '' ? `${name} ${value}\n` : `${name}{${labels}} ${value}\n`
  return lines
}

function renderHistograms(name: MetricName, family: Map<string, HistogramState> | undefined): string {
  let lines = ''
  const bounds = METRICS[name].buckets ?? []
  for (const [labels, { counts, sum }] of family ?? []) {
    const own = labels === '' ? '' : `{${labels}}`
    const prefix = labels === '' ? '' : `${labels},`
    let total = 0
    counts.forEach((count, i) => {
      total += count
      lines += `${name}_bucket{${prefix}le="${bounds[i] ?? '+Inf'}"} ${total}\n`
    })
    lines += `${name}_sum${own} ${sum}\n${name}_count${own} ${total}\n`
  }
  return lines
}
