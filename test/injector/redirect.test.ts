/** The rules of interception `redirect`, loaded into a real network namespace. */
import { execFile, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { redirectScript } from '../../src/injector/redirect.ts'

const HELPER = fileURLToPath(new URL('../helpers/pod-network.ts', import.meta.url))
const script = redirectScript([{ app: 8080, listen: 15_001 }])

interface Answers { readonly inside: Record<string, string>; readonly answers: Record<string, string> }

function missing(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  const tool = ['unshare', 'nsenter', 'ip', 'nft'].find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).error)
  if (tool) return `${tool} is not installed`
  return spawnSync('unshare', ['-n', 'nft', 'list', 'ruleset'], { stdio: 'ignore' }).status === 0 ? undefined : 'this machine allows no network namespaces with nftables'
}

async function network(rules: string): Promise<Answers> {
  const { stdout } = await promisify(execFile)('unshare', ['-n', process.execPath, HELPER, rules], { timeout: 30_000 })
  return JSON.parse(stdout) as Answers
}

t.test('each port of the app becomes the sidecar\'s, and only the sidecar\'s are let in', async (t) => {
  const two = redirectScript([{ app: 8080, listen: 15_001 }, { app: 9000, listen: 15_002 }])
  t.match(two, /iifname != "lo" tcp dport 8080 redirect to :15001\n.*tcp dport 9000 redirect to :15002/)
  t.match(two, /tcp dport \{ 15001, 15002, 15020 \} accept/)
  t.match(two, /hook input priority 0; policy drop;/)
  t.ok(two.startsWith('table inet sidegate\ndelete table inet sidegate\n'), 'a second run replaces the first')
})

const reason = missing()
t.test('in a pod\'s network', { skip: reason ? reason : false }, async (t) => {
  const open = await network('')
  t.strictSame(open.answers['10.9.0.2 8080'], 'app', 'without the rules the app answers (so that the test can fail)')
  t.strictSame(open.answers['fd09::2 9090'], 'other')
  const { inside, answers } = await network(script)
  t.strictSame(answers, {
    '10.9.0.2 8080': 'sidecar', '10.9.0.2 9090': 'nobody', '10.9.0.2 15001': 'sidecar', '10.9.0.2 15020': 'health',
    'fd09::2 8080': 'sidecar', 'fd09::2 9090': 'nobody', 'fd09::2 15001': 'sidecar', 'fd09::2 15020': 'health',
  }, 'IPv4 and IPv6')
  t.strictSame(inside, { v4: 'app', v6: 'app', out: 'outside' }, 'the sidecar reaches the app over loopback; connections from the pod are not touched')
})
