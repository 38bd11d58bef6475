// build.mjs [OUT]: TypeScript to plain JavaScript in OUT (default dist/), and out of that the bundle that the image starts.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundle } from './bundle.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const out = resolve(process.argv[2] ?? `${root}dist`)
rmSync(out, { recursive: true, force: true })
const { status } = spawnSync('tsc', ['-p', 'tsconfig.build.json', '--outDir', out], { cwd: root, stdio: 'inherit' })
if (status !== 0) process.exit(status ?? 1)
await bundle(out)
