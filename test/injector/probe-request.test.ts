/** What a moved http probe asks the app: the same as the kubelet would, which takes Go's net/url for it. */
import * as fc from 'fast-check'
import t from 'tap'
import { describeHttp, requestTarget } from '../../src/injector/probe-request.ts'

t.test('the target is the kubelet\'s: these are Go\'s own answers (url.Parse and RequestURI of pkg/probe/http/request.go)', (t) => {
  const go: Record<string, string> = {
    '': '/', '/': '/', 'x': '/x', '/ok?x=1': '/ok?x=1', '?x=1': '/?x=1', '/a?': '/a?',
    '/a b': '/a%20b', '/a%20b': '/a%20b', '/café': '/caf%C3%A9', '/"q"': '/%22q%22', '/a\\b': '/a%5Cb', '/a|b^c`{}<>': '/a%7Cb%5Ec%60%7B%7D%3C%3E', '/%FF': '/%FF',
    '/x#frag': '/x', '#f': '/', '/a?b#c?d': '/a?b', '/x#a\nb': '/x', '/x#%zz': '/x%23%25zz',
    '/\u010aX: y': '/%C4%8AX:%20y', '/a\nb?c': '/a%0Ab%3Fc', '/a\tb': '/a%09b',
    '/../b/./c': '/../b/./c', '///x': '///x', '//host/x': '/x', 'http://other/': '/', 'http://other': '/',
    '/a%2Fb': '/a%2Fb', '/a b%2Fc': '/a%20b/c', '/a%zz?x=1': '/a%25zz%3Fx=1', '/a?b=%zz': '/a?b=%zz',
    '/(a)!*\'[]': '/(a)!*\'[]', '/(a) b': '/%28a%29%20b', '/$(HOME)/$$': '/$(HOME)/$$', '/a;b=c': '/a;b=c', '/a?b="<>': '/a?b="<>',
  }
  for (const [path, target] of Object.entries(go)) t.equal(requestTarget(path), target, JSON.stringify(path))
  t.end()
})

t.test('but for what no server can read in a query', (t) => {
  t.equal(requestTarget('/q?a=b c'), '/q?a=b%20c')
  t.equal(requestTarget('/q?a=é'), '/q?a=%C3%A9')
  t.end()
})

t.test('whatever the path: a target of visible ASCII that begins with one slash, and twice is once', async () => {
  fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom('/', '?', '#', '%', '2', 'F', ' ', 'a', 'é', '\n', '\ud800', ':', '.') })), (path) => {
    const target = requestTarget(path)
    return /^\/[\x21-\x7e]*$/.test(target) && (target.startsWith('//') || requestTarget(target) === target.split('#')[0])
  }))
})

t.test('headers that nobody could send are refused, with their place', (t) => {
  const of = (name: string, value: string) => describeHttp({ port: 1, httpHeaders: [{ name, value }] }, 'livenessProbe of container "app"')
  t.same(of('X-é', 'a'), { refused: 'livenessProbe of container "app" has a header named "X-é", which is not an HTTP header name. Use letters, digits and "-".', code: 422 })
  t.same(of('X', 'a\nb'), { refused: 'livenessProbe of container "app" has control characters in the value of its header "X", with which no request can be sent. Remove them.', code: 422 })
  t.match(of('Host', 'a\rb'), { refused: /its header "Host"/ })
  t.match(of('', 'a'), { refused: /named ""/ })
  t.same(of('X', 'a\tb é'), { type: 'http', path: '/', headers: [{ name: 'X', value: 'a\tb é' }] })
  t.end()
})
