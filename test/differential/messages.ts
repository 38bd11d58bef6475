/** Messages to hold the transports against each other: ordinary ones, and every doubt about HTTP/1.1 syntax and framing that we know. */
const post = (fields: string, body = ''): string => `POST /x HTTP/1.1\r\nHost: app\r\n${fields}\r\n${body}`
const get = (fields: string): string => `GET /x HTTP/1.1\r\nHost: app\r\n${fields}\r\n`
const chunks = (body: string): string => post('Transfer-Encoding: chunked\r\n', body)

/** Must pass, whole. */
export const GOOD: readonly string[] = [
  get(''),
  get('Accept: */*\r\nX-Empty:\r\nX-Spaces: \t a  b \t \r\nx-UPPER: \xe9\r\n'),
  'GET /a?b=c%20d&e=%E2%82%AC HTTP/1.1\r\nHost: app:80\r\nCookie: a=1; b=2\r\nCookie: c=3\r\n\r\n',
  'HEAD /x HTTP/1.1\r\nHost: app\r\n\r\n',
  'DELETE /x HTTP/1.1\r\nHost: app\r\n\r\n',
  'OPTIONS /x HTTP/1.1\r\nHost: app\r\nOrigin: http://a\r\n\r\n',
  '\r\nGET /x HTTP/1.1\r\nHost: app\r\n\r\n',
  post('Content-Length: 5\r\n', 'hello'),
  post('Content-Length: 0\r\n'),
  post('content-length:\t007 \r\n', 'leading'),
  post('Content-Length: 40\r\n', 'GET /smuggled HTTP/1.1\r\nHost: app\r\n\r\n12'),
  chunks('5\r\nhello\r\n0\r\n\r\n'),
  chunks('A\r\n0123456789\r\n1\r\nx\r\n00\r\n\r\n'),
  chunks('5;name=value;other="a b"\r\nhello\r\n0\r\n\r\n'),
  chunks('5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-User-Id: forged\r\n\r\n'),
  post('Transfer-Encoding: Chunked\r\n', '3\r\n\r\n\0\r\n0\r\n\r\n'),
  post('Expect: 100-continue\r\nContent-Length: 2\r\n', 'ok'),
  get('Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-User-Id: forged\r\nX_User_Id: forged\r\n'),
  get('Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQ\r\n'),
  `${get('')}${post('Content-Length: 3\r\n', 'abc')}${chunks('1\r\nz\r\n0\r\n\r\n')}${get('')}`,
  `DELETE /deny HTTP/1.1\r\nHost: app\r\n\r\n${get('')}`,
  `POST /deny HTTP/1.1\r\nHost: app\r\nContent-Length: 4\r\n\r\nbody${get('')}`,
]

