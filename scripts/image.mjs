// image.mjs OUT [DIST]: puts what the three programs load at run time into OUT: DIST (default dist/), the production packages without
// types, source maps and documentation, and a bill of materials. The same input gives the same list and the same bytes.
// A bundle that is older than what it was made of is refused.
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { assertFresh } from './bundle.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const [out, dist = join(root, 'dist')] = process.argv.slice(2)
if (!out) {
  console.error('image: name the folder to fill: node scripts/image.mjs OUT [DIST]')
  process.exit(2)
}

const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
const loads = /\.(c|m)?js$|\.json$|\.wasm$|(^|\/)(LICEN[CS]E|NOTICE)[^/]*$/i
const unwanted = /\.min\.js$|^(tests?|__tests__|docs?|examples?|benchmarks?|\.github)\//i

/** Every file below a folder, sorted, relative to it; packages inside packages are listed on their own. */
function files(folder, below = '') {
  return readdirSync(join(folder, below), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1)).flatMap((entry) => {
    const path = join(below, entry.name)
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : files(folder, path)
    return entry.isFile() ? [path] : []
  })
}

function copy(from, to) {
  mkdirSync(dirname(to), { recursive: true })
  copyFileSync(from, to)
}

/**
 * The packages that the dependencies of package.json reach; optional peers are left out (the lock file counts valibot's optional
 * TypeScript among production packages).
 */
function production() {
  /** @type {Set<string>} */
  const found = new Set()
  const visit = (from, name) => {
    for (let at = from; ; at = dirname(at)) {
      const path = join(at, 'node_modules', name)
      if (lock.packages[path]) return found.has(path) || expand(path)
      if (at === '.' || at === '') return undefined
    }
  }
  const expand = (path) => {
    found.add(path)
    const { dependencies = {}, optionalDependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} } = lock.packages[path]
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) visit(path, name)
    for (const name of Object.keys(peerDependencies)) if (!peerDependenciesMeta[name]?.optional) visit(path, name)
  }
  for (const name of Object.keys(lock.packages[''].dependencies)) visit('', name)
  return [...found].sort()
}

/**
 * CycloneDX 1.5, from the lock file: `npm sbom --omit=dev` leaves out packages that development tools use, too, and puts the time in.
 * What is of Debian is listed in /usr/share/sidegate/debian-packages.
 */
function bill(packages) {
  const name = (path) => path.slice(path.lastIndexOf('node_modules/') + 13)
  const purl = (path) => `pkg:npm/${name(path).replace('@', '%40')}@${lock.packages[path].version}`
  const components = packages.map((path) => {
    const { version, integrity, license } = lock.packages[path]
    const [algorithm, digest] = /^(sha\d+)-(.*)$/.exec(integrity ?? '')?.slice(1) ?? []
    return {
      'bom-ref': purl(path), type: 'library', name: name(path), version, purl: purl(path),
      ...(digest && { hashes: [{ alg: algorithm.replace('sha', 'SHA-'), content: Buffer.from(digest, 'base64').toString('hex') }] }),
      ...(typeof license === 'string' && { licenses: [{ expression: license }] }),
    }
  })
  const runtime = { 'bom-ref': 'node', type: 'platform', name: 'node', version: process.versions.node, purl: `pkg:generic/node@${process.versions.node}` }
  const { version } = lock
  const self = { 'bom-ref': `pkg:npm/sidegate@${version}`, type: 'application', name: 'sidegate', version, purl: `pkg:npm/sidegate@${version}` }
  return { bomFormat: 'CycloneDX', specVersion: '1.5', version: 1, metadata: { component: self }, components: [runtime, ...new Map(components.map((part) => [part.purl, part])).values()] }
}

try {
  assertFresh(dist)
} catch (error) {
  console.error(`image: ${error.message}`)
  process.exit(1)
}
rmSync(out, { recursive: true, force: true })
const packages = production()
for (const file of files(dist)) copy(join(dist, file), join(out, 'dist', file))
for (const path of packages) {
  const folder = join(root, path)
  for (const file of files(folder)) if (loads.test(file) && !unwanted.test(file)) copy(join(folder, file), join(out, path, file))
}
const { name, version, type, dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
writeFileSync(join(out, 'package.json'), `${JSON.stringify({ name, version, type, dependencies }, null, 2)}\n`)
writeFileSync(join(out, 'sbom.cdx.json'), `${JSON.stringify(bill(packages), null, 1)}\n`)

/** All of OUT, packages inside packages included. */
const everything = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  .map((entry) => relative(out, join(entry.parentPath, entry.name))).sort()
const digest = (file) => createHash('sha256').update(readFileSync(join(out, file))).digest('hex')
writeFileSync(join(out, 'FILES'), everything.map((file) => `${digest(file)}  ${file}\n`).join(''))
console.log(`image: ${packages.length} packages, ${everything.length} files`)
