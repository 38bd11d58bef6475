// What the image starts, made out of DIST: DIST/bundle/sidecar.cjs, one file instead of a hundred, neither minified nor renamed; sidecar.cache, the
// bytecode of what a start and a request run; SOURCES, the SHA-256 of every file that went in. Why: docs/decisions/0025-one-file-and-its-bytecode.md.
import { build } from 'esbuild'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { exercise, prepare } from './exercise.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

/** undici gives the parser's bytes by a getter, and a bundler's bridge to CommonJS would copy them one property at a time. */
const wasmAsModule = {
  name: 'llhttp',
  setup: ({ onLoad }) => onLoad({ filter: /[\\/]llhttp_simd-wasm\.js$/ }, ({ path }) => ({
    contents: `export default Buffer.from('${createRequire(import.meta.url)(path).toString('base64')}', 'base64')`,
  })),
}

/** Where an input lies: in DIST, or in a package. */
function place(dist, input) {
  const path = resolve(root, input)
  const at = path.lastIndexOf('/node_modules/')
  return at >= 0 ? path.slice(at + 1) : path.startsWith(`${dist}/`) ? `dist/${path.slice(dist.length + 1)}` : undefined
}

const listed = (dist, name) => readFileSync(name.startsWith('dist/') ? join(dist, name.slice(5)) : join(root, name))

/** Makes DIST/bundle/. Throws when anything but what the sidecar may load would go in. */
export async function bundle(dist) {
  const folder = join(dist, 'bundle')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const outfile = join(folder, 'sidecar.cjs')
  const { metafile, warnings } = await build({
    stdin: { contents: 'export { run } from "./src/sidecar/run.js"\nexport { startEngine } from "./src/http/engine/start.js"', resolveDir: dist, sourcefile: 'bundle' },
    // yaml is loaded when a configuration is YAML or wrong, by the same `import` as ever, from the packages beside the bundle.
    bundle: true, external: ['yaml'], nodePaths: [join(root, 'node_modules')], plugins: [wasmAsModule],
    platform: 'node', target: 'node24', format: 'cjs', charset: 'ascii', legalComments: 'none',
    banner: { js: '(function (require, module) {' }, footer: { js: 'return module.exports\n})' },
    outfile, absWorkingDir: root, metafile: true, logLevel: 'warning',
  })
  if (warnings.length > 0) throw new Error('bundle: esbuild warns; see above')
  const names = Object.keys(metafile.inputs).map((input) => ({ input, name: place(dist, input) })).filter(({ name }) => name !== 'dist/bundle')
  const strange = names.filter(({ name }) => !/^dist\/src\/|^node_modules\/(undici\/lib\/llhttp|valibot)\//.test(name ?? ''))
  if (strange.length > 0) throw new Error(`bundle: the sidecar may not load ${strange.map(({ input }) => input).join(', ')}`)
  writeFileSync(join(folder, 'SOURCES'), names.map(({ name }) => `${sha256(listed(dist, name))}  ${name}\n`).sort().join(''))
  await compile(outfile, join(folder, 'sidecar.cache'))
}

/** Runs the bundle through a start and some requests, so that V8 compiles what those need, and keeps that. */
async function compile(file, cache) {
  const folder = mkdtempSync(join(tmpdir(), 'sidegate-bundle-'))
  const stage = await prepare(folder)
  const child = spawn(process.execPath, [join(root, 'scripts/code-cache.mjs'), file, cache, '--config', stage.config], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NODE_OPTIONS: '' } })
  const ended = new Promise((done) => { child.on('exit', (code) => done(code ?? 1)) })
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const { msg, listeners, health } = JSON.parse(line)
      if (msg !== 'ready') continue
      await exercise(listeners[0].bind, health.bind, stage)
      child.kill('SIGTERM')
    }
    if (await ended !== 0 || !existsSync(cache)) throw new Error('bundle: the sidecar out of the bundle did not run; see above')
  } finally {
    child.kill('SIGKILL')
    stage.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Throws a sentence unless DIST/bundle/ is made of what DIST and the packages are now, and its bytecode of that bundle. */
export function assertFresh(dist) {
  const again = 'run node scripts/build.mjs'
  const folder = join(dist, 'bundle')
  if (!existsSync(join(folder, 'SOURCES'))) throw new Error(`there is no bundle in ${dist}: ${again}`)
  for (const line of readFileSync(join(folder, 'SOURCES'), 'utf8').trim().split('\n')) {
    const [digest, name] = line.split('  ')
    const now = existsSync(name.startsWith('dist/') ? join(dist, name.slice(5)) : join(root, name)) ? sha256(listed(dist, name)) : 'gone'
    if (now !== digest) throw new Error(`the bundle in ${dist} is older than ${name}: ${again}`)
  }
  if (readFileSync(join(folder, 'sidecar.cache')).toString('hex', 0, 32) !== sha256(readFileSync(join(folder, 'sidecar.cjs')))) {
    throw new Error(`the bytecode in ${dist} is not of the bundle beside it: ${again}`)
  }
}
