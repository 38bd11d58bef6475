/**
 * Forged identity (catalogue 3b), raw bytes through the running sidecar over each transport. `bob` is a user; the app believes every header it gets, and
 * records them.
 */
import t, { type Test } from 'tap'
import { answers, chunked, reply } from '../helpers/app.ts'
import { SEPARATORS } from '../helpers/folding.ts'
import { connect, exchange, request, type RawResponse } from '../helpers/raw.ts'
import { stage, type Stage } from '../helpers/stage.ts'
import { transports } from '../helpers/transports.ts'

const CONFIG = {
  identity: {
    headers: {
      'X-User-Id': { claim: 'sub', required: true },
      'X-User-Roles': { claim: 'roles', encoding: 'csv' },
      'X-User-Name': { claim: 'name', encoding: 'json' },
      'X-Tenant-Id': { claim: 'tenantId' },
    },
    alsoStrip: ['X-Internal-Assertion'],
  },
  rules: [
    { match: { path: '/public/**' }, allow: 'anonymous' },
    { match: { path: '/optional' }, allow: 'optional' },
    { match: { path: '/audit' }, require: { roles: ['admin'] }, mode: 'audit' },
    { match: { path: '/**' }, require: {} },
  ],
}

/** Spellings of a header that some framework reads as the header. */
const spellings = (name: string) => [
  name, name.toLowerCase(), name.toUpperCase(), name.replaceAll('-', '_'), name.replaceAll('-', '.'), name.replace('-', '_'), name.replace('-', '.').toLowerCase(), ...SEPARATORS.map((separator) => name.replaceAll('-', separator)),
]

/** What the app got of the header, in whatever spelling. */
function atApp({ app }: Stage, name = 'X-User-Id'): readonly string[] {
  const [got] = app.requests
  if (got === undefined) throw new Error('the app got nothing')
  const fold = (text: string) => text.toLowerCase().replaceAll(/[^a-z0-9]/g, '-')
  return got.headers.filter((_, i) => i % 2 === 1 && fold(got.headers[i - 1]!) === fold(name))
}

