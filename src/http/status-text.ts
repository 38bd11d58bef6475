/**
 * Reason phrases of the answers that the sidecar gives itself (RFC 9110 section 15). A table of our own, since taking `STATUS_CODES` from node:http loads
 * all of that module, a sixth of the time that a start takes. test/http/status-text.test.ts holds it against Node's.
 */
export const STATUS_TEXT: Readonly<Record<number, string | undefined>> = {
  200: 'OK',
  204: 'No Content',
  304: 'Not Modified',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  411: 'Length Required',
  413: 'Payload Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
}
