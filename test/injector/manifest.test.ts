/** Files: `sidegate inject` and its parts beyond what the golden pairs show. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { injectFiles, type InjectFilesOptions } from '../../src/injector/inject-files.ts'
import { injectManifest, uninjectManifest } from '../../src/injector/manifest.ts'
import { injectorSettings } from '../../src/injector/settings.ts'

const settings = injectorSettings({ image: 'sidegate:dev' })
const asks = { metadata: { annotations: { 'sidegate.dev/inject': 'true' } } }
const yaml = `apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations:
    sidegate.dev/inject: "true"
spec:
  containers:
    - name: app
      image: a
      ports:
        - containerPort: 8080
          name: http
`

async function run(sources: readonly string[], options: Partial<InjectFilesOptions> = {}, stdin = '') {
  const notes: string[] = []
  let text = ''
  const ok = await injectFiles(sources, { uninject: false, all: false, image: undefined, settings: undefined, nativeSidecar: undefined, ...options }, {
    out: (part) => { text += part },
    note: (line) => notes.push(line),
    stdin: Readable.from([stdin]),
  })
  return { ok, text, notes }
}

const folder = (t: Test, files: Record<string, string>) => {
  const root = t.testdir({})
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(root, name, '..'), { recursive: true })
    writeFileSync(join(root, name), content)
  }
  return root
}

t.test('JSON stays JSON, with its indentation', async (t) => {
  const json = `${JSON.stringify({ apiVersion: 'v1', kind: 'Pod', ...asks, spec: { containers: [{ name: 'app', ports: [{ name: 'http', containerPort: 8080 }] }] } }, null, 4)}\n`
  const { text } = injectManifest(json, settings)
  t.match(text, /^\{\n {4}"apiVersion"/)
  t.match(JSON.parse(text), { spec: { initContainers: [{ name: 'sidegate' }] } })
  t.equal(uninjectManifest(text).text, json)
})

t.test('a PodList, whose items do not say their kind', async (t) => {
  const list = { apiVersion: 'v1', kind: 'PodList', items: [{ ...asks, spec: { containers: [{ name: 'app', ports: [{ name: 'http', containerPort: 8080 }] }] } }] }
  const { text, results } = injectManifest(JSON.stringify(list), settings)
  t.match(results, [{ did: 'injected' }])
  t.strictSame(Object.keys((JSON.parse(text) as typeof list).items[0]!), ['metadata', 'spec'], 'nothing is added beside')
})

t.test('kinds of others and documents without anything are left alone', async (t) => {
  const other = `kind: Deployment\napiVersion: other.example/v1\nspec: { template: ${JSON.stringify({ ...asks, spec: { containers: [{ name: 'a' }] } })} }\n---\n---\n# only a comment\n---\n- a list\n--- text\n`
  const result = injectManifest(other, settings)
  t.equal(result.text, other)
  t.strictSame(result.results, [])
})

t.test('an annotation on the workload itself is told', async (t) => {
  const { results } = injectManifest(`apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web, annotations: { sidegate.dev/inject: "true" } }\nspec: { template: { spec: { containers: [{ name: a }] } } }\n`, settings)
  t.match(results, [{ did: 'unchanged', warnings: [/^Deployment web: annotation sidegate\.dev\/inject is on the workload itself.*Move it to the pod template/] }])
})

t.test('values as Kubernetes reads them: yes is true, 0644 is octal, a date is text', async (t) => {
  const { text, results } = injectManifest(yaml.replace('spec:\n', 'spec:\n  volumes:\n    - name: x\n      configMap: { defaultMode: 0644, name: x }\n').replace('annotations:\n', 'annotations:\n    date: 2026-11-23\n    time: 12:30\n'), settings)
  t.match(results, [{ did: 'injected' }])
  t.match(text, /defaultMode: 0644/)
  t.match(text, /date: 2026-11-23\n {4}time: 12:30/)
  t.match(injectManifest(yaml.replace('name: app', 'name: yes'), settings).results, [{ did: 'refused', sentence: /put it in quotes/ }])
  const named = injectManifest(yaml.replace('name: app', 'name: "on"'), settings)
  t.match(named.text, /default-container: "on"/, 'and what is written is read back as text')
})

t.test('merge keys: the value wins over the style', async (t) => {
  const text = `apiVersion: v1\nkind: List\nitems:\n  - &base\n    apiVersion: v1\n    kind: Pod\n    metadata: { name: a, annotations: { sidegate.dev/inject: "true" } }\n    spec: &spec\n      containers: [{ name: app, ports: [{ name: http, containerPort: 8080 }] }]\n  - <<: *base\n    spec:\n      <<: *spec\n      hostname: b\n`
  const { text: out, results } = injectManifest(text, settings)
  t.match(results.map(({ did }) => did), ['injected', 'injected'])
  const again = injectManifest(out, settings).results
  t.match(again.map(({ did, sentence }) => [did, sentence]), [['unchanged', 'already injected'], ['unchanged', 'already injected']])
})

t.test('what is not YAML says where', async (t) => {
  t.throws(() => injectManifest('a: 1\n---\nb: [\n  x: {\n', settings), /^document 2 is not valid YAML: .* at line [45],/)
  t.throws(() => injectManifest('a: 1\na: 2\n', settings), /document 1.*unique/)
  const bomb = `a: &a [x]\n${Array.from({ length: 20 }, (_, i) => `${String.fromCodePoint(98 + i)}: &${String.fromCodePoint(98 + i)} [${Array(9).fill(`*${String.fromCodePoint(97 + i)}`).join(', ')}]`).join('\n')}\n`
  t.throws(() => injectManifest(bomb, settings), /document 1/)
})

t.test('a file, a folder, standard input', async (t) => {
  const root = folder(t, { 'b.yaml': yaml, 'a/x.yml': 'kind: ConfigMap\n', 'a/y.json': '{"kind":"ConfigMap"}', 'a/readme.md': 'no' })
  const one = await run([join(root, 'b.yaml')])
  t.equal(one.ok, true)
  t.strictSame(one.notes, ['Pod web: injected'])
  const all = await run([root])
  t.equal(all.text, `kind: ConfigMap\n---\n{"kind":"ConfigMap"}\n---\n${one.text}`, 'in order, as one stream')
  t.equal((await run(['-'], {}, yaml)).text, one.text)
  t.equal((await run(['-'], { uninject: true }, one.text)).text, yaml)
})

t.test('one refused pod and nothing is printed', async (t) => {
  const { ok, text, notes } = await run(['-'], {}, `${yaml}---\n${yaml.replace('spec:', 'spec:\n  hostNetwork: true')}`)
  t.equal(ok, false)
  t.equal(text, '')
  t.match(notes, ['Pod web: injected', /^Pod web: refused\. The pod uses hostNetwork/])
})

t.test('the cluster\'s own settings, and the image by hand', async (t) => {
  const root = folder(t, { 'controller.json': JSON.stringify({ namespace: 'x', sidecar: { image: 'r/s:1', labels: { a: 'b' } } }), 'bad.yaml': 'imgae: x\nnativeSidecar: 1\n', 'none.yaml': 'text', 'off.json': '{"networkPolicy":{"mode":"off"},"sidecar":{"image":"r/s:1"}}' })
  const { text } = await run(['-'], { settings: join(root, 'controller.json'), nativeSidecar: false }, yaml)
  t.match(text, /image: r\/s:1/)
  t.match(text, / {4}a: b/)
  t.notMatch(text, /initContainers:/)
  t.match((await run(['-'], { settings: join(root, 'controller.json'), image: 'mine:2' }, yaml)).text, /image: mine:2/)
  t.match((await run(['-'], { settings: join(root, 'off.json') }, yaml)).notes, [/refused\. Interception "port" is switched off/], 'without NetworkPolicies, as the controller')
  await t.rejects(run(['-'], { settings: join(root, 'bad.yaml') }, yaml), /settings are not valid: .*nativeSidecar.*imgae|imgae/)
  await t.rejects(run(['-'], { settings: join(root, 'none.yaml') }, yaml), /expected the controller's file/)
  await t.rejects(run(['-'], { settings: join(root, 'missing.yaml') }, yaml), /missing\.yaml: no such file/)
})

t.test('every error names the file', async (t) => {
  const root = folder(t, { 'bad.yaml': 'a: [', 'empty/x.txt': '' })
  await t.rejects(run([join(root, 'nope.yaml')]), /nope\.yaml: no such file or folder/)
  await t.rejects(run([join(root, 'bad.yaml')]), /bad\.yaml: document 1 is not valid YAML/)
  await t.rejects(run([join(root, 'empty')]), /no \*\.yaml/)
  t.match(await run(['-'], {}, 'kind: ConfigMap\n'), { ok: true, notes: ['No pods found: nothing changed.'] })
})

t.test('--all is a namespace that opted in', async (t) => {
  const silent = yaml.replace(/ {2}annotations:\n.*\n/, '')
  t.match((await run(['-'], {}, silent)).notes, ['Pod web: unchanged (not asked)'])
  t.match((await run(['-'], { all: true }, silent)).notes, ['Pod web: injected'])
})
