/**
 * All sockets read into one buffer, and large writes leave from buffers that are used again. So: a peer that reads slowly, while many others are
 * served, must get its own bytes and nobody else's, in both directions and in every kind of body.
 */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startEngine } from '../../../src/http/engine/start.ts'
import { chunked, reply, startApp } from '../../helpers/app.ts'
import { connect, exchange, request } from '../../helpers/raw.ts'
import { startProxy } from '../../helpers/transports.ts'

/** Bytes that are different for each owner and at each place. */
function pattern(owner: number, size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32BE(((owner << 24) | (at >> 2)) >>> 0, at)
  return bytes
}
const sum = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const BIG = 4 << 20

t.test('slow readers of large responses get their own bytes', async (t) => {
  const app = await startApp(async (got, connection) => {
    await got.body
    const [, kind, owner, size] = got.target.split('/')
    const body = pattern(Number(owner), Number(size))
    if (kind === 'length') return connection.write(reply(200, [], body))
    await connection.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    for (let at = 0; at < body.length; at += 50_000) {
      const piece = body.subarray(at, at + 50_000)
      await connection.write(Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]))
    }
    return connection.write('0\r\n\r\n')
  })
  const proxy = await startProxy(startEngine, app.address)
  t.teardown(async () => { await proxy.close(); await app.close() })
  const slow = await Promise.all(['length', 'chunked', 'length', 'chunked'].map(async (kind, owner) => {
    const client = await connect(proxy.address)
    client.socket.pause()
    await client.send(request(`GET /${kind}/${owner + 1}/${BIG}`))
    return { client, owner: owner + 1 }
  }))
  await app.got(4)
  await sleep(100)
  for (let round = 0; round < 3; round++) {
    const sizes = [10, 3_000, 20_000, 100_000, 300_000]
    const fast = await Promise.all(sizes.map(async (size, at) => ({ size, at, response: await exchange(proxy.address, request(`GET /${at % 2 ? 'length' : 'chunked'}/${100 + at}/${size}`)) })))
    for (const { size, at, response } of fast) t.equal(sum(response.body), sum(pattern(100 + at, size)))
    for (const { client } of slow) { client.socket.resume(); await sleep(2); client.socket.pause() }
  }
  for (const { client } of slow) client.socket.resume()
  for (const { client, owner } of slow) {
    t.equal(sum((await client.next('GET', 20_000)).body), sum(pattern(owner, BIG)), `slow reader ${owner}`)
    client.destroy()
  }
})

t.test('an app that reads large requests slowly gets the bytes of each client', async (t) => {
  const app = await startApp(async (got, connection) => {
    if (got.target.startsWith('/slow')) {
      for (let pauses = 0; pauses < 20; pauses++) {
        connection.socket.pause()
        await sleep(5)
        connection.socket.resume()
        await sleep(1)
      }
    }
    await connection.write(reply(200, [], sum((await got.body).content)))
  })
  const proxy = await startProxy(startEngine, app.address)
  t.teardown(async () => { await proxy.close(); await app.close() })
  const post = async (target: string, owner: number, size: number, inChunks: boolean): Promise<void> => {
    const body = pattern(owner, size)
    const text = body.toString('latin1')
    const sent = inChunks
      ? request(`POST ${target}`, ['Transfer-Encoding: chunked'], chunked(text.match(/[^]{1,70000}/g)!))
      : request(`POST ${target}`, [`Content-Length: ${size}`], text)
    const response = await exchange(proxy.address, sent)
    t.equal(response.text, sum(body), `${target} ${owner}`)
  }
  await Promise.all([
    post('/slow', 1, 3 << 20, false), post('/slow', 2, 3 << 20, true),
    (async () => { for (let at = 0; at < 20; at++) await post('/fast', 50 + at, 1_000 + at * 7_777, at % 2 === 0) })(),
  ])
})
