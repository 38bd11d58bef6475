// npm run demo: builds, then runs the demo on what would ship.
import { spawn, spawnSync } from 'node:child_process'

const root = new URL('..', import.meta.url)
const built = spawnSync('node', ['scripts/build.mjs'], { cwd: root, stdio: 'inherit' })
if (built.status !== 0) process.exit(built.status ?? 1)
const child = spawn('node', ['dist/cmd/sidegate.js', 'demo', ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' })
// Ctrl-C reaches the whole group; the demo cleans up and this script follows it.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => { if (signal === 'SIGTERM') child.kill(signal) })
child.on('exit', (code) => process.exit(code ?? 1))
