/** The metrics by which an operator sees that memory is short. */
import t from 'tap'
import { ledger } from '../../src/http/engine/ledger.ts'
import { connect, request } from '../helpers/raw.ts'
import { until } from '../helpers/sidecar.ts'
import { stage } from '../helpers/stage.ts'

t.test('connections, kept bytes and their bound, and who was ended', async (t) => {
  const { address, metric } = await stage(t, {})
  const most = ledger.most
  t.teardown(() => { ledger.most = most })
  t.equal(metric('sidegate_kept_bytes_max'), most)
  const client = await connect(address)
  await client.send(request('GET /').slice(0, 20))
  await until(() => metric('sidegate_connections') === 1 && metric('sidegate_kept_bytes') > 0)
  ledger.most = 1
  await client.send('more')
  t.equal((await client.next()).status, 503)
  t.equal(metric('sidegate_shed_total{kind="stalled"}'), 1)
  t.equal(metric('sidegate_decisions_total{verdict="deny",reason="overloaded",rule="-"}'), 1)
  client.destroy()
  await until(() => metric('sidegate_kept_bytes') === 0)
})
