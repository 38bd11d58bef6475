/** A tunnel whose token lapsed, and whose app never ends its frame. */
import t from 'tap'
import type { RequestHead, Verdict } from '../../../src/http/contract.ts'
import { startEngine } from '../../../src/http/engine/start.ts'
import { answers, startApp, takeOver } from '../../helpers/app.ts'
import { connect, request } from '../../helpers/raw.ts'
import { standIn, startProxy } from '../../helpers/transports.ts'

const watched = (head: RequestHead): Verdict => ({ ...standIn(head), watched: true }) as Verdict

t.test('a WebSocket whose app never ends its frame ends at the second look after its token lapsed', async (t) => {
  let lapsed = false
  const app = await startApp(async (got, connection) => { await answers.upgrade('websocket')(got, connection); takeOver(connection.socket, () => {}); await connection.write(Buffer.from([0x81, 0x7d, 0x68])) })
  const proxy = await startProxy(startEngine, app.address, { decide: watched, lapsed: () => lapsed ? 'token_expired' : undefined })
  t.teardown(async () => { await proxy.close(); await app.close() })
  const client = await connect(proxy.address)
  await client.send(request('GET /', ['Connection: Upgrade', 'Upgrade: websocket']))
  await client.until((bytes) => bytes.includes('h', bytes.length - 1))
  lapsed = true
  t.not(await client.closed(4_000), 'open')
  t.match(await proxy.finished(1), [{ outcome: { status: 101, failed: 'token_expired' } }])
})
