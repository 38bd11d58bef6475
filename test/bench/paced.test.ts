import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import t, { type Test } from 'tap'
import { output } from './output.ts'

const folder = mkdtempSync(`${tmpdir()}/paced-`)
t.teardown(() => rmSync(folder, { recursive: true }))
writeFileSync(`${folder}/token`, 'a.b.c')

interface Said { answered: number, p50: number, p99: number, errors: number, late: number, cpuMs: number }

/** Runs the generator for a second against an app that answers each request after a delay, in two pieces. */
async function run(t: Test, rate: number, connections: number, delayMs: number): Promise<Said & { requests: number }> {
  let requests = 0
  const app = net.createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      if (!chunk.toString('latin1').includes('Authorization: Bearer a.b.c\r\n')) { socket.destroy(); return }
      requests++
      setTimeout(() => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nhello ')
        setImmediate(() => socket.write('world!\n'))
      }, delayMs)
    })
  }).listen(0, '127.0.0.1')
  await once(app, 'listening')
  t.teardown(() => app.close())
  const text = await output(process.execPath, [new URL('paced.ts', import.meta.url).pathname, String((app.address() as net.AddressInfo).port), String(rate), String(connections), '1', `${folder}/token`])
  return { ...JSON.parse(text) as Said, requests }
}

t.test('every request is sent once, answered, and timed from when it was due', async (t) => {
  const { answered, requests, errors, p50, cpuMs } = await run(t, 100, 4, 5)
  t.equal(requests, 150, 'a second, and half a second before to warm up')
  t.same({ answered, errors }, { answered: 150, errors: 0 })
  t.ok(p50 >= 4, `${p50} ms: not less than the app took`)
  t.ok(cpuMs > 0)
})

t.test('an app that is too slow shows in the times, and what it never answers is an error', async (t) => {
  const { answered, errors, p50 } = await run(t, 100, 3, 100)
  t.ok(p50 > 500, `${p50} ms: the wait for a free connection counts`)
  t.ok(errors > 0)
  t.equal(answered + errors, 150)
})
