/** Rule matching, slow and obviously right: what src/policy is held against. Works on text, shares no code with what it judges. */

/** Whether a pattern (`/a/*`, `/a/**`) matches a path; both without escapes. */
export function patternMatches(pattern: string, path: string): boolean {
  const wanted = pattern.slice(1).split('/')
  const segments = path.slice(1).split('/')
  const matches = (i: number) => segments[i] !== undefined && (wanted[i] === '*' ? segments[i] !== '' : wanted[i] === segments[i])
  if (wanted.at(-1) === '**') return wanted.slice(0, -1).every((_, i) => matches(i))
  return wanted.length === segments.length && wanted.every((_, i) => matches(i))
}

export interface ReferenceRule {
  readonly paths: readonly string[]
  readonly methods?: readonly string[] | undefined
  readonly hosts?: readonly string[] | undefined
  readonly preflight?: true | undefined
}

export interface ReferenceRequest {
  readonly method: string
  readonly path: string
  readonly host: string
  readonly headers: readonly string[]
}

/** The indices of the rules that a request must satisfy, the one that matched first; empty when none matched. */
export function rulesFor(rules: readonly ReferenceRule[], request: ReferenceRequest): readonly number[] {
  const fits = ({ methods, hosts, preflight }: ReferenceRule) => {
    const method = request.method.toUpperCase()
    const names = request.headers.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase())
    return (!methods || methods.includes(method) || (method === 'HEAD' && methods.includes('GET')))
      && (!hosts || hosts.some((host) => host === request.host || (host.startsWith('*.') && request.host.replace(/^[^.]+/, '*') === host)))
      && (!preflight || (method === 'OPTIONS' && names.includes('origin') && names.includes('access-control-request-method')))
  }
  const first = rules.findIndex((rule) => fits(rule) && rule.paths.some((pattern) => patternMatches(pattern, request.path)))
  if (first < 0 || request.path === '/') return first < 0 ? [] : [first]
  const twinPath = request.path.endsWith('/') ? request.path.slice(0, -1) : `${request.path}/`
  const isTwin = (pattern: string) => !pattern.endsWith('/**') && patternMatches(pattern, twinPath)
  const twin = rules.slice(0, first).findIndex((rule) => fits(rule) && rule.paths.some(isTwin))
  return twin < 0 ? [first] : [first, twin]
}
