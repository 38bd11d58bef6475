/** The parser we rely on: where undici keeps it, and that it is as strict as the engine takes it to be. An update of undici that changes either fails here. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import t from 'tap'
import { REQUEST, RESPONSE, TOO_MANY_FIELDS, leaseParser, releaseParser } from '../../../src/http/engine/llhttp.ts'

const require = createRequire(import.meta.url)
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const HOST = 'GET / HTTP/1.1\r\nHost: a\r\n'

/** Reads a head in one piece, or in the pieces given. */
function read(type: number, ...pieces: string[]) {
  const parser = leaseParser(type, 100)
  let at = 0
  for (const piece of pieces) {
    at = parser.head(bytes(piece), 0, piece.length)
    if (parser.error !== 0 || parser.headDone) break
  }
  return { parser, at }
}

t.test('undici is pinned to one version and has the build where it is looked for', (t) => {
  const { dependencies } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { dependencies: { undici: string } }
  t.match(dependencies.undici, /^\d+\.\d+\.\d+$/)
  t.equal((require('undici/package.json') as { version: string }).version, dependencies.undici)
  t.type(require('undici/lib/llhttp/llhttp_simd-wasm.js'), Uint8Array)
  const { ERROR, METHODS } = require('undici/lib/llhttp/constants.js') as { ERROR: Record<string, number>; METHODS: Record<string, number> }
  t.match(ERROR, { OK: 0, UNEXPECTED_CONTENT_LENGTH: 4, INVALID_VERSION: 9, INVALID_CONTENT_LENGTH: 11, INVALID_TRANSFER_ENCODING: 15, PAUSED: 21, PAUSED_UPGRADE: 22, USER: TOO_MANY_FIELDS })
  for (const [name, number] of Object.entries(METHODS)) {
    const protocol = number >= 35 && number <= 45 ? 'RTSP/1.0' : name === 'PRI' ? undefined : 'HTTP/1.1'
    if (protocol) t.equal(read(REQUEST, `${name} ${name === 'CONNECT' ? 'a:1' : '/'} ${protocol}\r\n\r\n`).parser.method, name)
  }
  t.end()
})

t.test('a head, in one piece and cut at every byte', (t) => {
  const head = 'POST /a?b HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Space: \t a b \t \r\nX-\xe9: no'.replace('X-\xe9: no', 'x-last: \xe9\r\n\r\n')
  const wanted = ['Host', 'a', 'X-Empty', '', 'X-Space', 'a b', 'x-last', '\xe9']
  for (let cut = 0; cut < head.length; cut++) {
    const { parser } = read(REQUEST, ...[head.slice(0, cut), head.slice(cut)].filter(Boolean))
    t.equal(parser.headDone, true)
    t.equal(parser.target, '/a?b')
    t.equal(parser.raw, head)
    t.same(parser.headers, wanted, `cut at ${cut}`)
    releaseParser(parser)
  }
  t.end()
})

t.test('it stops behind the head, whatever follows, however much', (t) => {
  const head = `${HOST}Content-Length: 9\r\n\r\n`
  for (const rest of ['', 'x', '\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n', 'y'.repeat(5_000), '\r\n\r\n'.repeat(2_000), 'z'.repeat(100_000)]) {
    const { parser, at } = read(REQUEST, head + rest)
    t.equal(parser.headDone, true)
    t.equal(at, head.length)
  }
  t.end()
})

