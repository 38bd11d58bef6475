/** A10: what requests can put into the log, and what never gets there. */
import { stage } from '../helpers/stage.ts'
import { startSidecar, spawnSidecar, until, writeConfig } from '../helpers/sidecar.ts'
import { connect } from '../helpers/raw.ts'
import { createHash } from 'node:crypto'
import { openSync } from 'node:fs'
import t from 'tap'

t.setTimeout(120_000)

const SPLIT = 'a\r\n{"level":"error","msg":"forged"}\u2028\u001b[2J'

t.test('A10: no part of a token is ever logged, wherever it was sent', async (t) => {
  const { ask, issuer, lines, apply, issuers, address } = await stage(t, { log: { allowed: 1, subject: 'plain' }, tokens: [{ header: 'Authorization', scheme: 'Bearer' }, { cookie: 'session' }, { query: 'access_token' }] })
  const tokens = [await issuer.sign({ sub: 'bob' }), await issuer.sign({ sub: 'bob', exp: 1 }), `${await issuer.sign({ sub: 'eve' })}x`]
  for (const token of tokens) {
    await ask('GET /header', token)
    await ask('GET /cookie', undefined, [`Cookie: a=b; session=${token}`])
    await ask(`GET /query?x=1&access_token=${token}`)
    await ask(`GET /path/${token}/x`)
    await ask('GET /basic', undefined, [`Authorization: Basic ${token}`])
    await ask('GET /two', token, [`Authorization: Bearer ${tokens[0]}`])
    await ask(`GET /bad\\${token}`)
    await ask(`GET /trace`, undefined, [`traceparent: ${token}`])
    await ask(`${token.slice(0, 30)} /method`).catch(() => {})
  }
  const raw = await connect(address)
  await raw.send(`GET /${tokens[0]} HTTP/1.1\nbroken ${tokens[0]}\r\n\r\n`)
  await raw.closed()
  await apply({ issuers, log: { level: 'loud' } }).catch(() => {})
  await until(() => lines.filter(({ msg }) => msg === 'request').length >= 24)
  const text = lines.map((line) => JSON.stringify(line)).join('\n')
  for (const token of tokens) for (const part of token.split('.')) t.notOk(text.includes(part.slice(0, 24)), 'no part of the token')
  t.notMatch(text, /access_token|session=/)
  t.match(text, '/query', 'but the path is there')
})

t.test('A10: a claim, a path or a header cannot forge a line', async (t) => {
  const { issuer, lines, address, ask } = await stage(t, { log: { allowed: 1, subject: 'plain' }, identity: { headers: { 'X-Sub': { claim: 'sub', encoding: 'json' } } } })
  await ask('GET /x', await issuer.sign({ sub: SPLIT }))
  const raw = await connect(address)
  await raw.send(Buffer.from(`GET /\x1b[31mred HTTP/1.1\r\nHost: a\r\n\r\n`, 'latin1'))
  await raw.closed()
  await until(() => lines.filter(({ msg }) => msg === 'request').length === 2)
  t.notOk(lines.some(({ msg }) => msg === 'forged'))
  t.equal(lines.find(({ subject }) => subject !== undefined)?.subject, SPLIT, 'the value is there, as a value')
})

t.test('the subject is plain, hashed or off', async (t) => {
  const first = await stage(t, { log: { allowed: 1, subject: 'hashed' } })
  const { ask, issuer, lines, apply, issuers } = first
  const token = await issuer.sign({ sub: 'bob@corp.example' })
  const subjects = () => lines.filter(({ msg }) => msg === 'request').map(({ subject }) => subject)
  await ask('GET /x', token)
  await apply({ issuers, log: { allowed: 1, subject: 'off' } })
  await ask('GET /x', token)
  await apply({ issuers, log: { allowed: 1, subject: 'plain' } })
  await ask('GET /x', token)
  await until(() => subjects().length === 3)
  t.same(subjects(), [createHash('sha256').update('corp\0bob@corp.example').digest('hex').slice(0, 16), undefined, 'bob@corp.example'])
})

