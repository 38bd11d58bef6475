/** HTTP/1.0 on either side, expectations, and heads at their bounds. */
import t from 'tap'
import { Framing } from '../../../src/http/engine/framing.ts'
import { requestText } from '../../../src/http/engine/head.ts'
import { ledger } from '../../../src/http/engine/ledger.ts'
import { startEngine } from '../../../src/http/engine/start.ts'
import { answers, reply, chunked } from '../../helpers/app.ts'
import { connect, exchange, request } from '../../helpers/raw.ts'
import { startScripted } from '../../helpers/scripted.ts'

t.test('an HTTP/1.0 client gets no interim answer', async (t) => {
  const { script, proxy } = await startScripted(t, startEngine)
  script(answers.raw(Buffer.concat([Buffer.from('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'), reply(200, [], 'x')])))
  const client = await connect(proxy.address)
  await client.send('GET / HTTP/1.0\r\nHost: app\r\n\r\n')
  t.equal((await client.next()).status, 200)
  client.destroy()
})

t.test('an HTTP/1.0 app that does not say keep-alive is not asked again on that connection', async (t) => {
  const { app, script, proxy } = await startScripted(t, startEngine)
  for (const [field, same] of [['X-A: b', false], ['Connection: keep-alive', true]] as const) {
    script(answers.raw(`HTTP/1.0 200 OK\r\n${field}\r\nContent-Length: 2\r\n\r\nok`))
    for (let i = 0; i < 2; i++) t.equal((await exchange(proxy.address, request(`GET /${i}`))).text, 'ok')
    t.equal(app.requests[0]!.connection === app.requests[1]!.connection, same, field)
  }
})

t.test('a target of the verdict that is no target is not sent', (t) => {
  const head = { method: 'GET', target: '/a', headers: [], version: '1.1', peer: '', listener: undefined } as never
  for (const target of ['/a b', '/a\r\nX: y', '', '/\xe9']) t.equal(requestText(head, { raw: '', starts: [] }, { target, headers: [] } as never, new Framing(), undefined), undefined, target)
  t.end()
})

t.test('the first sixteen connections get through however short memory is', async (t) => {
  const { script, proxy } = await startScripted(t, startEngine)
  script(answers.ok)
  const before = ledger.most
  t.teardown(() => { ledger.most = before })
  ledger.most = 0
  t.equal((await exchange(proxy.address, request('GET /'))).status, 200)
})

t.test('an HTTP/1.0 answer in chunks is malformed', async (t) => {
  const { script, proxy } = await startScripted(t, startEngine)
  script(answers.raw(`HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['ok'])}`))
  t.equal((await exchange(proxy.address, request('GET /'))).status, 502)
  t.match(await proxy.finished(1), [{ outcome: { failed: 'upstream_malformed' } }])
})

t.test('who expects to be asked for a body that is none: served, then closed', async (t) => {
  const { script, proxy, app } = await startScripted(t, startEngine)
  script(answers.ok)
  for (const fields of [['Expect: 100-continue'], ['Expect: 100-continue', 'Content-Length: 0']]) {
    const client = await connect(proxy.address)
    await client.send(request('POST /', fields) + request('GET /behind'))
    t.equal((await client.next()).header('connection'), 'close')
    t.not(await client.closed(), 'open')
    t.equal(app.requests.filter(({ target }) => target === '/behind').length, 0)
  }
})

t.test('an app\'s whole head of more than 64 KiB is malformed, one below passes', async (t) => {
  const { script, proxy } = await startScripted(t, startEngine)
  const answer = (size: number) => answers.raw(`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(size)}\r\nContent-Length: 2\r\n\r\nok`)
  script(answer(60_000))
  t.equal((await exchange(proxy.address, request('GET /'))).status, 200)
  script(answer(70_000))
  t.equal((await exchange(proxy.address, request('GET /'))).status, 502)
  t.match(await proxy.finished(1), [{ outcome: { failed: 'upstream_malformed' } }])
})

t.test('thirty-two interim answers pass, one more is a flood', async (t) => {
  const { script, proxy } = await startScripted(t, startEngine)
  for (const [count, status] of [[32, 200], [33, 502]] as const) {
    script(answers.raw('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(count) + 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
    const client = await connect(proxy.address)
    await client.send('GET / HTTP/1.0\r\nHost: app\r\n\r\n')
    t.equal((await client.next()).status, status, `${count}`)
    client.destroy()
  }
})
