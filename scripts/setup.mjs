// Installs what is missing, once: the packages of package-lock.json (node 26 among them, for an older host's scripts).
// Runs on any node >= 20, prints one line when it does something, nothing otherwise.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

const root = new URL('..', import.meta.url)
const stamp = new URL('node_modules/.sidegate-setup', root)
const wanted = createHash('sha256').update(readFileSync(new URL('package-lock.json', root))).digest('hex')

if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
  console.error('setup: installing packages (npm ci), once')
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root, stdio: ['ignore', 2, 2] })
  if (status !== 0) {
    console.error('setup: npm ci failed; see above. It needs npm >= 10 and a reachable npm registry.')
    process.exit(1)
  }
  writeFileSync(stamp, wanted)
}

// Under npm run the installed node 26 stands first on PATH; called directly (.ci/run) there is nothing to check yet.
if (process.env.npm_lifecycle_event) {
  const { stdout } = spawnSync('node', ['--version'], { encoding: 'utf8' })
  if (!(Number(/^v(\d+)/.exec(stdout ?? '')?.[1]) >= 24)) {
    console.error(`setup: the scripts need node >= 24 and found ${stdout?.trim() || 'none'}; the npm package "node" should have put 26 on PATH. Remove node_modules and try again.`)
    process.exit(1)
  }
}
