/** How frameworks turn a header's name into the key by which an app reads it. Two names with one key are one header to that app. */
export const FOLDINGS: Readonly<Record<string, (name: string) => string>> = {
  'CGI (RFC 3875 section 4.1.18)': (name) => `HTTP_${name.toUpperCase().replaceAll('-', '_')}`,
  'Apache httpd, CGI and SSI': (name) => `HTTP_${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`,
  'WSGI (PEP 3333)': (name) => `HTTP_${name.toUpperCase().replaceAll('-', '_')}`,
  'PHP $_SERVER, with the rewriting of variable names': (name) => `HTTP_${name.toUpperCase().replaceAll(/[-. [+]/g, '_')}`,
  'Rack': (name) => `HTTP_${name.toUpperCase().replaceAll('-', '_')}`,
  'nginx $http_NAME': (name) => name.toLowerCase().replaceAll('-', '_'),
  'Go net/http': (name) => name.toLowerCase().replaceAll(/(^|-)[a-z]/g, (letter) => letter.toUpperCase()),
  'Go net/http/cgi': (name) => `HTTP_${name.toUpperCase().replaceAll('-', '_')}`,
  'Java servlet getHeader': (name) => name.toLowerCase(),
  'Spring environment binding': (name) => name.toLowerCase().replaceAll(/[-_.]/g, '.'),
  'Node http': (name) => name.toLowerCase(),
  'IIS server variables': (name) => `HTTP_${name.toUpperCase().replaceAll('-', '_')}`,
}

/** Every character that a header name may hold besides letters and digits (RFC 9110 section 5.6.2). */
export const SEPARATORS = '!#$%&\'*+-.^_`|~'.split('')
