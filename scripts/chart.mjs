// chart.mjs [--check]: makes charts/sidegate/values.schema.json and README.md from the comments of values.yaml (and the sidecar's
// configuration schema), and manifests/ from the chart where helm is installed. With --check it writes nothing and names what differs.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isMap, isScalar, parse, parseDocument } from 'yaml'
import { definitions } from './chart-definitions.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const chart = `${root}charts/sidegate/`

/** A comment's prose and its `@schema {...}` (JSON Schema in flow YAML). */
function readComment(text) {
  const lines = (text ?? '').split('\n').map((line) => line.replace(/^ /, ''))
  // A blank line ends a comment that belongs to something above.
  const own = lines.slice(lines.lastIndexOf('') + 1)
  const schema = own.filter((line) => line.startsWith('@schema ')).map((line) => parse(line.slice(8)))
  return { text: own.filter((line) => !line.startsWith('@schema ')).join(' ').trim(), schema: Object.assign({}, ...schema) }
}

/** The JSON type of a default value; undefined where it does not tell. */
function typeOf(value) {
  if (value === null) return undefined
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number'
  return typeof value
}

/**
 * One map of values.yaml to its schema and its rows of the table.
 * @param map the YAML map
 * @param path dotted path of the map; empty at the top
 */
function describe(map, path, rows) {
  const properties = {}
  map.items.forEach((pair, index) => {
    const name = pair.key.value
    const at = path ? `${path}.${name}` : name
    const comment = readComment(pair.key.commentBefore ?? (index === 0 ? map.commentBefore : undefined))
    const whole = Object.keys(comment.schema).length > 0
    const value = pair.value.toJSON()
    if (isMap(pair.value) && !whole) {
      if (comment.text) rows.push({ at, section: true, text: comment.text })
      properties[name] = { ...describe(pair.value, at, rows), ...(comment.text && { description: comment.text }) }
      return
    }
    if (!comment.text) throw new Error(`chart: ${at} in values.yaml has no comment; say what it is for`)
    if (!isScalar(pair.value) && !whole) throw new Error(`chart: ${at} in values.yaml needs an @schema line, its default does not tell its type`)
    const refers = comment.schema.$ref !== undefined
    const type = comment.schema.type ?? (refers || comment.schema.enum ? undefined : typeOf(value))
    properties[name] = { ...(type && { type }), ...comment.schema, description: comment.text }
    rows.push({ at, type: typeName(properties[name]), fallback: JSON.stringify(value), text: comment.text })
  })
  return { type: 'object', additionalProperties: false, properties }
}

function typeName(schema) {
  if (schema.enum) return schema.enum.filter((word) => typeof word === 'string').map((word) => `\`${word}\``).join(', ')
  if (schema.$ref) return schema.$ref.replace('#/$defs/', '')
  return [schema.type].flat().join(' or ')
}

function makeSchema(rows) {
  const { contents } = parseDocument(readFileSync(`${chart}values.yaml`, 'utf8'))
  const schema = describe(contents, '', rows)
  // Helm puts these beside a chart's own values when it is a dependency of another.
  schema.properties.global = { type: 'object', description: 'Helm\'s own; not used.' }
  return { $schema: 'https://json-schema.org/draft-07/schema#', title: 'Values of the Sidegate chart', ...schema, $defs: definitions() }
}

