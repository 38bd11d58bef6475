/**
 * Two real network namespaces joined by a veth pair: a client here, a pod there. Run as `unshare -n node pod-network.ts SCRIPT` (root): the pod gets
 * the nftables SCRIPT, an app on 8080 and 9090 and a sidecar on 15001 and 15020, each on every address, that say who they are. Prints, as JSON,
 * who answers at which address.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { pathToFileURL } from 'node:url'

const PORTS = { 8080: 'app', 9090: 'other', 15_001: 'sidecar', 15_020: 'health' }
const sh = (...command: string[]) => execFileSync(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })

/** Who answers: the name, or how it failed. */
function ask(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 700 })
    socket.on('data', (data) => { resolve(data.toString()); socket.destroy() })
    socket.on('timeout', () => { resolve('nobody'); socket.destroy() })
    socket.on('error', (error: NodeJS.ErrnoException) => { resolve(error.code ?? error.message) })
  })
}

async function pod() {
  process.stdout.write(`${process.pid}\n`)
  await once(process.stdin, 'data')
  const servers = Object.entries(PORTS).map(([port, name]) => createServer((socket) => socket.on('error', () => undefined).end(name)).listen(Number(port), '::'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const inside = { v4: await ask('127.0.0.1', 8080), v6: await ask('::1', 8080), out: await ask('10.9.0.1', 7070) }
  process.stdout.write(`${JSON.stringify(inside)}\n`)
  process.stdin.once('data', () => process.exit(0))
}

async function client(script: string) {
  const there = spawn('unshare', ['-n', process.execPath, import.meta.filename, '--pod'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const line = async () => String((await once(there.stdout, 'data'))[0]).trim()
  const pid = await line()
  const within = (...command: string[]) => sh('nsenter', '-t', pid, '-n', ...command)
  sh('ip', 'link', 'set', 'lo', 'up')
  sh('ip', 'link', 'add', 'client', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pid)
  for (const [device, host, run] of [['client', 1, sh], ['eth0', 2, within]] as const) {
    run('ip', 'address', 'add', `10.9.0.${host}/24`, 'dev', device)
    run('ip', '-6', 'address', 'add', `fd09::${host}/64`, 'dev', device, 'nodad')
    run('ip', 'link', 'set', device, 'up')
  }
  within('ip', 'link', 'set', 'lo', 'up')
  if (script) for (const _ of ['once', 'and again, as a restarted init container does']) within('nft', script)
  const outside = createServer((socket) => socket.end('outside')).listen(7070, '10.9.0.1')
  await once(outside, 'listening')
  there.stdin.write('go\n')
  const inside = JSON.parse(await line()) as Record<string, string>
  // IPv6 takes a second or two on a new link (neighbour discovery).
  for (let tries = 0; tries < 10 && await ask('fd09::2', 15_020) !== 'health'; tries += 1);
  const answers = Object.fromEntries(await Promise.all(['10.9.0.2', 'fd09::2'].flatMap((host) => Object.keys(PORTS).map(async (port) => [`${host} ${port}`, await ask(host, Number(port))]))))
  there.stdin.end('bye\n')
  outside.close()
  process.stdout.write(JSON.stringify({ inside, answers }))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await (process.argv[2] === '--pod' ? pod() : client(process.argv[2] ?? ''))
