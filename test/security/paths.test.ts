/**
 * Attacks on the matching of rules (catalogue 3a), raw bytes through the running sidecar over each transport. `/public/**` is open, `/admin/**` is for
 * admins, everything else needs a token; the app records what reaches it.
 */
import net from 'node:net'
import t, { type Test } from 'tap'
import { exchange, request } from '../helpers/raw.ts'
import { stage, type Stage } from '../helpers/stage.ts'
import { transports } from '../helpers/transports.ts'

const RULES = [
  { name: 'public', match: { path: '/public/**' }, allow: 'anonymous' },
  { name: 'health', match: { path: '/healthz', methods: ['GET'] }, allow: 'anonymous' },
  { name: 'host', match: { path: '/by-host', hosts: ['app.example'] }, allow: 'anonymous' },
  { name: 'preflight', match: { path: '/cors/**', preflight: true }, allow: 'anonymous' },
  { name: 'admin', match: { path: ['/admin/**', '/console'] }, require: { roles: ['admin'] } },
  { name: 'rest', match: { path: '/**' }, require: {} },
]

/** The answer, and that the app saw nothing of it. */
async function refused(t: Test, { address, app }: Stage, startLine: string, status: number, token?: string, fields: readonly string[] = []): Promise<void> {
  app.clear()
  const authorization = token === undefined ? [] : [`Authorization: Bearer ${token}`]
  const response = await exchange(address, request(startLine, [...authorization, ...fields]), startLine.split(' ')[0])
  t.equal(response.status, status, JSON.stringify(startLine))
  t.same(app.requests.map(({ target }) => target), [], `${JSON.stringify(startLine)} does not reach the app`)
}

/** The answer is the app's, and the target arrived byte for byte. */
async function passes(t: Test, { address, app }: Stage, startLine: string, token?: string, fields: readonly string[] = []): Promise<void> {
  app.clear()
  const response = await exchange(address, request(startLine, [...token === undefined ? [] : [`Authorization: Bearer ${token}`], ...fields]), startLine.split(' ')[0])
  t.equal(response.status, 200, startLine)
  t.same(app.requests.map(({ method, target }) => `${method} ${target}`), [startLine], `${startLine} arrives as it was sent`)
}

