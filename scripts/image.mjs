// image.mjs OUT: puts what the three programs load at run time into OUT: dist/, the production packages without types, source
// maps and documentation, and a bill of materials. The same input gives the same list and the same bytes.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const out = process.argv[2]
if (!out) {
  console.error('image: name the folder to fill: node scripts/image.mjs OUT')
  process.exit(2)
}

const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
const loads = /\.(c|m)?js$|\.json$|\.wasm$|(^|\/)(LICEN[CS]E|NOTICE)[^/]*$/i
const unwanted = /\.min\.js$|(^|\/)(test|tests|__tests__|docs?|examples?|benchmarks?|\.github)\//i

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

/** CycloneDX from npm, only the packages that are in the image, without its random serial number and its time. */
function bill(packages) {
  const { stdout, status, stderr } = spawnSync('npm', ['sbom', '--sbom-format=cyclonedx', '--omit=dev', '--package-lock-only'], { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20 })
  if (status !== 0) throw new Error(`image: npm sbom failed: ${stderr}`)
  const sbom = JSON.parse(stdout)
  const kept = new Set(packages.map((path) => `${path.slice(path.lastIndexOf('node_modules/') + 13)}@${lock.packages[path].version}`))
  sbom.components = sbom.components.filter((part) => kept.has(`${part.group ? `${part.group}/` : ''}${part.name}@${part.version}`) || kept.has(`${part.name}@${part.version}`))
  const refs = new Set([sbom.metadata.component['bom-ref'], ...sbom.components.map((part) => part['bom-ref'])])
  sbom.dependencies = sbom.dependencies.filter((row) => refs.has(row.ref)).map((row) => ({ ...row, dependsOn: row.dependsOn.filter((ref) => refs.has(ref)) }))
  delete sbom.serialNumber
  delete sbom.metadata.timestamp
  return sbom
}

rmSync(out, { recursive: true, force: true })
const packages = production()
for (const file of files(join(root, 'dist'))) copy(join(root, 'dist', file), join(out, 'dist', file))
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
