/** docs/benchmarks.md, and the summary that ends the bench. */
import type { Sample } from './load.ts'
import type { Footprint, Memory } from './memory.ts'
import { machine, ratio, round, table } from './report.ts'

const OURS = 'sidegate'
const REFERENCES = ['envoy jwt_authn', 'envoy, jwt cache', 'haproxy jwt_verify', 'nginx lua, cache', 'nginx plain', 'sidegate bare']

const METHOD = `The figure is CPU time a request: user and system time of the proxy with all its children and threads (\`/proc/PID/stat\`) divided by the requests answered. It stays true
when the load generator is slow or the machine is shared; requests a second do not. Every proxy has one worker and runs alone on CPU 0; load (\`wrk -t1 -c32\`, keep-alive, the same prepared bytes for all) and the app
(nginx) are on CPU 1. All proxies are up at the same time; each row goes round all of them, several times, after warming each up with the same load. The tables have the least of the rounds, the ratios the median of the
rounds with their spread: how many times our CPU time the other needs, so more than 1 is in our favour.

What is not comparable: HAProxy checks the signature and what its configuration spells out, and can't take an array out of a token; nginx and plain proxies check nothing; Envoy as documented verifies every token anew, which
is what most of its users run. \`sidegate\` has 41 rules, three identity headers, scopes and roles, metrics, and logs one in a thousand requests; \`sidegate bare\` has one issuer and nothing else.
Microseconds are of this machine in this hour; only ratios carry over.`

export function markdownPage(results: ReadonlyMap<string, ReadonlyMap<string, readonly Sample[]>>, footprints: ReadonlyMap<string, Footprint>, checks: ReadonlyMap<string, Record<string, string>>): { summary: string, markdown: string } {
  const names = [...new Set([...results.values()].flatMap((samples) => [...samples.keys()]))]
  const best = (samples: readonly Sample[] | undefined): Sample | undefined => samples?.reduce((a, b) => a.cpu <= b.cpu ? a : b)
  const cpu = [['CPU us a request', ...names], ...[...results].map(([row, samples]) => [row, ...names.map((name) => round(best(samples.get(name))?.cpu ?? NaN, 1))])]
  const latency = [['p50 / p99 ms', ...names], ...[...results].map(([row, samples]) => [row, ...names.map((name) => { const found = best(samples.get(name)); return found ? `${round(found.p50, 2)} / ${round(found.p99, 2)}` : '-' })])]
  const references = REFERENCES.filter((name) => names.includes(name))
  const ratios = [['times our CPU', ...references], ...[...results].map(([row, samples]) => [row, ...references.map((name) => ratio((samples.get(name) ?? []).map((each) => each.cpu), (samples.get(OURS) ?? []).map((each) => each.cpu)))])]
  const mib = ({ anon, rss }: Memory): string => `${round(anon, 1)} / ${round(rss)}`
  const memory = [['anonymous / resident MiB', 'idle', '1,000 idle connections', 'after 1,000 tokens', 'after bodies', 'start to first 200, ms'],
    ...[...footprints].map(([name, found]) => [name, mib(found.idle), mib(found.connections), mib(found.tokens), mib(found.bodies), round(found.start)])]
  const checked = [...checks.keys()]
  const verdicts = checked.length === 0 ? [] : [['', ...checked], ...Object.keys(checks.get(checked[0]!)!).map((name) => [name, ...checked.map((peer) => checks.get(peer)![name]!)])]
  const section = (title: string, rows: readonly (readonly string[])[]): string => rows.length < 2 ? '' : `## ${title}\n\n${table(rows, true)}\n\n`
  const markdown = `# Benchmarks

Written by \`npm run bench -- --peers\` on ${new Date().toISOString().slice(0, 10)}: ${machine()}. Run it on your own machine; the numbers below are one machine's.

${section('Against the others', ratios)}${section('CPU time', cpu)}${section('Latency', latency)}${section('Memory and start', memory)}${section('Who refuses what', verdicts)}A cell that starts with \`!\` is an answer that should have been another: a token that had to be refused, or a forged header or the token itself that reached the app.

## Method

${METHOD}
`
  const summary = [cpu, ratios, memory].filter((rows) => rows.length > 1).map((rows) => table(rows, false)).join('\n\n')
  return { summary, markdown }
}