for (const [name, transport] of transports) {
  t.test(name, async (t) => {
    const sidecar = await stage(t, { rules: RULES }, { transport })
    const user = await sidecar.issuer.sign({ sub: 'bob', roles: ['user'] })
    const admin = await sidecar.issuer.sign({ sub: 'eve', roles: ['admin'] })

    t.test('the stage: open is open, closed is closed', async (t) => {
      for (const path of ['/public', '/public/', '/public/a/b?c=d', '/healthz']) await passes(t, sidecar, `GET ${path}`)
      for (const path of ['/', '/x', '/admin', '/admin/', '/admin/x']) await refused(t, sidecar, `GET ${path}`, 401)
      for (const path of ['/admin', '/admin/', '/admin/x', '/console']) await refused(t, sidecar, `GET ${path}`, 403, user)
      for (const path of ['/admin', '/admin/', '/admin/x', '/console']) await passes(t, sidecar, `GET ${path}`, admin)
    })

    const AMBIGUOUS: Record<string, readonly string[]> = {
      'P1 dot segments': ['/public/../admin', '/public/./../admin', '/../admin', '/public/..', '/public/.', '/./admin', '/.', '/..'],
      'P2 encoded dot segments': ['/public/%2e%2e/admin', '/public/%2E./admin', '/public/.%2e/admin', '/%2e/admin', '/public/%2e%2e', '/public/x%2ejson'],
      'P3 empty segments, encoded and reversed slashes': ['//admin', '/public//admin', '///', '/public%2F..%2Fadmin', '/public%5C..%5Cadmin', '/public/..\\admin', '/a\\..\\admin', '\\admin', '/public/x//'],
      'P4 encoded slashes in either case': ['/public%2f..%2fadmin', '/public%2F..%2Fadmin', '/public/a%2Fb', '/public/a%2fb', '/public/a%5cb', '/public/a%5Cb'],
      'P6 path parameters': ['/public/..;/admin', '/public;/../admin', '/public/;jsessionid=1', '/admin;x', '/public/a;b=c', '/public/..%3b/admin', '/public/a%3Bb'],
      'P7 fragments': ['/admin#/public', '/public#', '/public/%23#x', '/public?a=b#c'],
      'P10 raw bytes beyond ASCII': ['/adm\xffin', '/public/\x80', '/public/caf\xc3\xa9', '/public?\xff'],
      'P17 control characters, raw and encoded': ['/public/\x01', '/public/\x7f', '/admin%00.png', '/public/%0d%0aX-User-Id:%20admin', '/public/%09', '/public/%7f', '/public/%1F'],
      'P19 overlong and broken UTF-8': ['/public/%c0%ae%c0%ae/admin', '/public%c0%af..%c0%afadmin', '/public/%e0%80%ae', '/public/%ff', '/public/%c3', '/public/%ed%a0%80'],
      'P20 escaped letters and digits': ['/%61dmin', '/%41dmin', '/admi%6e', '/public/%30', '/%70ublic/x'],
      'P21 incomplete escapes, and those of other languages': ['/public/%', '/public/%2', '/public/%zz', '/public/%u002e%u002e/admin', '/public/%%32%65'],
    }
    for (const [attack, targets] of Object.entries(AMBIGUOUS)) {
      t.test(`${attack}: 400, with any token`, async (t) => {
        for (const target of targets) {
          await refused(t, sidecar, `GET ${target}`, 400)
          await refused(t, sidecar, `GET ${target}`, 400, admin)
        }
      })
    }

    t.test('P3 P4 the reason is one that the operator can read, and the target is not logged with what it holds', async (t) => {
      await refused(t, sidecar, 'GET /public/%2e%2e/secret-in-the-path', 400)
      const line = sidecar.lines.findLast(({ reason }) => reason === 'ambiguous_path')
      t.match(line, { reason: 'ambiguous_path', detail: 'the escape %2e in the path' })
    })

    t.test('P5 double encoding is forwarded byte for byte and never decoded twice', async (t) => {
      for (const path of ['/public/%252e%252e/admin', '/public/%25%32%65', '/public/%252F', '/public/%2500', '/public/%255c']) {
        if (path.includes('%32')) await refused(t, sidecar, `GET ${path}`, 400)
        else await passes(t, sidecar, `GET ${path}`)
      }
    })

    t.test('P5 ordinary text in any script arrives byte for byte', async (t) => {
      for (const path of ['/public/caf%C3%A9/%e2%82%ac/%F0%9F%98%80', '/public/a%20b+c', '/public/me%40corp:1,2=3&4', '/public/%7Euser/~user', '/public/a..b/...x', '/public/x?redirect=https://a/../b;c=%2e%2e%2f', '/public/100%25', '/public/a%3Fb%23c', "/public/!$&'()*"]) await passes(t, sidecar, `GET ${path}`)
    })

    t.test('P8 P9 only the whole path counts: not the query, not a part of it', async (t) => {
      for (const target of ['/admin?x=/public', '/admin?/public/x', '/x?public', '/publicXadmin', '/public-admin', '/xpublic', '/x/public/y', '/Public/x', '/PUBLIC', '/healthz/x', '/healthzz']) await refused(t, sidecar, `GET ${target}`, 401)
    })

    t.test('P11 headers that name another path or method reach nobody', async (t) => {
      const fields = ['X-Forwarded-Uri: /public', 'X-Original-URL: /public', 'X-Rewrite-URL: /public', 'X_Original_URL: /public', 'X-Envoy-Original-Path: /public', 'X-Original-URI: /public', 'X-HTTP-Method-Override: DELETE', 'X-Method-Override: DELETE', 'X.HTTP.Method: DELETE']
      await refused(t, sidecar, 'GET /admin', 401, undefined, fields)
      await passes(t, sidecar, 'GET /x', user, fields)
      t.notMatch(sidecar.app.requests[0]!.raw, /public|DELETE/i)
    })

    t.test('P12 no user agent opens a path', async (t) => {
      for (const agent of ['kube-probe/1.30', 'GoogleHC/1.0', 'ELB-HealthChecker/2.0', 'Prometheus/2.0']) await refused(t, sidecar, 'GET /admin', 401, undefined, [`User-Agent: ${agent}`])
    })

    t.test('P13 one host in whatever spelling is one verdict', async (t) => {
      for (const host of ['app.example', 'APP.example', 'app.example.', 'App.Example:8080', 'app.example.:80']) await passes(t, sidecar, 'GET /by-host', undefined, [`Host: ${host}`])
      for (const host of ['app.example.evil', 'xapp.example', 'example']) await refused(t, sidecar, 'GET /by-host', 401, undefined, [`Host: ${host}`])
      for (const host of ['app.example,evil', 'user@app.example', 'app.example/x', 'app..example', '', 'a b']) await refused(t, sidecar, 'GET /by-host', 400, admin, [`Host: ${host}`])
      await refused(t, sidecar, 'GET /by-host', 400, admin, ['Host: app.example', 'Host: evil'])
      await refused(t, sidecar, 'GET /by-host', 401, undefined, ['Host: evil', 'X-Forwarded-Host: app.example', 'X-Host: app.example'])
    })

    t.test('P13 HTTP/1.0 without a Host matches no host, and reaches the app as HTTP/1.1 with one', async (t) => {
      sidecar.app.clear()
      t.equal((await exchange(sidecar.address, 'GET /public/x HTTP/1.0\r\n\r\n')).status, 200)
      t.same(sidecar.app.requests[0]!.values('Host'), [`127.0.0.1:${sidecar.app.address.port}`])
      t.equal((await exchange(sidecar.address, 'GET /by-host HTTP/1.0\r\n\r\n')).status, 401)
    })

    t.test('P14 a target for elsewhere is refused, and nothing is ever sent elsewhere', async (t) => {
      let visits = 0
      const canary = net.createServer((socket) => { visits++; socket.destroy() })
      await new Promise<void>((resolve) => { canary.listen(0, '127.0.0.1', resolve) })
      t.teardown(() => { canary.close() })
      const { port } = canary.address() as net.AddressInfo
      for (const target of [`http://127.0.0.1:${port}/public`, `https://127.0.0.1:${port}/public`, `http://app/public`, `//127.0.0.1:${port}/public`, `127.0.0.1:${port}`, '*', 'public/x', '?x', `http:/public`]) await refused(t, sidecar, `GET ${target}`, 400, admin)
      await refused(t, sidecar, 'OPTIONS *', 400, admin)
      await refused(t, sidecar, 'GET /x', 400, admin, [`Host: http://127.0.0.1:${port}/`])
      await passes(t, sidecar, 'GET /x', admin, [`Host: 127.0.0.1:${port}`])
      await passes(t, sidecar, `GET /public?url=http://127.0.0.1:${port}/`)
      t.equal(visits, 0)
    })

    t.test('P15 an upgrade is judged as the same request without it', async (t) => {
      const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']
      for (const [target, status] of [['/%61pi/../x', 400], ['/public/../admin', 400], ['//admin', 400], ['/admin', 401], ['/x', 401]] as const) {
        await refused(t, sidecar, `GET ${target}`, status)
        await refused(t, sidecar, `GET ${target}`, status, undefined, upgrade)
      }
      await refused(t, sidecar, 'GET /admin', 403, user, upgrade)
    })

    t.test('P16 methods: no trick opens a path', async (t) => {
      for (const line of ['TRACE /public', 'TRACE /admin']) await refused(t, sidecar, line, 405, admin)
      for (const target of ['app:443', '/public']) {
        const response = await exchange(sidecar.address, request(`CONNECT ${target}`)).catch(() => ({ status: 400 }))
        t.ok([400, 405].includes(response.status), `CONNECT ${target}`)
      }
      await refused(t, sidecar, 'OPTIONS /admin', 401)
      await refused(t, sidecar, 'OPTIONS /cors/x', 401)
      await refused(t, sidecar, 'OPTIONS /cors/x', 401, undefined, ['Origin: https://a'])
      await refused(t, sidecar, 'GET /cors/x', 401, undefined, ['Origin: https://a', 'Access-Control-Request-Method: PUT'])
      await passes(t, sidecar, 'OPTIONS /cors/x', undefined, ['Origin: https://a', 'Access-Control-Request-Method: PUT'])
      await refused(t, sidecar, 'POST /healthz', 401)
      await passes(t, sidecar, 'HEAD /healthz')
    })

    t.test('P24 a header that Connection takes away is not there for rules either', async (t) => {
      await refused(t, sidecar, 'OPTIONS /cors/x', 401, undefined, ['Origin: https://a', 'Access-Control-Request-Method: PUT', 'Connection: close, origin, access-control-request-method'])
      await refused(t, sidecar, 'OPTIONS /cors/x', 401, undefined, ['Origin: https://a', 'Access-Control-Request-Method: PUT', 'Connection: Origin'])
    })

    t.test('P17 raw NUL, space, tab and line breaks in the target', async (t) => {
      for (const target of ['/public/\x00', '/public/a b', '/public/a\tb', '/public/\x0b', '/public/ HTTP/1.1 ', '/public/\ra']) {
        sidecar.app.clear()
        const response = await exchange(sidecar.address, `GET ${target} HTTP/1.1\r\nHost: app\r\n\r\n`)
        t.ok([400, 505].includes(response.status), JSON.stringify(target))
        t.same(sidecar.app.requests.length, 0)
      }
    })

    t.test('P18 a verdict is never another request\'s: the token is known, the rule is asked every time', async (t) => {
      const token = await sidecar.issuer.sign({ sub: 'carol', roles: ['user'] })
      for (let i = 0; i < 3; i++) {
        await passes(t, sidecar, 'GET /x', token)
        await refused(t, sidecar, 'GET /admin', 403, token)
        await passes(t, sidecar, 'GET /admin', admin)
      }
      const [header = '', payload = '', signature = ''] = token.split('.')
      for (const shifted of [`${header}${payload.slice(0, 1)}.${payload.slice(1)}.${signature}`, `${header}.${payload}${signature.slice(0, 1)}.${signature.slice(1)}`, `${header}.${payload}.${signature}x`]) {
        await refused(t, sidecar, 'GET /x', 401, shifted)
      }
    })

    t.test('P22 a trailing slash neither avoids a rule nor opens a path', async (t) => {
      await refused(t, sidecar, 'GET /console/', 403, user)
      await passes(t, sidecar, 'GET /console/', admin)
      await refused(t, sidecar, 'GET /healthz/', 401)
    })

    t.test('a target of the limit\'s length passes, one byte more is 414', async (t) => {
      const fill = 8192 - '/public/'.length
      await passes(t, sidecar, `GET /public/${'a'.repeat(fill)}`)
      await refused(t, sidecar, `GET /public/${'a'.repeat(fill + 1)}`, 414)
    })
  })
}

t.test('P23 where the app folds case, so do the rules', async (t) => {
  const sidecar = await stage(t, { rules: RULES, paths: { caseSensitive: false } })
  const user = await sidecar.issuer.sign({ sub: 'bob' })
  for (const path of ['/ADMIN', '/Admin/x', '/aDMIN/', '/CONSOLE', '/Console/']) await refused(t, sidecar, `GET ${path}`, 403, user)
  for (const path of ['/PUBLIC/x', '/Public', '/HealthZ']) await passes(t, sidecar, `GET ${path}`)
  for (const path of ['/con%C5%BFole', '/%E2%84%AA', '/adm%C4%B1n', '/public/stra%C3%9Fe']) await refused(t, sidecar, `GET ${path}`, 400, user)
  await passes(t, sidecar, 'GET /public/%C3%84rger')
})