t.test('denials are logged, passes by their share; with rule, issuer, kid and trace id', async (t) => {
  const { ask, issuer, lines } = await stage(t, { log: { allowed: 0 }, rules: [{ name: 'admin', match: { path: '/admin' }, require: { roles: ['admin'] } }, { name: 'any', match: { path: '/**' }, require: {} }] })
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
  const token = await issuer.sign({ sub: 'bob' })
  for (let i = 0; i < 20; i++) await ask('GET /x', token)
  await ask('GET /admin', token, [`traceparent: 00-${trace}-00f067aa0ba902b7-01`])
  await until(() => lines.some(({ msg }) => msg === 'request'))
  t.match(lines.filter(({ msg }) => msg === 'request'), [{ verdict: 'deny', reason: 'role_missing', rule: 'admin', issuer: 'corp', kid: issuer.keys[0]!.kid, trace_id: trace, path: '/admin', method: 'GET', status: 403, peer: '127.0.0.1' }])
})

t.test('A13: a flood of refused requests does not flood the log: so many lines a second and reason, the rest is counted', async (t) => {
  const config = { log: { deniedPerSecond: 2 }, rules: [{ name: 'any', match: { path: '/**' }, require: {} }] }
  const { ask, issuers, lines, metric, close, address, apply } = await stage(t, config)
  const of = (kind: string, why: string) => lines.filter(({ msg, reason }) => msg === kind && reason === why)
  const flood = async (n: number) => {
    const connection = await connect(address)
    await connection.send('GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a.b.c\r\n\r\n'.repeat(n))
    const refused = () => connection.received().toString('latin1').split('HTTP/1.1 401').length - 1
    await until(() => refused() === n, 20_000, () => `${refused()} of ${n} answers`)
    connection.destroy()
  }
  const asked = () => metric('sidegate_decisions_total{verdict="deny",reason="token_malformed",rule="any"}')
  const began = performance.now()
  await flood(300)
  await ask('GET /x')
  await until(() => of('request', 'token_missing').length === 1)
  await apply({ issuers, ...config, realm: 'another' })
  await flood(300)
  t.equal(asked(), 600, 'every decision is counted')
  await close()
  const written = of('request', 'token_malformed').length
  const told = of('requests not logged', 'token_malformed').reduce((sum, { count }) => sum + Number(count), 0)
  const most = 20 + 2 * (performance.now() - began) / 1000
  t.ok(written >= 20 && written <= most, `${written} lines of at most ${Math.floor(most)}: a reload does not begin the burst anew`)
  t.equal(written + told, 600, 'no request is lost silently')
})

t.test('W3C trace context is passed on as it came', async (t) => {
  const { ask, issuer, app } = await stage(t)
  const fields = ['traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', 'tracestate: a=1,b=2']
  await ask('GET /x', await issuer.sign(), fields)
  for (const field of fields) t.match(app.requests[0]!.raw.toLowerCase(), field)
})

t.test('disk full: the sidecar answers on and counts what it could not write', async (t) => {
  const { issuers, app } = await stage(t)
  const file = writeConfig({ issuers, health: { bind: '127.0.0.1:0' } }, app.address)
  t.teardown(() => file.remove())
  // /dev/full answers every write with ENOSPC. The ready line goes there too, so the ports are fixed beforehand by asking for free ones.
  const probe = await startSidecar({ issuers }, { app: app.address })
  const ports = [probe.address.port, probe.sidecar.health!.port]
  await probe.close()
  file.write({ issuers, listeners: [{ bind: `127.0.0.1:${ports[0]}`, upstream: `127.0.0.1:${app.address.port}` }], health: { bind: `127.0.0.1:${ports[1]}` } })
  const full = openSync('/dev/full', 'w')
  const child = await spawnSidecar(file.path, { stdout: full, started: async () => (await fetch(`http://127.0.0.1:${ports[1]}/startupz`)).ok })
  t.teardown(() => child.kill())
  for (let i = 0; i < 10; i++) t.equal((await fetch(`http://127.0.0.1:${ports[0]}/x`)).status, 401)
  const page = () => fetch(`http://127.0.0.1:${ports[1]}/metrics`).then((response) => response.text())
  await until(async () => Number(/^sidegate_log_dropped_total (\d+)$/m.exec(await page())?.[1]) >= 11)
  child.process.kill('SIGTERM')
  t.equal(await child.ended(), 0)
})