/** Each a reason to refuse, or to close, or at least to read exactly one way. */
export const DOUBTFUL: readonly string[] = [
  // Versions and the request line.
  'GET /x\r\n\r\n', 'GET /x HTTP/0.9\r\n\r\n', 'GET /x HTTP/1.0\r\n\r\n', 'GET /x HTTP/1.2\r\nHost: a\r\n\r\n', 'GET /x HTTP/2.0\r\nHost: a\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'GET /x HTTP/1.10\r\nHost: a\r\n\r\n', 'GET /x HTTP/01.1\r\n\r\n', 'GET /x http/1.1\r\n\r\n', 'GET /x RTSP/1.0\r\n\r\n', 'GET /x ICE/1.0\r\n\r\n', 'SOURCE /x ICE/1.0\r\n\r\n',
  'GET  /x HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /x  HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /x HTTP/1.1 \r\nHost: a\r\n\r\n', ' GET /x HTTP/1.1\r\nHost: a\r\n\r\n', 'GET\t/x HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n', 'GET x HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET http://other/x HTTP/1.1\r\nHost: a\r\n\r\n', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n', 'CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n',
  'TRACE /x HTTP/1.1\r\nHost: a\r\n\r\n', 'get /x HTTP/1.1\r\nHost: a\r\n\r\n', 'G\rET /x HTTP/1.1\r\n\r\n', 'FOO /x HTTP/1.1\r\nHost: a\r\n\r\n', 'QUERY /x HTTP/1.1\r\nHost: a\r\n\r\n',
  // Line ends and white space.
  'GET /x HTTP/1.1\nHost: a\n\n', 'GET /x HTTP/1.1\r\nHost: a\n\r\n', 'GET /x HTTP/1.1\r\nHost: a\r\n\n', 'GET /x HTTP/1.1\rHost: a\r\r', 'GET /x HTTP/1.1\r\nHost: a\rX: b\r\n\r\n',
  '\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n', '\r\rGET /x HTTP/1.1\r\nHost: a\r\n\r\n', '\r\n\r\n\r\n\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /x HTTP/1.1\r\r\nHost: a\r\n\r\n',
  get(' X: folded first\r\n'), get('X: a\r\n folded\r\n'), get('X: a\r\n\tfolded\r\n'), get('X : a\r\n'), get('X\t: a\r\n'), get(': a\r\n'), get('X\r\n'), get('X-\0: a\r\n'), get('X: a\0b\r\n'), get('X: a\x01b\r\n'),
  get('X\x80: a\r\n'), get('X: \x7f\r\n'), get('X(: a\r\n'), get('Content\rLength: 3\r\n'), get('X: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n'),
  // Length.
  post('Content-Length: 3\r\nContent-Length: 3\r\n', 'abc'), post('Content-Length: 3\r\ncontent-length: 4\r\n', 'abcd'), post('Content-Length: 3, 3\r\n', 'abc'), post('Content-Length: +3\r\n', 'abc'), post('Content-Length: -3\r\n', 'abc'),
  post('Content-Length: 0x3\r\n', 'abc'), post('Content-Length: 3.0\r\n', 'abc'), post('Content-Length: 3 4\r\n', 'abc'), post('Content-Length:\r\n', 'abc'), post('Content-Length: 9007199254740993\r\n', 'abc'),
  post('Content-Length: 18446744073709551619\r\n', 'abc'), post('Content-Length : 3\r\n', 'abc'), post('Content_Length: 3\r\n', 'abc'), post('Content-Length: 3\r\nContent_Length: 4\r\n', 'abc'), post('Content-Length: 3;\r\n', 'abc'),
  // Transfer coding.
  post('Content-Length: 3\r\nTransfer-Encoding: chunked\r\n', '3\r\nabc\r\n0\r\n\r\n'), post('Transfer-Encoding: chunked\r\nContent-Length: 3\r\n', '3\r\nabc\r\n0\r\n\r\n'),
  ...['gzip, chunked', 'chunked, gzip', 'identity', 'xchunked', 'chunked, identity', 'chunked, chunked', '\x0bchunked', 'chunked\x0b', '"chunked"', 'chunked;q=1', ',chunked', 'chunked,', '', 'chun ked', 'chunked\xa0']
    .map((coding) => post(`Transfer-Encoding: ${coding}\r\n`, '3\r\nabc\r\n0\r\n\r\n')),
  post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '3\r\nabc\r\n0\r\n\r\n'), post('Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n', '3\r\nabc\r\n0\r\n\r\n'),
  post('Transfer-Encoding : chunked\r\n', '3\r\nabc\r\n0\r\n\r\n'), post('Transfer_Encoding: chunked\r\n', '3\r\nabc\r\n0\r\n\r\n'), post('X: y\r\n Transfer-Encoding: chunked\r\n', '3\r\nabc\r\n0\r\n\r\n'),
  'POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n', 'GET /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
  // Chunks.
  ...['3\nabc\r\n0\r\n\r\n', '3\r\nabc\n0\r\n\r\n', '3\r\nabc0\r\n\r\n', '3\r\nabcd\r\n0\r\n\r\n', '0x3\r\nabc\r\n0\r\n\r\n', '+3\r\nabc\r\n0\r\n\r\n', '-3\r\nabc\r\n0\r\n\r\n', '3 \r\nabc\r\n0\r\n\r\n', ' 3\r\nabc\r\n0\r\n\r\n',
    '\r\nabc\r\n0\r\n\r\n', 'g\r\nabc\r\n0\r\n\r\n', '10000000000000003\r\nabc\r\n0\r\n\r\n', 'fffffffffffffffff\r\nabc', '3;\r\nabc\r\n0\r\n\r\n', '3;a\nb\r\nabc\r\n0\r\n\r\n', '3;a\rb\r\nabc\r\n0\r\n\r\n', '3;a\0\r\nabc\r\n0\r\n\r\n',
    '3 ;a=b\r\nabc\r\n0\r\n\r\n', '3;a="\r\nabc\r\n0\r\n\r\n', '3\r\nabc\r\n0\r\nX: y\n\r\n', '3\r\nabc\r\n0\r\n X: y\r\n\r\n', '3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n', '3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n',
    '3\r\nabc\r\n0\r\nHost: evil\r\nAuthorization: Bearer x\r\n\r\n', '3\r\nabc\r\n0\n\r\n', '3\r\nabc\r\n0\r\n\n', '3\r\nabc\r\n0\r\n\rX', '3\r\nabc\r\n', '0\r\n\r\n0\r\n\r\n', '3\r\nabc\r\n0\r\nX-User_Id: forged\r\n\r\n'].map(chunks),
  // Expectations, upgrades, connection.
  post('Expect: 200-ok\r\nContent-Length: 3\r\n', 'abc'), post('Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 3\r\n', 'abc'), get('Expect: 100-continue\r\n'), post('Expect: 100-Continue, x\r\nContent-Length: 3\r\n', 'abc'),
  get('Upgrade: websocket\r\nConnection: Upgrade\r\n'), post('Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 3\r\n', 'abc'), get('Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n'), get('Upgrade: websocket\r\n'),
  get('Connection: close\r\n'), get('Connection: Content-Length, Host\r\n'), post('Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n', '3\r\nabc\r\n0\r\n\r\n'), get('Connection: X-Decided\r\n'), get('__proto__: x\r\nconstructor: y\r\n'),
  `${get('Connection: close\r\n')}${get('')}`,
  // Sizes.
  get('X: y\r\n'.repeat(201)), get('X: y\r\n'.repeat(199)), get(`X: ${'y'.repeat(33_000)}\r\n`), `GET /${'x'.repeat(8_192)} HTTP/1.1\r\nHost: a\r\n\r\n`, `GET /${'x'.repeat(8_190)} HTTP/1.1\r\nHost: a\r\n\r\n`,
  chunks(`3;${'x'.repeat(20_000)}\r\nabc\r\n0\r\n\r\n`), chunks(`3\r\nabc\r\n0\r\n${'X: y\r\n'.repeat(3_000)}\r\n`),
]
