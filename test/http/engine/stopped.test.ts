/** A process that did not run for longer than a deadline, as under a CPU quota or on a node that was suspended: what came in the meantime counts as come. */
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startEngine } from '../../../src/http/engine/start.ts'
import { reply, startApp } from '../../helpers/app.ts'
import { connect, request } from '../../helpers/raw.ts'
import { startProxy } from '../../helpers/transports.ts'

const STOPPED = 700

/** Stops this process, at the worst place: behind what was read, before the timers. What `meanwhile` sends stays in the kernel. */
const stop = (meanwhile: () => void): Promise<void> => new Promise((resolve) => {
  setImmediate(() => {
    meanwhile()
    spawnSync('sleep', [String(STOPPED / 1_000)])
    resolve()
  })
})

t.test('a head and a body that came while we were stopped are read before their deadlines are judged', async (t) => {
  const app = await startApp(async (got, connection) => {
    await got.body
    await connection.write(reply(200, [], got.target))
  })
  const proxy = await startProxy(startEngine, app.address, { limits: { headerTimeout: 400, idleTimeout: 400, upstreamTimeout: 400 } })
  t.teardown(async () => { await proxy.close(); await app.close() })
  const [head, body] = await Promise.all([connect(proxy.address), connect(proxy.address)])
  const whole = request('GET /head')
  await head.send(whole.slice(0, 20))
  await body.send(request('POST /body', ['Content-Length: 10'], 'hello'))
  await sleep(50)
  await stop(() => {
    head.socket.write(whole.slice(20))
    body.socket.write('world')
  })
  t.equal((await head.next()).text, '/head')
  t.equal((await body.next()).text, '/body')
  head.destroy()
  body.destroy()
})

t.test('one that sends nothing is still told so', async (t) => {
  const app = await startApp()
  const proxy = await startProxy(startEngine, app.address, { limits: { headerTimeout: 300 } })
  t.teardown(async () => { await proxy.close(); await app.close() })
  const client = await connect(proxy.address)
  await client.send('GET / HT')
  await sleep(20)
  await stop(() => {})
  t.equal((await client.next()).status, 408)
  client.destroy()
})