function makeReadme(rows) {
  const { version, appVersion, kubeVersion, description } = parse(readFileSync(`${chart}Chart.yaml`, 'utf8'))
  const cell = (text) => text.replaceAll('|', '\\|')
  const table = rows.map((row) => row.section
    ? `| **${row.at}** | | | ${cell(row.text)} |`
    : `| \`${row.at}\` | ${cell(row.type)} | \`${cell(row.fallback)}\` | ${cell(row.text)} |`)
  return [
    '# The Sidegate chart', '', description, '',
    `Chart ${version}, Sidegate ${appVersion}, Kubernetes \`${kubeVersion}\`, Helm 3 and Helm 4.`, '',
    '```sh', 'helm install sidegate charts/sidegate --namespace sidegate-system --create-namespace --values my-values.yaml',
    'helm test sidegate --namespace sidegate-system     # proves from inside that apps are reachable only through their sidecars', '```', '',
    readFileSync(`${root}scripts/chart-readme.md`, 'utf8').trim(), '',
    '## Values', '', 'Generated from the comments in [values.yaml](values.yaml); a value that is not here is refused.', '',
    '| value | type | default | what it is |', '|---|---|---|---|', ...table, '',
  ].join('\n')
}

/** The chart rendered with its defaults, with the namespace that Helm would make. */
function makeInstall(helm) {
  const header = `# Sidegate with the chart's default values, for those who do not use Helm: kubectl apply -f install.yaml
# Put your issuers and profiles into the ConfigMap sidegate-profiles. Rendered from charts/sidegate by scripts/chart.mjs.
apiVersion: v1
kind: Namespace
metadata:
  name: sidegate-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
`
  return header + render(helm, ['--no-hooks'])
}

/** The NetworkPolicy that GitOps users put into their namespaces (networkPolicy.mode require). */
function makeNetworkPolicy(helm) {
  const text = render(helm, ['--show-only', 'templates/pods-networkpolicy.yaml', '--set', 'networkPolicy.mode=require,networkPolicy.namespaces={put-yours-here}'])
  return `# The lock around injected pods, one per namespace, for clusters where the controller must not write it (networkPolicy.mode: require).\n# Replace NAMESPACE. Rendered from charts/sidegate by scripts/chart.mjs.\n${text.replace(/^---\n/, '').replaceAll('put-yours-here', 'NAMESPACE')}`
}

function render(helm, args) {
  const { stdout, stderr, status } = spawnSync(helm, ['template', 'sidegate', chart, '--namespace', 'sidegate-system', '--kube-version', '1.34.0', ...args], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`chart: helm template failed: ${stderr}`)
  // Helm 3 and 4 differ in blank lines only. The labels say who made it: not Helm.
  return stdout.replaceAll(/^\s*\n/gm, '').replaceAll('app.kubernetes.io/managed-by: Helm', 'app.kubernetes.io/managed-by: kubectl').replaceAll(/^ *helm\.sh\/chart: .*\n/gm, '')
}

/** Every generated file with its text, except those that need a helm that is not there. */
export function generated(helm = findHelm()) {
  const rows = []
  const files = { 'charts/sidegate/values.schema.json': `${JSON.stringify(makeSchema(rows), null, 2)}\n` }
  files['charts/sidegate/README.md'] = makeReadme(rows)
  if (helm) {
    files['manifests/install.yaml'] = makeInstall(helm)
    files['manifests/networkpolicy.yaml'] = makeNetworkPolicy(helm)
  }
  return files
}

function findHelm() {
  return spawnSync('helm', ['version'], { stdio: 'ignore' }).status === 0 ? 'helm' : undefined
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const check = process.argv.includes('--check')
  // The schema first: helm reads it when it renders the manifests.
  let differing = 0
  for (const [file, text] of [...Object.entries(generated(null)), ...(check ? Object.entries(generated()) : [])]) compare(file, text)
  if (!check) for (const [file, text] of Object.entries(generated())) compare(file, text)
  if (!findHelm()) console.log('chart: no helm here; manifests/ left alone')
  if (check && differing > 0) process.exit(1)

  function compare(file, text) {
    const path = root + file
    if (existsSync(path) && readFileSync(path, 'utf8') === text) return
    differing += 1
    if (!check) writeFileSync(path, text)
    console.log(check ? `chart: ${file} is not what values.yaml and the templates make; run node scripts/chart.mjs` : `chart: wrote ${file}`)
  }
}
