/**
 * The image's entry: the sidecar out of one file, with the bytecode that V8 made of it when the image was built (scripts/bundle.mjs, decision 0025). A
 * CommonJS script without imports, since Node's loader of ES modules is a part of what is saved. `sidecar.ts` is the same program without either.
 */
const { hash } = process.getBuiltinModule('node:crypto')
const { readFileSync } = process.getBuiltinModule('node:fs')
const { join } = process.getBuiltinModule('node:path')
const { Script, constants } = process.getBuiltinModule('node:vm')

interface Bundle {
  readonly run: (argv: readonly string[], startTransport: unknown) => Promise<number>
  readonly startEngine: unknown
}

/** Bytes of the bundle's SHA-256 in front of the bytecode: V8 itself knows a source by nothing but its length. */
const DIGEST = 32
const folder = join(__dirname, '..', 'bundle')
const filename = join(folder, 'sidecar.cjs')

function load(): Bundle {
  const source = readFileSync(filename, 'utf8')
  const cache = readFileSync(join(folder, 'sidecar.cache'))
  const fits = hash('sha256', source, 'buffer').equals(cache.subarray(0, DIGEST))
  const script = new Script(source, { filename, importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER, ...(fits && { cachedData: cache.subarray(DIGEST) }) })
  // Right but slow: another Node, or a V8 flag that changes what it compiles to.
  if (!fits || script.cachedDataRejected === true) process.stderr.write('sidegate: the bytecode beside the bundle is not of this bundle, this Node or these flags; starting without it\n')
  return (script.runInThisContext() as (require: unknown, module: object) => Bundle)((name: string) => process.getBuiltinModule(name), {})
}

const { run, startEngine } = load()
void run(process.argv.slice(2), startEngine).then((code) => process.exit(code))
