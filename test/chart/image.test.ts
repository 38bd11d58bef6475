// What goes into the image: the same list each time, everything that the three programs load, nothing that they do not.
import { execFile } from 'node:child_process'
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { promisify } from 'node:util'
import t from 'tap'
import { imageCommand } from '../helpers/image-command.ts'

const execute = promisify(execFile)
// Without tap's own loaders, which it puts into NODE_OPTIONS of every child: these are programs as users start them.
const run = async (command: string, args: readonly string[], options: { readonly cwd: string }) =>
  await execute('env', ['-i', `PATH=${process.env['PATH']}`, `HOME=${folder}`, command, ...args], options)
const root = new URL('../..', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'sidegate-image-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const app = join(folder, 'app')

await run('node', ['scripts/build.mjs', join(folder, 'dist')], { cwd: root })
const fill = async (out: string) => await run('node', ['scripts/image.mjs', out, join(folder, 'dist')], { cwd: root })
await fill(app)
const list = readFileSync(join(app, 'FILES'), 'utf8')

t.test('the same sources give the same files, byte for byte', async (t) => {
  await fill(join(folder, 'again'))
  t.ok(readFileSync(join(folder, 'again', 'FILES'), 'utf8') === list)
})

t.test('no types, no source maps, no development packages, no npm', async (t) => {
  const files = list.trim().split('\n').map((line) => line.slice(66))
  t.ok(files.length > 500, `${files.length} files`)
  t.same(files.filter((file) => /\.(d\.[cm]?ts|map|md|ts)$/.test(file) && !/licen[cs]e/i.test(file)), [])
  t.same(files.filter((file) => /node_modules\/(typescript|tap|oxlint|npm|fast-check|node)\//.test(file)), [])
  t.ok(files.includes('dist/cmd/sidecar.js') && files.includes('dist/cmd/controller.js') && files.includes('dist/cmd/sidegate.js'))
  t.same(files.filter((file) => file.startsWith('dist/bundle/')), ['dist/bundle/SOURCES', 'dist/bundle/sidecar.cache', 'dist/bundle/sidecar.cjs'])
})

t.test('the bill of materials lists the packages that are there', async (t) => {
  const { components, bomFormat } = JSON.parse(readFileSync(join(app, 'sbom.cdx.json'), 'utf8')) as { bomFormat: string, components: { name: string, version: string }[] }
  t.equal(bomFormat, 'CycloneDX')
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: Record<string, string> }
  const listed = new Set(components.map(({ name, version }) => `${name}@${version}`))
  for (const [name, version] of Object.entries(dependencies)) t.ok(listed.has(`${name}@${version}`), `${name} is listed`)
  t.notOk(components.some(({ name }) => name === 'typescript' || name === 'tap'))
})

t.test('each program starts from these files alone', async (t) => {
  const config = join(folder, 'config.json')
  writeFileSync(config, JSON.stringify({
    listeners: [{ bind: '127.0.0.1:0', upstream: '127.0.0.1:8080' }],
    issuers: [{ name: 'a', issuer: 'https://a.example', audiences: ['b'], keys: { discovery: true } }],
  }))
  await t.resolves(run('node', [join(app, 'dist/cmd/sidecar.js'), '--config', config, '--check'], { cwd: folder }), 'sidecar')
  const { flags, entry } = imageCommand(`${app}/`)
  const asShipped = await run('node', [...flags, `--allow-fs-read=${config}`, entry, '--config', config, '--check'], { cwd: folder })
  t.same([asShipped.stdout, asShipped.stderr], [`${config}: ok\n`, ''], 'sidecar as the image starts it')
  await t.resolves(run('node', [join(app, 'dist/cmd/sidegate.js'), '--help'], { cwd: folder }), 'CLI')
  const controller = join(folder, 'controller.json')
  writeFileSync(controller, JSON.stringify({ namespace: 'sidegate-system', sidecar: { image: 'sidegate:dev' } }))
  await t.resolves(run('node', [join(app, 'dist/cmd/controller.js'), '--config', controller, '--check'], { cwd: folder }), 'controller')
})

t.test('whose code went into the bundle: each package is listed, with its licence beside it', async (t) => {
  const sources = readFileSync(join(app, 'dist/bundle/SOURCES'), 'utf8').trim().split('\n').map((line) => line.slice(66))
  const packages = new Set(sources.flatMap((name) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(name)?.[1] ?? []))
  t.same([...packages].sort(), ['undici', 'valibot'])
  const { components } = JSON.parse(readFileSync(join(app, 'sbom.cdx.json'), 'utf8')) as { components: { name: string }[] }
  for (const name of packages) {
    t.ok(components.some((component) => component.name === name), `${name} is in the bill of materials`)
    t.ok(list.split('\n').some((line) => new RegExp(`  node_modules/${name}/LICEN[CS]E`, 'i').test(line)), `${name}'s licence`)
  }
})

t.test('a bundle that is older than what it was made of does not get into an image, nor bytecode of another bundle', async (t) => {
  const out = join(folder, 'stale')
  const source = join(folder, 'dist/src/sidecar/decide.js')
  const before = readFileSync(source)
  appendFileSync(source, '\n')
  await t.rejects(fill(out), { code: 1, stderr: /the bundle in .* is older than dist\/src\/sidecar\/decide\.js: run node scripts\/build\.mjs/ })
  rmSync(source)
  await t.rejects(fill(out), { code: 1, stderr: /is older than dist\/src\/sidecar\/decide\.js/ })
  writeFileSync(source, before)
  const bundle = join(folder, 'dist/bundle/sidecar.cjs')
  const text = readFileSync(bundle, 'utf8')
  writeFileSync(bundle, text.replace('"ready"', '"Ready"'))
  await t.rejects(fill(out), { code: 1, stderr: /the bytecode in .* is not of the bundle beside it/ })
  rmSync(join(folder, 'dist/bundle'), { recursive: true })
  await t.rejects(fill(out), { code: 1, stderr: /there is no bundle in / })
  t.notOk(existsSync(out), 'nothing is written')
})
