/**
 * Golden pairs: NAME.in.yaml and what `sidegate inject` makes of it, NAME.out.yaml (the whole file, comments kept; warnings as comments at its
 * end) or NAME.refused.txt (the sentence). Regenerate after a wanted change, then read the diff: node test/golden/golden.test.ts --update
 */
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { applyPatch, type Operation } from 'rfc6902'
import t, { type Test } from 'tap'
import { inject } from '../../src/injector/inject.ts'
import { injectManifest, uninjectManifest } from '../../src/injector/manifest.ts'
import type { Pod } from '../../src/injector/pod.ts'
import { review } from '../../src/injector/review.ts'
import { injectorSettings, type InjectorSettingsInput } from '../../src/injector/settings.ts'
import { findPods } from '../../src/injector/workload.ts'
import { parseKubernetesYaml } from '../../src/injector/yaml-edit.ts'

const folder = new URL('.', import.meta.url)
const update = process.argv.includes('--update')
const file = (name: string) => new URL(name, folder)
const read = (name: string) => readFileSync(file(name), 'utf8')
const names = readdirSync(folder).filter((name) => name.endsWith('.in.yaml')).map((name) => name.slice(0, -'.in.yaml'.length)).sort()

function settingsOf(text: string) {
  const line = /^# settings: (.*)$/m.exec(text)?.[1]
  const { optIn = false, ...input } = (line ? parseKubernetesYaml(line).toJS() : {}) as Partial<InjectorSettingsInput> & { optIn?: boolean }
  return { settings: injectorSettings({ image: 'sidegate:dev', ...input }), optIn, random: () => 'golden-key-of-hooks' }
}

/** Restored in value but not in style: aliases were expanded, or a probe written in braces had been replaced by another. */
const RESTYLED = new Set(['deployment-anchors', 'loopback-dollar', 'loopback-probes', 'redirect-several'])

const documents = (text: string) => text.split(/^(?=---(?:\s|$))/m).map((part) => parseKubernetesYaml(part).toJS() as unknown)
const pods = (text: string) => documents(text).flatMap((document) => findPods(document)).map(({ pod }) => pod)
const strings = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown

function made(text: string): { kind: 'out.yaml' | 'refused.txt'; content: string } {
  const { settings, ...options } = settingsOf(text)
  const result = injectManifest(text, settings, options)
  const refused = result.results.filter(({ did }) => did === 'refused')
  if (refused.length > 0) return { kind: 'refused.txt', content: refused.map(({ object, sentence }) => `${object}: ${sentence}\n`).join('') }
  const warnings = result.results.flatMap((pod) => pod.warnings)
  return { kind: 'out.yaml', content: result.text + warnings.map((warning) => `# warning: ${warning}\n`).join('') }
}

function compare(t: Test, name: string, text: string) {
  const { kind, content } = made(text)
  const other = kind === 'out.yaml' ? 'refused.txt' : 'out.yaml'
  if (update) {
    writeFileSync(file(`${name}.${kind}`), content)
    rmSync(file(`${name}.${other}`), { force: true })
  }
  t.notOk(existsSync(file(`${name}.${other}`)), `there is no ${name}.${other} beside it`)
  t.equal(content, read(`${name}.${kind}`))
  t.equal(kind === 'refused.txt', name.startsWith('refused-'), 'the name says what to expect')
}

/** The API server's side: the webhook's patch applied to the pod. */
function throughWebhook(pod: unknown, text: string): unknown {
  const { settings, ...options } = settingsOf(text)
  const reviewed = review({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { uid: 'u', operation: 'CREATE', resource: { group: '', version: 'v1', resource: 'pods' }, object: structuredClone(pod) },
  }, settings, options)
  if ('malformed' in reviewed) throw new Error(reviewed.malformed)
  const copy = structuredClone(pod)
  const { patch } = reviewed.body.response
  if (patch) for (const error of applyPatch(copy, JSON.parse(Buffer.from(patch, 'base64').toString()) as Operation[])) if (error) throw error
  return copy
}

t.ok(names.length >= 40, `${names.length} pairs`)

for (const name of names) {
  t.test(name, async (t) => {
    const text = read(`${name}.in.yaml`)
    compare(t, name, text)
    if (name.startsWith('refused-')) return
    const out = read(`${name}.out.yaml`).replace(/^# warning: .*\n/gm, '')
    const before = pods(text)
    const after = pods(out)
    t.strictSame(before.map((pod) => throughWebhook(pod, text)), after, 'the webhook makes the same pods')
    // Without the fixed key: what is there is kept.
    const { settings, optIn } = settingsOf(text)
    for (const pod of after) t.notOk('pod' in inject(pod, settings, { optIn }), 'once is enough')
    const restored = uninjectManifest(out)
    t.strictSame(documents(restored.text), documents(text), 'uninject restores every document')
    if (!RESTYLED.has(name)) t.equal(restored.text, text, 'and its text, comments included')
    t.strictSame(strings(after), after, 'what is injected is plain JSON')
    for (const pod of after as Pod[]) restrictedUnlessRedirect(t, pod)
  })
}

/** PodSecurity `restricted`, as far as the containers that the injector adds go. */
function restrictedUnlessRedirect(t: Test, pod: Pod) {
  const ours = [...pod.spec.initContainers ?? [], ...pod.spec.containers].filter(({ name }) => name === 'sidegate')
  for (const { securityContext } of ours) {
    t.match(securityContext, { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, privileged: false, readOnlyRootFilesystem: true, runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
    t.notOk((securityContext as { capabilities: { add?: unknown } }).capabilities.add)
  }
  t.notMatch(pod.spec.volumes?.filter(({ name }) => name.startsWith('sidegate')), [{ emptyDir: Object }], 'no emptyDir of ours')
}
