/** Everything the injector makes, in front of a real API server: taken as it is, and stable under what the server fills in. */
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import t from 'tap'
import { inject } from '../../../src/injector/inject.ts'
import { injectManifest } from '../../../src/injector/manifest.ts'
import type { Pod } from '../../../src/injector/pod.ts'
import { injectorSettings, type InjectorSettingsInput } from '../../../src/injector/settings.ts'
import { uninject } from '../../../src/injector/uninject.ts'
import { findPods } from '../../../src/injector/workload.ts'
import { parseKubernetesYaml } from '../../../src/injector/yaml-edit.ts'
import type { Pod as KubePod } from '../../../src/kube/types.ts'
import { eventually, namespace, noApiServer, startApiServer } from '../../helpers/api-server.ts'

const GOLDEN = new URL('../../golden/', import.meta.url)
const EXAMPLES = new URL('../../../manifests/examples/', import.meta.url)
const SPACE = 'golden'
/** Fields that only newer versions know: golden pair -> the first minor version. */
const NEEDS: Readonly<Record<string, number>> = { 'pod-level-resources.out.yaml': 34, 'pod-level-cpu-only.out.yaml': 34 }

function podsOf(name: string): { pods: Pod[]; settings: ReturnType<typeof injectorSettings>; optIn: boolean } {
  const text = readFileSync(new URL(name, GOLDEN), 'utf8')
  const line = /^# settings: (.*)$/m.exec(text)?.[1]
  const { optIn = false, ...input } = (line ? parseKubernetesYaml(line).toJS() : {}) as Partial<InjectorSettingsInput> & { optIn?: boolean }
  const documents = text.split(/^(?=---(?:\s|$))/m).map((part) => parseKubernetesYaml(part).toJS() as unknown)
  const pods = documents.flatMap((document) => findPods(document)).map(({ pod }) => pod as Pod)
  return { pods: pods.filter(({ metadata }) => metadata?.labels?.['sidegate.dev/injected']), settings: injectorSettings({ image: 'sidegate:dev', ...input }), optIn }
}

const named = (pod: Pod, name: string) => ({ ...pod, apiVersion: 'v1', kind: 'Pod', metadata: { ...pod.metadata, name, namespace: SPACE } }) as unknown as KubePod

t.test('golden pods and examples', { skip: noApiServer }, async (t) => {
  const api = await startApiServer('api-golden')
  t.teardown(() => api.down())
  await api.apply(namespace(SPACE), { ...namespace('strict'), metadata: { name: 'strict', labels: { 'pod-security.kubernetes.io/warn': 'restricted' } } })
  await eventually(async () => { if ((await api.kubectl(['-n', SPACE, 'get', 'serviceaccount', 'default'])).code !== 0) throw new Error('no service account') })
  const minor = Number.parseInt((await api.kube.raw('/version') as { minor: string }).minor, 10)
  const outputs = readdirSync(GOLDEN).filter((name) => name.endsWith('.out.yaml') && (NEEDS[name] ?? 0) <= minor)

  await t.test('kubectl reads every file that sidegate inject prints, and the API server takes it', async (t) => {
    const { code, stderr } = await api.kubectl(['apply', '-n', SPACE, '--dry-run=server', ...outputs.flatMap((name) => ['-f', new URL(name, GOLDEN).pathname])])
    t.equal(code, 0, stderr)
  })

  await t.test('created, with defaults, token volume and mounts: nothing is left to patch; the original, defaulted, is injected alike', async (t) => {
    let count = 0
    for (const name of outputs) {
      const { pods, settings, optIn } = podsOf(name)
      for (const pod of pods) {
        count += 1
        const made = await api.kube.create<KubePod>('pods', named(pod, `injected-${count}`))
        t.match(inject(made, settings, { optIn }), { unchanged: 'already injected' }, name)
        const before = uninject(pod)
        if (!('pod' in before)) throw new Error(JSON.stringify(before))
        const plain = await api.kube.create<KubePod>('pods', named(before.pod, `plain-${count}`))
        t.hasProp(inject(plain, settings, { optIn }), 'pod', name)
      }
    }
    t.ok(count > 40, `${count} pods`)
  })

  await t.test('examples: PodSecurity restricted has nothing to say but about redirect\'s init container', async (t) => {
    for (const name of readdirSync(EXAMPLES)) {
      const text = readFileSync(new URL(name, EXAMPLES), 'utf8').replaceAll(/^ {2}namespace: .*\n/gm, '').replaceAll('sidegate-example', 'strict')
      for (const nativeSidecar of [true, false]) {
        const result = injectManifest(text, injectorSettings({ image: 'sidegate:dev', nativeSidecar }), { optIn: true })
        t.match(result.results.map(({ did }) => did), ['injected'], name)
        const documents = result.text.split(/^(?=---(?:\s|$))/m).map((part) => parseKubernetesYaml(part).toJS() as { kind: string })
        const items = documents.filter(({ kind }) => kind !== 'Namespace')
        const { code, stderr } = await api.kubectl(['apply', '-n', 'strict', '--dry-run=server', '-f', '-'], { apiVersion: 'v1', kind: 'List', items })
        t.equal(code, 0, stderr)
        const violations = stderr.split('\n').filter((line) => line.includes('would violate PodSecurity'))
        t.equal(violations.length, name === 'redirect.yaml' ? 1 : 0, `${name}: ${stderr}`)
        t.ok(violations.every((line) => !line.includes('"sidegate"')))
      }
    }
  })

  await t.test('the command line, as printed in the documentation', async (t) => {
    const printed = execFileSync(process.execPath, ['cmd/sidegate.ts', 'inject', '-f', 'manifests/examples/port.yaml'], { cwd: new URL('../../..', import.meta.url), stdio: ['ignore', 'pipe', 'ignore'] }).toString()
    t.match(printed, /name: sidegate\n/)
  })
})
