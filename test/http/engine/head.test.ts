/** Heads as they go out: what was written before has no part in what is written now. */
import * as fc from 'fast-check'
import t from 'tap'
import type { Forward, Reply, RequestHead } from '../../../src/http/contract.ts'
import { Framing } from '../../../src/http/engine/framing.ts'
import { replyText, requestText } from '../../../src/http/engine/head.ts'
import { createReplies } from '../../../src/http/reply.ts'
import { codeUnit, holds } from '../../helpers/property.ts'

const address = { host: '127.0.0.1', port: 1 }
const HEAD: RequestHead = { method: 'GET', target: '/', headers: [], version: '1.1', peer: '127.0.0.1', listener: { bind: address, upstream: address } }

function written(headers: readonly string[]): string | undefined {
  const verdict: Forward = { kind: 'forward', upstream: address, headers, target: '/', upgrade: undefined, dropsResponseHeader: () => false, dropsTrailer: () => false, watched: false }
  return requestText(HEAD, { raw: '', starts: [] }, verdict, new Framing(), undefined)
}

/** The rule, without anything remembered. */
function expected(headers: readonly string[]): string | undefined {
  let text = 'GET / HTTP/1.1\r\n'
  for (let at = 0; at < headers.length; at += 2) {
    const [name, value] = [headers[at]!, headers[at + 1]!]
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) || /[^\t\x20-\x7e\x80-\xff]/.test(value)) return undefined
    text += `${name}: ${value}\r\n`
  }
  return `${text}\r\n`
}

const name = fc.constantFrom('X-User-Id', 'X-Roles', 'x-user-id', 'X Y', 'A:', '')
const value = fc.oneof(fc.constantFrom('same', 'same', 'other', 'a\r\nX-User-Id: b', 'č', 'café'), fc.string({ unit: codeUnit, maxLength: 8 }))

t.test('an added header is what the verdict says or nothing at all, whatever went out under its name before', (t) => {
  holds(t, 'as if it were the first', fc.array(fc.array(fc.tuple(name, value), { maxLength: 3 }), { maxLength: 40 }), (requests) => requests.every((fields) => written(fields.flat()) === expected(fields.flat())), 500)
  t.end()
})

t.test('a good value under a name lets no bad one through', (t) => {
  for (let time = 0; time < 40; time++) t.equal(written(['X-User-Id', 'alice']), 'GET / HTTP/1.1\r\nX-User-Id: alice\r\n\r\n')
  t.equal(written(['X-User-Id', 'alice\r\nX-Admin: 1']), undefined)
  t.equal(written(['X-User-Id', 'bob']), 'GET / HTTP/1.1\r\nX-User-Id: bob\r\n\r\n')
  t.equal(written(['X-User-Id', 'alice']), 'GET / HTTP/1.1\r\nX-User-Id: alice\r\n\r\n')
  t.end()
})

const dateless = (text: string): string => text.replace(/\r\nDate: [^\r]+/, '')

t.test('replies: one list of headers under two bodies or two statuses is two replies', (t) => {
  const headers = ['Content-Type', 'text/plain', 'Bad Name', 'x', 'X-Bad', 'a\nb']
  const say = (status: number, body: string, method = 'GET'): string => dateless(replyText({ kind: 'reply', status, headers, body } satisfies Reply, method, false))
  for (const round of ['first', 'again']) {
    t.equal(say(200, 'é'), 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n\xc3\xa9', round)
    t.equal(say(200, 'eé'), 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\ne\xc3\xa9', round)
    t.equal(say(404, 'eé'), 'HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\ne\xc3\xa9', round)
    t.equal(say(200, 'longer'), 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nlonger', round)
    t.equal(say(200, 'longer', 'HEAD'), 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n', round)
    t.equal(say(200, ''), 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n', round)
    t.equal(say(204, ''), 'HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n\r\n', round)
  }
  t.end()
})

t.test('replies that name scopes: each rule its own, the same each time', (t) => {
  const replies = createReplies('r')
  const challenge = (scope?: string): string | undefined => replies('scope_insufficient', scope).headers.find((text) => text.startsWith('Bearer'))
  for (let time = 0; time < 2; time++) {
    t.match(challenge('a b'), 'scope="a b"')
    t.match(challenge('c'), 'scope="c"')
    t.notMatch(challenge(), 'scope=')
  }
  t.equal(replies('scope_insufficient', 'c'), replies('scope_insufficient', 'c'))
  t.equal(replies('token_missing', 'c'), replies('token_missing'), 'which names no scope')
  t.end()
})
