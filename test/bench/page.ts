/** docs/benchmarks.md, and the tables that end the bench on the terminal: all of it made from the results of one run. */
import { costs, ratiosOf, sentence, type CurveResult } from './curves/curve.ts'
import { DIRECT, RATE } from './latency.ts'
import { limitsSection } from './limits/limits.ts'
import { KINDS } from './memory.ts'
import { AFTER, METHOD } from './method.ts'
import { reading } from './reading.ts'
import { percent, round, table, withSpread } from './report.ts'
import type { Results } from './results.ts'
import type { Collected, Window } from './rounds.ts'
import { median, ratios } from './stats.ts'

const OURS = 'sidegate'
const ENVOY = 'envoy jwt_authn'
const PACED = `at ${RATE.toLocaleString('en')} requests a second`

type Rows = readonly (readonly string[])[]
type Round = Readonly<Record<string, Window>>

const column = (rounds: readonly Round[], name: string): number[] => rounds.map((each) => each[name]?.cpu ?? NaN)

/** The rows of the CPU tables: those at full load, then the one at a fixed rate. */
function cpuRows({ rows, latency }: Results): Record<string, Collected<Round>> {
  return { ...rows, ...latency && { [PACED]: latency } }
}

const peersOf = (rows: Record<string, Collected<Round>>): string[] => [...new Set(Object.values(rows).flatMap(({ kept }) => kept.flatMap((each) => Object.keys(each))))].filter((name) => name !== DIRECT)

/** By peer: what it costs over what we cost, round by round. */
function overOurs(rounds: readonly Round[], names: readonly string[]): Record<string, number[]> {
  return Object.fromEntries(names.filter((name) => name !== OURS).map((name) => [name, ratios(column(rounds, name), column(rounds, OURS))]))
}

/** Peers as lines, rows as columns: there are more peers than rows. */
function turned(head: string, names: readonly string[], rows: Record<string, Collected<Round>>, cell: (rounds: readonly Round[], name: string) => string): Rows {
  return [[head, ...Object.keys(rows)], ...names.map((name) => [name, ...Object.values(rows).map(({ kept }) => cell(kept, name))])]
}

function tables(results: Results): Record<'ratio' | 'cpu' | 'latency' | 'memory' | 'start' | 'verdicts', Rows> {
  const rows = cpuRows(results)
  const names = peersOf(rows)
  const { memory, starts, checks } = results
  const kinds = Object.keys(KINDS)
  const checked = Object.keys(checks)
  const both = (found: readonly { anon: number, rss: number }[] | undefined): string => found === undefined ? '-' : `${round(median(found.map(({ anon }) => anon)), 1)} / ${round(median(found.map(({ rss }) => rss)))}`
  return {
    ratio: turned('times our CPU', names.filter((name) => name !== OURS), rows, (rounds, name) => withSpread(overOurs(rounds, [name])[name]!)),
    cpu: turned('CPU us a request', names, rows, (rounds, name) => withSpread(column(rounds, name), 0)),
    latency: latencyTable(results),
    memory: [['anonymous / resident MiB', ...kinds], ...Object.entries(memory).map(([name, found]) => [name, ...kinds.map((kind) => both(found[kind]))])],
    start: [['ms', 'best', 'median', 'slowest', 'median over Envoy\'s'], ...Object.entries(starts).map(([name, all]) => [name, round(Math.min(...all)), round(median(all)), round(Math.max(...all)), round(median(all) / median(starts[ENVOY] ?? []), 2)])],
    verdicts: checked.length === 0 ? [] : [['', ...checked], ...Object.keys(checks[checked[0]!]!).map((name) => [name, ...checked.map((peer) => checks[peer]![name]!)])],
  }
}

function latencyTable({ latency }: Results): Rows {
  if (latency === undefined) return []
  const { kept } = latency
  const names = peersOf({ all: { kept, thrown: 0, disturbed: 0 } })
  const of = (name: string, figure: 'p50' | 'p99'): number[] => kept.map((each) => each[name]?.[figure] ?? NaN)
  const added = (name: string, figure: 'p50' | 'p99'): number[] => kept.map((each) => (each[name]?.[figure] ?? NaN) - each[DIRECT]![figure])
  return [['ms', 'p50', 'p99', 'added p50', 'added p99'], ...[DIRECT, ...names].map((name) => [
    name, round(median(of(name, 'p50')), 2), round(median(of(name, 'p99')), 2), ...name === DIRECT ? ['', ''] : [withSpread(added(name, 'p50')), withSpread(added(name, 'p99'))],
  ])]
}

