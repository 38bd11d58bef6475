// What is generated from values.yaml, the templates and the sources is checked in: this holds the files against their makers.
import { readFileSync, globSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { POD_ANNOTATIONS } from '../../src/injector/annotations.ts'
import { INJECTED_LABEL, ORIGINAL_ANNOTATION } from '../../src/injector/names.ts'
import { networkPolicySpec } from '../../src/injector/network-policy.ts'
import { METRICS } from '../../src/telemetry/metric-table.ts'
import { generated } from '../../scripts/chart.mjs'

const root = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

t.test('values.schema.json, the README and, where helm is, manifests/ are what the chart makes', async (t) => {
  const files = generated()
  for (const [file, text] of Object.entries(files)) t.ok(read(file) === text, `${file}; if not: node scripts/chart.mjs`)
  if (!('manifests/install.yaml' in files)) t.comment('no helm on PATH: manifests/ are compared by test/e2e/cluster/10-chart.test.ts')
})

t.test('every value has a description, and nothing unknown is accepted at any level of ours', async (t) => {
  const visit = (schema: Record<string, unknown>, path: string) => {
    if (path !== '') t.ok(schema['description'] || schema['properties'], `${path} is described`)
    if (!schema['properties']) return
    if (schema['additionalProperties'] !== undefined) t.equal(schema['additionalProperties'], false, `${path || 'top'} is closed`)
    for (const [name, child] of Object.entries(schema['properties'])) visit(child as Record<string, unknown>, path ? `${path}.${name}` : name)
  }
  visit(JSON.parse(read('charts/sidegate/values.schema.json')), '')
})

t.test('the chart knows exactly the annotations that the injector knows', async (t) => {
  const helpers = read('charts/sidegate/templates/_helpers.tpl')
  const known = JSON.parse(/define "sidegate\.knownAnnotations" -}}\s*(\[[^\]]*\])/.exec(helpers)![1]!) as string[]
  t.same(known.sort(), [...POD_ANNOTATIONS, ORIGINAL_ANNOTATION].sort())
})

t.test('manifests/networkpolicy.yaml says what the controller would write', async (t) => {
  const { spec, metadata } = parse(read('manifests/networkpolicy.yaml'))
  t.same(spec, networkPolicySpec({ from: [], healthFrom: [], egress: null }))
  t.equal(metadata.name, 'sidegate')
  t.equal(spec.podSelector.matchLabels[INJECTED_LABEL], 'true')
})

t.test('templates are deterministic and carry no certificate', async (t) => {
  for (const file of globSync('charts/sidegate/templates/**/*', { cwd: root })) {
    if (!/\.(yaml|tpl|txt)$/.test(file)) continue
    const code = read(file).replaceAll(/\{\{-? *\/\*.*?\*\/ *-?\}\}/gs, '').split('\n').filter((line) => !line.trim().startsWith('#')).join('\n')
    t.notMatch(code, /\b(lookup|genCA|genSelfSignedCert|genSignedCert|genPrivateKey|rand[A-Z]\w+|now|uuidv4|htpasswd|caBundle)\b/, file)
    if (!file.includes('/tests/')) t.notMatch(code, /helm\.sh\/hook/, `${file} needs no hook`)
  }
})

t.test('alerts name metrics that exist', async (t) => {
  const rule = read('charts/sidegate/templates/metrics-prometheusrule.yaml')
  const used = [...rule.matchAll(/\b(sidegate_[a-z_]+)/g)].map(([name]) => name)
  t.ok(used.length >= 8)
  for (const name of used) t.ok(name in METRICS, name)
})
