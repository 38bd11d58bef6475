/**
 * What loading a module costs a process that does nothing else: anonymous and resident memory, and time. Decisions 0006 and 0013 quote it.
 *   node test/bench/imports.ts [MODULE...]      default: nothing, what the sidecar uses for HTTPS, and what it could use instead
 * A name that begins with `builtin:` is loaded past its ESM facade (src/lib/builtin.ts). A library that is not a dependency must be installed first (npm install --no-save NAME).
 */
import { median } from './stats.ts'
import { output } from './output.ts'
import { round, table } from './report.ts'
import { SIDECAR_FLAGS } from './peers/peers.ts'

/** Without the permissions: a module may be anywhere. */
const FLAGS = SIDECAR_FLAGS.filter((flag) => !/^--(?:permission|allow-)/.test(flag))

const REPEATS = 5
const modules = process.argv.length > 2 ? process.argv.slice(2) : ['', 'builtin:node:https', 'node:https', 'undici']

/** Runs in the process that is measured; says what it found. */
const PROBE = `
  const name = process.argv[1] ?? ''
  const begin = performance.now()
  if (name.startsWith('builtin:')) process.getBuiltinModule(name.slice(8))
  else if (name !== '') await import(name)
  const took = performance.now() - begin
  await new Promise((resolve) => setTimeout(resolve, 500))
  const rollup = process.getBuiltinModule('node:fs').readFileSync('/proc/self/smaps_rollup', 'latin1')
  const mib = (field) => Number(new RegExp('^' + field + ':\\\\s+(\\\\d+) kB', 'm').exec(rollup)[1]) / 1024
  console.log(JSON.stringify({ took, anon: mib('Anonymous'), rss: mib('Rss') }))
`

interface Found { readonly took: number, readonly anon: number, readonly rss: number }
const found = new Map<string, Found[]>(modules.map((name) => [name, []]))
for (let at = 0; at < REPEATS; at++) {
  for (const [name, all] of found) all.push(JSON.parse(await output(process.execPath, [...FLAGS, '--input-type=module', '-e', PROBE, name])) as Found)
}
const rows = [...found].map(([name, all]) => [name || '(nothing)', ...(['anon', 'rss'] as const).map((field) => round(median(all.map((each) => each[field])), 1)), round(median(all.map(({ took }) => took)), 1)])
console.log(`node ${process.version} ${FLAGS.join(' ')}, median of ${REPEATS}`)
console.log(table([['', 'anonymous MiB', 'resident MiB', 'ms to load'], ...rows], false))
