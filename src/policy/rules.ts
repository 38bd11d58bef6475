/**
 * Rules: which one a request falls under. First match wins, no match is a denial, and no rules at all mean that every path needs a valid
 * token.
 *
 * Three mercies for authors, all in the direction of denying (docs/decisions/0003):
 * - Most frameworks serve `/admin/` by the handler of `/admin`. So a rule written for a path that differs from the request's by the
 *   trailing slash only applies as well, if it stands before the rule that matches: the request must satisfy both.
 * - The same for `/admin.json`, where `paths.ignoreExtension` says that the app serves it as `/admin`.
 * - A rule for `GET` is a rule for `HEAD` (RFC 9110 section 9.3.2), and methods are compared in upper case, as several frameworks do.
 */
import type { Config, RuleConfig } from '../config/schema.ts'
import { foldPathCase } from '../http/path.ts'
import { valuesOf } from '../http/header-names.ts'
import { deny, isDenial, type Denial } from '../telemetry/reason.ts'
import { compileHosts } from '../http/host-pattern.ts'
import { parsePattern } from '../http/path-pattern.ts'
import { pathTree, type PathTree } from '../http/path-tree.ts'
import { compileRequirements } from './require.ts'
import { Bucket, type Entry } from './bucket.ts'
import type { CompiledRule, PolicyRequest } from './types.ts'

/** The rules, compiled. */
export interface Rules {
  /** The rule that decides over the request, or `no_rule`, or `ambiguous_path` (see {@link foldPathCase}). */
  match(request: PolicyRequest): CompiledRule | Denial
}

interface Candidate {
  readonly rule: CompiledRule
  /** Whether method, host and preflight fit; the path already does. */
  readonly fits: (request: PolicyRequest) => boolean
}

const TOKEN_EVERYWHERE: RuleConfig[] = [{ name: 'default', match: { path: '/**' }, require: {}, closeOnExpiry: false }]

/**
 * Compiles `rules`, with `paths` and the sidecar's `mode`.
 * @throws an Error for a pattern that is not one; `config/validate.ts` reports all of them before it comes to that
 */
export function compileRules({ rules, paths, mode }: Pick<Config, 'rules' | 'paths' | 'mode'>): Rules {
  const tree: Tree = pathTree(() => new Bucket<Candidate>())
  for (const [order, config] of (rules?.length ? rules : TOKEN_EVERYWHERE).entries()) {
    const value = { rule: compileRule(config, order, mode), fits: compileConditions(config.match) }
    for (const pattern of pathsOf(config)) tree.bucket(parsePattern(pattern, paths.caseSensitive)).add({ order, value }, config.match.hosts)
  }
  return {
    match: (request) => {
      const path = paths.caseSensitive ? request.path : foldPathCase(request.path)
      if (isDenial(path)) return path
      const { first, twin } = lookUp(tree, path, request)
      if (first === undefined) return deny('no_rule')
      const stem = paths.ignoreExtension ? path.replace(EXTENSION, '$1') : path
      const alike = stem === path ? twin : earlier(twin, ...Object.values(lookUp(tree, stem, request)))
      return alike === undefined || alike.order >= first.order ? first.value.rule : both(first.value.rule, alike.value.rule)
    },
  }
}

/** `.json` at the end of `/a.json` or `/a.json/`, but not all of `/.json`. */
const EXTENSION = /(?<=[^/])\.[^./]*(\/?)$/

type Found = Entry<Candidate> | undefined
type Tree = PathTree<Bucket<Candidate>>

/** The first rule that fits the path, and the first that fits but for the trailing slash. */
function lookUp(tree: Tree, path: string, request: PolicyRequest): { readonly first: Found, readonly twin: Found } {
  let first: Found
  let twin: Found
  const fits = (candidate: Candidate): boolean => candidate.fits(request)
  tree.visit(path, {
    matching: (bucket) => { first = bucket.earliest(request.host, fits, first) },
    twin: (bucket) => { twin = bucket.earliest(request.host, fits, twin) },
  })
  return { first, twin }
}

/** The one that stands first. */
function earlier(...found: readonly Found[]): Found {
  return found.reduce((best, entry) => best === undefined || (entry !== undefined && entry.order < best.order) ? entry : best, undefined)
}

/** The path patterns of a rule. */
function pathsOf({ match: { path } }: RuleConfig): readonly string[] {
  return typeof path === 'string' ? [path] : path
}

/** A rule's name in logs and metrics: its own, else its index and path. */
export function ruleName(config: RuleConfig, index: number): string {
  return config.name ?? `${index}:${pathsOf(config).join(',')}`
}

function compileRule(config: RuleConfig, index: number, mode: Config['mode']): CompiledRule {
  return {
    name: ruleName(config, index),
    access: config.allow ?? 'token',
    mode: config.mode ?? mode,
    closeOnExpiry: config.closeOnExpiry,
    scope: scopeText(config.require?.scopes),
    requirements: compileRequirements(config.require ?? {}),
  }
}

function scopeText(scopes: NonNullable<RuleConfig['require']>['scopes']): string | undefined {
  const names = Array.isArray(scopes) ? scopes : [...scopes?.allOf ?? [], ...scopes?.anyOf ?? []]
  return names.join(' ') || undefined
}

function compileConditions({ methods, hosts, preflight }: RuleConfig['match']): Candidate['fits'] {
  const conditions = [
    ...methods ? [compileMethods(methods)] : [],
    ...hosts ? [compileHostCondition(hosts)] : [],
    ...preflight ? [isPreflight] : [],
  ]
  return (request) => conditions.every((fits) => fits(request))
}

function compileMethods(methods: readonly string[]): Candidate['fits'] {
  const accepted = new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods)
  return ({ method }) => accepted.has(method.toUpperCase())
}

function compileHostCondition(patterns: readonly string[]): Candidate['fits'] {
  const matches = compileHosts(patterns)
  return ({ host }) => matches(host)
}

/** A real CORS preflight (Fetch standard, section 3.2.2), not any `OPTIONS` (attack P16). */
function isPreflight({ method, headers }: PolicyRequest): boolean {
  return method === 'OPTIONS' && valuesOf(headers, 'origin').length === 1 && valuesOf(headers, 'access-control-request-method').length === 1
}

const STRICTNESS = ['anonymous', 'optional', 'token'] as const

/** The rule that asks for what both ask for. It goes by the name of the one that matched. */
function both(first: CompiledRule, twin: CompiledRule): CompiledRule {
  return {
    name: first.name,
    access: STRICTNESS[Math.max(STRICTNESS.indexOf(first.access), STRICTNESS.indexOf(twin.access))]!,
    mode: first.mode === 'audit' ? twin.mode : 'enforce',
    closeOnExpiry: first.closeOnExpiry || twin.closeOnExpiry,
    scope: [first.scope, twin.scope].filter(Boolean).join(' ') || undefined,
    requirements: [...twin.requirements, ...first.requirements],
  }
}