function curveTable(result: CurveResult): Rows {
  const { first, points } = result
  const hasMemory = Number.isFinite(first.anon)
  return [
    ['', String(first.x), ...points.map(({ x }) => x.toLocaleString('en'))],
    ['times the smallest', '1', ...points.map((point) => withSpread(ratiosOf(point)))],
    ['CPU us a request', ...costs(result).map((cost) => round(cost, 1))],
    ...hasMemory ? [['anonymous MiB', ...[first, ...points].map(({ anon }) => round(anon, 1))]] : [],
  ]
}

/** Errors in windows that count: in a sound run none. */
function faults(results: Results): string[] {
  const sum = (rounds: readonly Readonly<Record<string, { readonly errors: number }>>[], name: string): number => rounds.reduce((total, each) => total + (each[name]?.errors ?? 0), 0)
  const rows = { ...results.rows, ...results.latency && { [PACED]: results.latency } }
  const inRows = Object.entries(rows).flatMap(([row, { kept }]) => peersOf({ row: { kept, thrown: 0, disturbed: 0 } }).map((name) => ({ text: `${name}, ${row}`, errors: sum(kept, name) })))
  const inCurves = results.curves.map(({ name, errors }) => ({ text: name, errors }))
  return [...inRows, ...inCurves].filter(({ errors }) => errors > 0).map(({ text, errors }) => `${text}: ${errors}`)
}

/** How quiet the machine was, and what was done about it. */
function quiet(results: Results): string {
  const collected = [...Object.values(cpuRows(results)), ...results.curves.flatMap(({ points }) => points.map(({ pairs }) => pairs as Collected<Round>))]
  const foreign = collected.flatMap(({ kept }) => kept.flatMap((each) => Object.values(each).map((window) => window.foreign)))
  const total = (field: 'thrown' | 'disturbed'): number => collected.reduce((sum, each) => sum + each[field], 0)
  const count = collected.reduce((sum, { kept }) => sum + kept.length, 0)
  return `In the ${count} rounds that count, others (strangers, and what the hypervisor took) used ${percent(median(foreign))} of the CPU in the median window and ${percent(Math.max(0, ...foreign))} in the worst. ${total('thrown')} rounds were disturbed, thrown away and measured again; ${total('disturbed')} that count were disturbed, since their repeats were as well.`
}

const section = (title: string, before: string, rows: Rows, after = ''): string => rows.length < 2 ? '' : `## ${title}\n\n${before ? `${before}\n\n` : ''}${table(rows, true)}\n\n${after ? `${after}\n\n` : ''}`

/** The whole page. */
export function markdownPage(results: Results): string {
  const { ratio, cpu, latency, memory, start, verdicts } = tables(results)
  const rows = cpuRows(results)
  const names = peersOf(rows)
  const readings = Object.entries(rows).map(([name, { kept }]) => `- **${name}**: ${reading(overOurs(kept, names))}`).join('\n')
  const curves = results.curves.map((result) => `### ${result.name[0]!.toUpperCase()}${result.name.slice(1)}\n\n${table(curveTable(result), true)}\n\n${sentence(result)}\n`).join('\n')
  const wrong = faults(results)
  return `# Benchmarks

Written by \`${results.command}\` on ${results.date.slice(0, 10)}: ${results.machine}; ${results.rounds} rounds of ${results.seconds} s. Run it on your own machine: microseconds are of this one in that hour, only ratios carry over.

${quiet(results)}${wrong.length > 0 ? ` Errors: ${wrong.join('; ')}.` : ' No request failed in them.'}${results.skipped.length > 0 ? ` Not measured: ${results.skipped.join('; ')}.` : ''}

${section('Against the others', 'How many times our CPU time a request the other needs: the median of the rounds, and from the least to the most. More than 1 is in our favour.', ratio, `Read aloud:\n\n${readings}`)}${
  section('CPU time', '', cpu)}${section(`Latency ${PACED}`, AFTER.latencyBefore, latency, AFTER.latency)}${section('Memory', AFTER.memoryBefore, memory)}${section('Start', AFTER.startBefore, start)}${
  curves === '' ? '' : `## How the cost grows\n\n${AFTER.curves}\n\n${curves}\n`}${limitsSection(results.limits)}${section('Who refuses what', '', verdicts, AFTER.verdicts)}## Method

${METHOD}
`
}

/** What the terminal shows at the end. */
export function summary(results: Results): string {
  const { ratio, cpu, latency, memory, start, verdicts } = tables(results)
  const curves = results.curves.map((result) => `${result.name}\n${table(curveTable(result), false)}\n${sentence(result)}`)
  const wrong = faults(results)
  return [...[verdicts, cpu, ratio, latency, memory, start].filter((rows) => rows.length > 1 && rows[0]!.length > 1).map((rows) => table(rows, false)), ...curves, quiet(results), ...wrong.length > 0 ? [`ERRORS: ${wrong.join('; ')}`] : []].join('\n\n')
}