for (const [name, transport] of transports) {
  t.test(name, async (t) => {
    const sidecar = await stage(t, CONFIG, { transport })
    const bob = await sidecar.issuer.sign({ sub: 'bob', roles: ['user'] })
    const ask = async (line: string, token?: string, fields: readonly string[] = [], body = ''): Promise<RawResponse> => {
      sidecar.app.clear()
      sidecar.app.answer(answers.echo)
      return sidecar.ask(line, token, fields, body)
    }

    t.test('H1 H3 H4 H5 with a token the app reads the token\'s subject and nobody else\'s, in every spelling', async (t) => {
      for (const spelling of spellings('X-User-Id')) {
        t.equal((await ask('GET /x', bob, [`${spelling}: admin`])).status, 200)
        t.same(atApp(sidecar), ['bob'], spelling)
      }
      for (const spelling of spellings('X-User-Roles')) {
        await ask('GET /x', bob, [`${spelling}: admin`])
        t.same(atApp(sidecar, 'X-User-Roles'), ['user'], spelling)
      }
    })

    t.test('H1 a header of ours that the token says nothing of is gone, too', async (t) => {
      await ask('GET /x', bob, spellings('X-Tenant-Id').map((spelling) => `${spelling}: acme`))
      t.same(atApp(sidecar, 'X-Tenant-Id'), [])
    })

    t.test('H2 on anonymous, optional and audited routes nobody has a name without a good token', async (t) => {
      const expired = await sidecar.issuer.sign({ sub: 'bob', exp: 1000 })
      const forged = [...spellings('X-User-Id').map((spelling) => `${spelling}: admin`), ...spellings('X-Internal-Assertion').map((spelling) => `${spelling}: yes`)]
      for (const [path, token] of [['/public/x', undefined], ['/public/x', bob], ['/public/x', expired], ['/optional', undefined], ['/audit', undefined], ['/audit', expired]] as const) {
        t.equal((await ask(`GET ${path}`, token, forged)).status, 200, path)
        t.notMatch(sidecar.app.requests[0]!.raw, /admin|user.id|assertion/i, `${path} ${token === undefined ? '' : 'with a token'}`)
      }
      await ask('GET /optional', bob, forged)
      t.same(atApp(sidecar), ['bob'])
      await ask('GET /audit', bob, forged)
      t.same(atApp(sidecar), ['bob'], 'a good token that lacks the role')
    })

    t.test('H6 duplicates, empty and joined values', async (t) => {
      await ask('GET /x', bob, ['X-User-Roles: admin', 'X-User-Roles: root', 'x-user-roles:', 'X_User_Roles: a, b'])
      t.same(atApp(sidecar, 'X-User-Roles'), ['user'])
    })

    t.test('H7 Connection cannot remove ours', async (t) => {
      for (const connection of ['close, X-User-Id', 'X-User-Id', 'x-user-id, X-USER-ROLES', 'X_User_Id', ',X-User-Id,,keep-alive']) {
        await ask('GET /x', bob, [`Connection: ${connection}`, 'X-User-Id: admin'])
        t.same([atApp(sidecar), atApp(sidecar, 'X-User-Roles')], [['bob'], ['user']], connection)
      }
      await ask('GET /x', bob, ['Connection: close', 'Connection: X-User-Id', 'connection: X-Forwarded-For'])
      t.same([atApp(sidecar), atApp(sidecar, 'X-Forwarded-For')], [['bob'], ['127.0.0.1']])
    })

    t.test('H8 Connection that names what the message is made of is refused; what else it names goes', async (t) => {
      for (const named of ['Host', 'Content-Length', 'Transfer-Encoding', 'close, content-length', 'TRANSFER-ENCODING', 'content_length']) {
        t.equal((await ask('POST /x', bob, [`Connection: ${named}`, 'Content-Length: 5'], 'hello')).status, 400, named)
        t.equal(sidecar.app.requests.length, 0, named)
      }
      t.equal((await ask('POST /x', bob, ['Connection: Authorization, Cookie, X-A', 'Cookie: c=1', 'X-A: 1', 'X-B: 2', 'Content-Length: 5'], 'hello')).status, 200, 'the token counts all the same')
      t.notMatch(sidecar.app.requests[0]!.raw, /authorization|cookie|x-a/i)
      t.match(sidecar.app.requests[0]!.raw, /X-B: 2/)
      t.equal((await sidecar.app.requests[0]!.body).content.toString(), 'hello')
    })

    t.test('H9 trailers carry no identity', async (t) => {
      const trailers = [...spellings('X-User-Id').map((spelling) => `${spelling}: admin`), 'Authorization: Bearer x', 'Content-Type: text/html', 'Host: evil', 'X-Forwarded-For: 1.1.1.1', 'X-Checksum: 42']
      t.equal((await ask('POST /x', bob, ['Transfer-Encoding: chunked', 'Trailer: X-User-Id, X-Checksum'], chunked(['hello'], trailers))).status, 200)
      const body = await sidecar.app.requests[0]!.body
      t.equal(body.content.toString(), 'hello')
      t.notMatch(body.raw.toString('latin1'), /admin|bearer|evil|1\.1\.1\.1|html/i)
      t.same(atApp(sidecar), ['bob'])
    })

    t.test('H10 names that every object has are names like others', async (t) => {
      const odd = ['__proto__: x', 'constructor: y', 'hasOwnProperty: z', 'toString: 1', 'prototype: 2']
      t.equal((await ask('GET /x', bob, odd)).status, 200)
      for (const field of odd) t.ok(sidecar.app.requests[0]!.raw.includes(`${field}\r\n`), field)
      t.same(atApp(sidecar), ['bob'])
    })

    t.test('H11 more headers than the limit: 431, and never a part of them', async (t) => {
      const many = Array.from({ length: 2000 }, (_, i) => `X-${i}: 1`)
      for (const fields of [['X-User-Id: admin', ...many], [...many, 'X-User-Id: admin'], many.slice(0, 250)]) {
        t.equal((await ask('GET /public/x', undefined, fields)).status, 431)
        t.equal(sidecar.app.requests.length, 0)
      }
      t.equal((await ask('GET /x', bob, [...many.slice(0, 190), 'X-User-Id: admin'])).status, 200)
      t.same(atApp(sidecar), ['bob'], 'just below it')
    })

    t.test('H12 no claim adds a header or a byte that is not ASCII', async (t) => {
      for (const sub of ['a\r\nX-User-Roles: admin', 'a\nb', 'a\rb', 'a\x00b', 'ⅰ\u010d', 'Zoë', '\u{1f600}', ' bob', 'bob ', 'a\tb']) {
        t.equal((await ask('GET /x', await sidecar.issuer.sign({ sub, roles: ['user'] }))).status, 403, JSON.stringify(sub))
        t.equal(sidecar.app.requests.length, 0)
      }
      await ask('GET /x', await sidecar.issuer.sign({ sub: 'bob', name: 'Zoë\r\nX-User-Roles: admin\u{1f600}' }))
      t.same(atApp(sidecar, 'X-User-Name'), [String.raw`"Zo\u00eb\r\nX-User-Roles: admin\ud83d\ude00"`])
      t.same(atApp(sidecar, 'X-User-Roles'), [])
    })

    t.test('H13 one role is never two', async (t) => {
      for (const roles of [['user,admin'], 'user,admin', ['a', 'b,c'], ['"a', 'b"'], ['a', ''], [['admin']], { admin: true }]) {
        t.equal((await ask('GET /x', await sidecar.issuer.sign({ sub: 'bob', roles }))).status, 403, JSON.stringify(roles))
        t.equal(sidecar.app.requests.length, 0)
      }
      await ask('GET /x', await sidecar.issuer.sign({ sub: 'bob', roles: ['a b', 'c'] }))
      t.same(atApp(sidecar, 'X-User-Roles'), ['a b,c'])
    })

    t.test('H14 the app\'s answer shows no identity header, as header or trailer, in any spelling', async (t) => {
      sidecar.app.clear()
      sidecar.app.answer(answers.raw(reply(200, [...spellings('X-User-Id').map((spelling) => `${spelling}: admin`), 'X-Internal-Assertion: secret', 'X-App: kept'], 'ok')))
      const plain = await sidecar.ask('GET /x', bob)
      t.notMatch(plain.raw, /user.id|assertion|secret/i)
      t.equal(plain.header('X-App'), 'kept')
      sidecar.app.answer(answers.raw(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-User-Id\r\n\r\n${chunked(['ok'], ['X-User-Id: admin', 'X-Internal.Assertion: secret', 'X-Sum: 1'])}`))
      const streamed = await sidecar.ask('GET /x', bob)
      t.equal(streamed.text, 'ok')
      t.notMatch([...streamed.headers, ...streamed.trailers].join('\n'), /admin|secret/)
    })

    t.test('H15 X-Forwarded-* and Forwarded say what the sidecar saw', async (t) => {
      await ask('GET /x', bob, ['X-Forwarded-For: 10.0.0.1', 'X-Forwarded-For: 127.0.0.1', 'x_forwarded_for: 8.8.8.8', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: evil', 'X-Forwarded-Port: 1', 'Forwarded: for=8.8.8.8', 'X-Real-IP: 8.8.8.8', 'True-Client-IP: 8.8.8.8', 'X-Forwarded-Client-Cert: Subject=admin', 'Host: app.example'])
      t.same(['X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host'].map((header) => atApp(sidecar, header)), [['127.0.0.1'], ['http'], ['app.example']])
      t.notMatch(sidecar.app.requests[0]!.raw, /8\.8\.8\.8|evil|https|subject|-port/i)
    })

    t.test('H20 identity headers of other proxies are worth nothing here', async (t) => {
      await ask('GET /public/x', undefined, ['X-Forwarded-User: admin', 'Remote-User: admin', 'x_auth_request_email: admin@corp', 'X-Goog-Authenticated-User-Email: admin', 'X-SSL-Client-DN: CN=admin'])
      t.notMatch(sidecar.app.requests[0]!.raw, /admin/)
    })

    t.test('H21 an integer that is not the token\'s own any more is nobody\'s identity', async (t) => {
      for (const sub of ['1234567890123456789', '1234567890123456788']) {
        const id = await sidecar.issuer.sign({ sub: 'x', roles: [(JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(sub)] })
        await ask('GET /x', id)
        t.notMatch(sidecar.app.requests.map(({ raw }) => raw).join(), /123456789/)
      }
    })

    t.test('H16 a 101 is cleaned of what Connection names, and of ours', async (t) => {
      sidecar.app.clear()
      sidecar.app.answer(answers.upgrade('websocket', ['Connection: X-Hop', 'X-Hop: 1', 'X-User-Id: admin', 'Keep-Alive: timeout=5', 'X-App: kept']))
      const client = await connect(sidecar.address)
      t.teardown(() => { client.destroy() })
      await client.send(request('GET /x', [`Authorization: Bearer ${bob}`, 'Connection: Upgrade, X-User-Id', 'Upgrade: websocket', 'X-User-Id: admin', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']))
      const switched = await client.next()
      t.equal(switched.status, 101)
      t.notMatch(switched.raw, /x-hop|user-id|keep-alive/i)
      t.match(switched.raw, /X-App: kept/)
      t.same(atApp(sidecar), ['bob'], 'and the handshake carries the token\'s subject')
    })

    t.test('H17 framing headers in other spellings reach nobody', async (t) => {
      await ask('POST /x', bob, ['Content-Length: 5', 'Content_Length: 0', 'Transfer_Encoding: chunked', 'transfer.encoding: chunked', 'Proxy: http://evil/', 'Keep_Alive: 1'], 'hello')
      t.notMatch(sidecar.app.requests[0]!.raw, /content[_.]length|transfer|proxy|keep_alive/i)
      t.equal((await sidecar.app.requests[0]!.body).content.toString(), 'hello')
    })

    t.test('H18 the token does not reach the app, nor what an app could take for it', async (t) => {
      for (const fields of [[], ['authorization: Bearer x'], ['X-Authorization: kept']]) {
        const response = await ask('GET /x', bob, fields)
        if (fields[0]?.startsWith('auth') === true) t.equal(response.status, 400, 'two tokens')
        else t.notMatch(sidecar.app.requests[0]!.raw, /^authorization/im)
      }
    })

    t.test('H19 identity is per request on one connection: nothing of the last one stays', async (t) => {
      sidecar.app.clear()
      sidecar.app.answer(answers.echo)
      const client = await connect(sidecar.address)
      t.teardown(() => { client.destroy() })
      const eve = await sidecar.issuer.sign({ sub: 'eve', roles: ['admin'], tenantId: 'acme' })
      await client.send(request('GET /1', [`Authorization: Bearer ${eve}`]) + request('GET /public/2') + request('GET /3', [`Authorization: Bearer ${bob}`]))
      for (let i = 0; i < 3; i++) t.equal((await client.next()).status, 200)
      t.same(sidecar.app.requests.map((got) => [got.target, got.values('x-user-id'), got.values('x-user-roles'), got.values('x-tenant-id')]), [['/1', ['eve'], ['admin'], ['acme']], ['/public/2', [], [], []], ['/3', ['bob'], ['user'], []]])
    })
  })
}

t.test('H15 from a trusted proxy what it said is kept and the proxy appended', async (t: Test) => {
  const sidecar = await stage(t, { ...CONFIG, forwarded: { trustedProxies: ['127.0.0.0/8'] } })
  await exchange(sidecar.address, request('GET /public/x', ['X-Forwarded-For: 203.0.113.9', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: www.example', 'Forwarded: for=203.0.113.9', 'X-Original-URL: /admin', 'X-User-Id: admin']))
  t.same(['X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'Forwarded', 'X-Original-URL', 'X-User-Id'].map((header) => atApp(sidecar, header)), [['203.0.113.9, 127.0.0.1'], ['https'], ['www.example'], ['for=203.0.113.9, for=127.0.0.1'], [], []])
})