t.test('what the engine counts on being refused', (t) => {
  const bad = [
    'GET / HTTP/1.1\nHost: a\r\n\r\n', `${HOST}A: b\n\r\n`, `${HOST}A: b\rC: d\r\n\r\n`, `${HOST}\n`, `${HOST}A: b\r\n c\r\n\r\n`, 'GET / HTTP/1.1\r\n A: b\r\n\r\n', `${HOST}A : b\r\n\r\n`, `${HOST}A b: c\r\n\r\n`,
    `${HOST}: b\r\n\r\n`, `${HOST}A\x80: b\r\n\r\n`, `${HOST}A: b\0\r\n\r\n`, `${HOST}A: b\x01\r\n\r\n`, `${HOST}A: \x7f\r\n\r\n`, `${HOST}Content\rLength: 1\r\n\r\n`,
    'GET /\x80 HTTP/1.1\r\n\r\n', 'GET /\0 HTTP/1.1\r\n\r\n', 'GET /\t HTTP/1.1\r\n\r\n', 'GET\t/ HTTP/1.1\r\n\r\n', 'GET / HTTP/1.2\r\n\r\n', 'GET / HTTP/1.1 \r\n\r\n', 'get / HTTP/1.1\r\n\r\n', 'FOO / HTTP/1.1\r\n\r\n',
    `${HOST}Content-Length: 1\r\nContent-Length: 1\r\n\r\n`, `${HOST}Content-Length: 1, 1\r\n\r\n`, `${HOST}Content-Length: +1\r\n\r\n`, `${HOST}Content-Length: 1 1\r\n\r\n`, `${HOST}Content-Length:\r\n\r\n`,
    `${HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, `${HOST}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n`, `${HOST}Transfer-Encoding: chunked, identity\r\n\r\n`,
    `${HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
  ]
  for (const text of bad) t.not(read(REQUEST, text).parser.error, 0, JSON.stringify(text))
  const responses = ['HTTP/1.1 99 X\r\n\r\n', 'HTTP/1.1 2000 X\r\n\r\n', 'HTTP/1.1  200 OK\r\n\r\n', 'HTTP/1.1 200 OK\n\n', 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n', 'x HTTP/1.1 200 OK\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n']
  for (const text of responses) t.not(read(RESPONSE, text).parser.error, 0, JSON.stringify(text))
  t.end()
})

t.test('chunked bodies: spans, trailers, and what is no chunk', (t) => {
  const chunked = (body: string) => {
    const { parser } = read(REQUEST, `${HOST}Transfer-Encoding: chunked\r\n\r\n`)
    parser.startBody()
    const at = parser.body(bytes(body), 0, body.length)
    return { parser, at, spans: [...parser.spans] }
  }
  const { parser, at, spans } = chunked('3;e=x\r\nabc\r\n2\r\nde\r\n0\r\nX-T: v \r\n\r\nGET')
  t.same(spans, [7, 10, 15, 17])
  t.equal(parser.ended, true)
  t.equal(at, 33)
  t.same(parser.headers, ['X-T', 'v'])
  for (const bad of ['3\nabc\r\n', '3\r\nabcd\r\n', '0x3\r\n', '+3\r\n', '-3\r\n', '3 \r\n', ' 3\r\n', '\r\n', 'g\r\n', '10000000000000000\r\n', '3;\r\n', '3;a\nb\r\n', '3;a\rb\r\n', '3;a\0\r\n', '0\r\nA: b\n\n', '0\r\n\n', '0\n\r\n']) {
    t.not(chunked(bad).parser.error, 0, JSON.stringify(bad))
  }
  t.end()
})

t.test('header fields are counted, trailers with them', (t) => {
  const many = leaseParser(REQUEST, 3)
  many.head(bytes(`${HOST}A: b\r\nC: d\r\nE: f\r\n\r\n`), 0, 100)
  t.equal(many.error, TOO_MANY_FIELDS)
  t.end()
})

t.test('thousands of parsers: the memory grows, and no parser is disturbed', (t) => {
  const half = leaseParser(REQUEST, 100)
  half.head(bytes('GET /half HTTP/1.1\r\nHo'), 0, 22)
  const parsers = Array.from({ length: 5_000 }, () => leaseParser(REQUEST, 100))
  for (const [index, parser] of parsers.entries()) {
    const text = `GET /${index} HTTP/1.1\r\nX: ${index}\r\n\r\n`
    parser.head(bytes(text), 0, text.length)
  }
  t.ok(parsers.every((parser, index) => parser.headDone && parser.target === `/${index}` && parser.headers[1] === `${index}`))
  half.head(bytes('st: a\r\n\r\n'), 0, 9)
  t.same(half.headers, ['Host', 'a'])
  parsers.forEach(releaseParser)
  t.end()
})
