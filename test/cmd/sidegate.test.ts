import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { mintKey } from '../../src/demo/issuer.ts'

const CLI = new URL('../../cmd/sidegate.ts', import.meta.url).pathname
const dir = mkdtempSync(join(tmpdir(), 'sidegate-'))
t.teardown(() => rmSync(dir, { recursive: true }))

/** Runs the CLI as its users do. */
function sidegate(args: readonly string[], input = '') {
  const { NODE_OPTIONS: _, ...env } = process.env
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8', input, env, cwd: dir })
  return { status, stdout, stderr }
}

function file(name: string, content: object | string): string {
  writeFileSync(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content))
  return name
}

const GOOD = { listeners: [{ bind: '127.0.0.1:0', upstream: '127.0.0.1:8080' }], issuers: [{ name: 'corp', issuer: 'https://a', audiences: ['x'], keys: { inline: { keys: [(await mintKey('ES256')).jwk] } } }], rules: [{ match: { path: '/open' }, allow: 'anonymous' }] }

t.test('help names every command, and wrong usage says what to do', (t) => {
  const { status, stdout } = sidegate(['--help'])
  t.equal(status, 0)
  for (const command of ['demo', 'check', 'explain', 'inject', 'audit']) t.match(stdout, new RegExp(`sidegate ${command}`))
  t.match(sidegate([]), { status: 2, stderr: 'sidegate: No command given.\nTry sidegate --help, or sidegate <command> --help.\n' })
  t.match(sidegate(['chek']), { status: 2, stderr: /There is no command chek\. Did you mean check\?/ })
  t.match(sidegate(['--version']), { status: 0, stdout: /^\d+\.\d+\.\d+\n$/ })
  t.end()
})

t.test('check: 0 for a good file, 1 with every problem for a bad one', (t) => {
  t.strictSame(sidegate(['check', file('good.json', GOOD)]), { status: 0, stdout: 'ok       good.json: 1 listener, 1 issuer, 1 rule, mode enforce\n', stderr: '' })
  const bad = file('bad.yaml', 'listeners: []\nisuers: []\nissuers: []\n')
  t.strictSame(sidegate(['check', 'good.json', bad]), {
    status: 1,
    stdout: [
      'ok       good.json: 1 listener, 1 issuer, 1 rule, mode enforce',
      'error    bad.yaml:1: listeners: name at least one listener; found an empty list',
      'error    bad.yaml:2: isuers: there is no such field here; did you mean issuers?',
      'error    bad.yaml:3: issuers: name at least one issuer; found an empty list',
      'refused  bad.yaml: 3 errors', '',
    ].join('\n'),
    stderr: '',
  })
  t.end()
})

t.test('check: keys of which none is usable are found, as the start of the sidecar would', (t) => {
  const { publicKey: weak } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const config = (keys: unknown[]) => ({ ...GOOD, issuers: [{ ...GOOD.issuers[0], keys: { inline: { keys } } }] })
  const cases: [string, unknown, string][] = [
    ['weak', weak.export({ format: 'jwk' }), 'RSA key of 1024 bits; at least 2048 are needed'],
    ['private', privateKey.export({ format: 'jwk' }), 'private key material in a public set'],
    ['garbage', 'x', 'not an object'],
  ]
  for (const [name, key, why] of cases) {
    t.strictSame(sidegate(['check', file(`${name}.json`, config([key]))]), {
      status: 1,
      stdout: `error    ${name}.json: issuers[0].keys.inline.keys: no key of the JWKS is usable (key 0: ${why}); put the issuer's public signing keys here\nrefused  ${name}.json: 1 error\n`,
      stderr: '',
    })
  }
  t.match(sidegate(['check', file('some.json', config([...GOOD.issuers[0]!.keys.inline.keys, 'x']))]), { status: 0 }, 'one that is usable will do')
  t.end()
})

t.test('check --strict fails on warnings', (t) => {
  file('open.json', { ...GOOD, rules: [{ match: {}, allow: 'anonymous' }] })
  t.match(sidegate(['check', '--strict', 'open.json']), { status: 1, stdout: /^warning  open\.json: rules\[0\]: opens every path.*\nrefused  open\.json: .*, 1 warning\n$/ })
  t.end()
})

t.test('explain: 0 when the app would see the request, 1 when not', (t) => {
  const explain = (args: readonly string[], input = '') => sidegate(['explain', '--config', 'good.json', ...args], input)
  t.match(explain(['--path', '/open', '-H', 'X-User-Id: admin']), { status: 0, stdout: /removed X-User-Id \(identity\)[^]*FORWARDED by rule 0:\/open: anonymous/ })
  t.match(explain(['--path', '/x', '--token', '-'], 'abc\n'), { status: 1, stdout: /DENIED: no_rule/ })
  t.match(explain(['--path', '/open', '--method', 'get', '--peer', '2001:db8::1']), { status: 0, stdout: /^note: methods have a case \(RFC 9110 section 9\.1\): get is not GET\nget \/open, Host app, from 2001:db8::1\n/ })
  t.match(sidegate(['explain', '--config', 'bad.yaml', '--path', '/']), { status: 1, stderr: /^sidegate: the configuration is refused:\nbad\.yaml:1: listeners/ })
  t.match(sidegate(['explain', '--path', '/']), { status: 2, stderr: /Missing required argument: config/ })
  t.end()
})

t.test('wrong usage exits 2, whoever finds it', (t) => {
  const explain = ['explain', '--config', 'good.json', '--path', '/open']
  const cases: [string[], string][] = [
    [['check'], 'name the configuration files to check: sidegate check FILE..., or check a cluster: sidegate check --cluster'],
    [['check', '--output', 'json', 'good.json'], '--output json is for --cluster'],
    [['check', 'good.json', '--cluster'], 'check files or a cluster, not both: leave out the file names or --cluster'],
    [['inject', '-f', ''], 'name a file, a folder or - after -f.'],
    [[...explain, '--header', 'nonsense'], '--header "nonsense" is not "Name: value"'],
    [[...explain, '--header'], 'Not enough arguments following: header'],
    [[...explain, '--wait', 'abc'], '--wait must be a number of seconds, 0 or more.'],
    [[...explain, '--wait', '-5'], '--wait must be a number of seconds, 0 or more.'],
    [[...explain, '--peer', 'nonsense'], '--peer "nonsense" is not an IP address; write one, such as 192.0.2.1.'],
    [[...explain, '--method', ''], '--method is empty; name one, such as GET.'],
    [[...explain, '--method'], 'Not enough arguments following: method'],
    [[...explain, '--config', 'good.json'], '--config is given 2 times; give it once.'],
    [[...explain, '--token-file', 'a', '--token-file', 'b', '--token-file', 'c'], '--token-file is given 3 times; give it once.'],
  ]
  for (const [args, says] of cases) {
    t.strictSame(sidegate(args), { status: 2, stdout: '', stderr: `sidegate: ${says}\nTry sidegate --help, or sidegate <command> --help.\n` }, args.join(' '))
  }
  t.match(sidegate([...explain, '-H', 'a: b', '--header', 'c: d']), { status: 0 }, 'a list is given as often as there is need')
  t.end()
})
