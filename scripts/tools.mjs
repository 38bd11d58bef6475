// Programs of the system that tests want beside node: `provide()` installs those that are missing, as root on Debian and its kin, and says so. Elsewhere
// their tests skip themselves, with a line that names the program.
import { spawnSync } from 'node:child_process'

/** Program -> Debian's package: the rules of interception `redirect` are loaded into a network namespace. */
const TOOLS = { nft: 'nftables', ip: 'iproute2' }

const has = (program) => !spawnSync(program, ['--version'], { stdio: 'ignore' }).error

/** Never fails: a tool that cannot be had is a skipped test, which is told. */
export function provide() {
  const packages = Object.entries(TOOLS).filter(([program]) => !has(program)).map(([, name]) => name)
  if (packages.length === 0 || process.getuid?.() !== 0 || !has('apt-get')) return
  console.log(`installing ${packages.join(', ')} (apt-get), once`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const install = () => spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { stdio: 'ignore', env }).status === 0
  if (install()) return
  spawnSync('apt-get', ['update', '-qq'], { stdio: 'ignore', env })
  if (!install()) console.log(`${packages.join(', ')} could not be installed: the tests that need them are skipped`)
}
