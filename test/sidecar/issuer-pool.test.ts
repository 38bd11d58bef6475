/** Key sets are shared, and closed when nobody has them. */
import t from 'tap'
import { createIssuerPool } from '../../src/sidecar/issuer-pool.ts'
import { configFor, fakeClock, startFaultyIssuer, until } from '../helpers/issuer.ts'

t.test('a key set that nobody leases any more asks its issuer no more, and is opened anew when it is wanted again', async (t) => {
  const issuer = await startFaultyIssuer({ algorithms: ['EdDSA'] })
  t.teardown(() => issuer.close())
  const clock = fakeClock()
  const pool = createIssuerPool({ clock })
  const config = configFor(issuer, t.testdirName)
  const [one, two] = [pool.lease(config), pool.lease(config)]
  t.equal(one.keys, two.keys)
  await until(() => clock.pending.length === 1, 'the next fetch is planned')
  one.release()
  t.equal(clock.pending.length, 1, 'somebody still has it')
  two.release()
  t.same(clock.pending, [], 'nothing is planned any more')
  const again = pool.lease(config)
  t.teardown(() => { again.release() })
  t.not(again.keys, one.keys)
})
