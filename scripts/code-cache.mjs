// code-cache.mjs BUNDLE CACHE ARGS...: runs the sidecar out of BUNDLE until it is told to stop, then writes the bundle's SHA-256 and the bytecode of
// all that ran into CACHE. cmd/sidecar-bundled.cts reads it. Functions that never ran are left out: they are compiled when they are called.
import { hash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { Script, constants } from 'node:vm'

const [bundle, cache, ...args] = process.argv.slice(2)
const source = readFileSync(bundle, 'utf8')
// Then one character is one byte, for V8 and for whoever counts columns.
if (Buffer.byteLength(source) !== source.length) throw new Error(`${bundle} is not ASCII`)
const script = new Script(source, { filename: bundle, importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER })
const { run, startEngine } = script.runInThisContext()(process.getBuiltinModule, {})
const code = await run(args, startEngine)
if (code === 0) writeFileSync(cache, Buffer.concat([hash('sha256', source, 'buffer'), script.createCachedData()]))
process.exit(code)
