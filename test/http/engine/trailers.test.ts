/** Trailers cannot say how the connection goes on (RFC 9110 section 6.5.1). Node's parser lets `Connection: close` there end it: found by test/differential, seed 77003. */
import t from 'tap'
import { startEngine } from '../../../src/http/engine/start.ts'
import { answers, chunked } from '../../helpers/app.ts'
import { connect, request } from '../../helpers/raw.ts'
import { startScripted } from '../../helpers/scripted.ts'

t.test('a field about the connection in the trailers changes nothing: the next request is one, in one piece or byte by byte', async (t) => {
  const { app, proxy, script } = await startScripted(t, startEngine)
  for (const trailer of ['Connection: close', 'connection: x, close', 'Proxy-Connection: close', 'Connection: Upgrade', 'Upgrade: websocket', 'Connection: Host']) {
    const bytes = request('POST /first', ['Transfer-Encoding: chunked'], chunked(['hello'], [trailer])) + request('GET /second')
    for (const pieces of [[bytes], bytes.split('')]) {
      script(answers.echo)
      const client = await connect(proxy.address)
      await client.send(...pieces)
      t.equal((await client.next()).text, 'hello', trailer)
      t.equal((await client.next()).status, 200)
      t.same(app.requests.map(({ method, target }) => `${method} ${target}`), ['POST /first', 'GET /second'])
      t.notMatch(app.requests[0]!.raw, /close|upgrade/i)
      t.equal(client.ending(), 'open')
      client.destroy()
    }
  }
})
