/** Rules: patterns that can match, requirements that can be met, and no rule that another hides. */
import { covers, parsePattern, type PathPattern } from '../../http/path-pattern.ts'
import { pathTree, type PathTree } from '../../http/path-tree.ts'
import { canonicalPattern } from '../../http/host-pattern.ts'
import { didYouMean } from '../../lib/similar.ts'
import type { ConfigPath, Reports } from '../problem.ts'
import type { RequirementConfig, RuleConfig } from '../schema.ts'
import type { Draft } from '../validate.ts'

type Match = RuleConfig['match']

export function checkRules(draft: Draft, reports: Reports): void {
  const issuerNames = (draft.issuers ?? []).flatMap((issuer) => issuer?.name === undefined ? [] : [issuer.name])
  const caseSensitive = draft.paths?.caseSensitive ?? true
  const earlier = pathTree<Coverage[]>(() => [])
  for (const [index, rule] of draft.rules?.entries() ?? []) {
    const path: ConfigPath = ['rules', index]
    if (rule === undefined) continue
    checkAccess(rule, path, reports)
    if (rule.require) checkRequirement(rule.require, [...path, 'require'], issuerNames, reports)
    if (rule.match === undefined) continue
    checkMatch(rule.match, [...path, 'match'], reports)
    const patterns = parsePaths(rule.match, [...path, 'match', 'path'], caseSensitive, reports)
    if (patterns === undefined || patterns.length === 0) continue
    const coverage = { index, match: rule.match, patterns }
    const hider = hiderOf(earlier, coverage)
    if (hider) reports.warn(path, `can never apply: rules[${hider.index}] stands before it and matches all of its requests; move it up or remove it`)
    for (const pattern of patterns) earlier.bucket(pattern).push(coverage)
  }
}

function checkAccess({ allow, require, closeOnExpiry, match }: Partial<RuleConfig>, path: ConfigPath, { error, warn }: Reports): void {
  if (allow !== undefined && require !== undefined) error(path, `allow: ${allow} and require contradict each other; keep one of them`)
  if (allow === 'anonymous' && closeOnExpiry) error([...path, 'closeOnExpiry'], 'an anonymous rule looks at no token, so nothing expires; remove it, or use allow: optional')
  if (match?.preflight && require !== undefined) error([...path, 'require'], 'a CORS preflight never carries a token; use allow: anonymous')
  if (allow === 'anonymous' && match && matchesAll(match)) warn(path, 'opens every path that no rule before it matches, without a token')
}

const matchesAll = ({ path, methods, hosts, preflight }: Match) => [path].flat().includes('/**') && !methods && !hosts && !preflight

function checkMatch({ methods, hosts, preflight }: Match, path: ConfigPath, { error, warn }: Reports): void {
  if (methods?.length === 0) error([...path, 'methods'], 'is empty, so the rule matches nothing; remove it for all methods')
  if (hosts?.length === 0) error([...path, 'hosts'], 'is empty, so the rule matches nothing; remove it for all hosts')
  if (preflight && methods && !methods.includes('OPTIONS')) error([...path, 'methods'], 'a preflight is always OPTIONS; remove methods')
  for (const [index, method] of methods?.entries() ?? []) {
    if (method === 'CONNECT' || method === 'TRACE') warn([...path, 'methods', index], `${method} is always refused, whatever the rules say; remove it`)
  }
  for (const [index, host] of hosts?.entries() ?? []) {
    const here = [...path, 'hosts', index]
    if (canonicalPattern(host) === undefined) error(here, `${JSON.stringify(host)} is not a host; write app.example.com, or *.example.com for any one label`)
    else checkNoPort(host, here, error)
  }
}

/** A port would be passed over in silence, and the rule hold for every port. */
function checkNoPort(host: string, path: ConfigPath, error: Reports['error']): void {
  const [port] = /:\d*$/.exec(host) ?? []
  if (port !== undefined) error(path, `hosts are compared without their port; leave it out: ${host.slice(0, -port.length)}`)
}

function checkRequirement(require: RequirementConfig, path: ConfigPath, issuerNames: readonly string[], { error }: Reports): void {
  const { issuers, scopes, roles, tenant, claims } = require
  if (issuers?.length === 0) error([...path, 'issuers'], 'is empty, so no token can pass; remove it for all issuers')
  for (const [index, name] of issuers?.entries() ?? []) {
    if (!issuerNames.includes(name)) error([...path, 'issuers', index], `${name} is no issuer's name${didYouMean(name, issuerNames)}`)
  }
  checkNames(scopes, [...path, 'scopes'], error)
  checkNames(roles, [...path, 'roles'], error)
  const spaced = [scopes ?? []].flatMap((names) => Array.isArray(names) ? names : [...names.anyOf ?? [], ...names.allOf ?? []]).filter((scope) => scope.includes(' '))
  for (const scope of spaced) error([...path, 'scopes'], `${JSON.stringify(scope)} holds a space, which separates scopes; make it two`)
  for (const [claim, wanted] of Object.entries(claims ?? {})) {
    if (Array.isArray(wanted) && wanted.length === 0) error([...path, 'claims', claim], 'is an empty list, so no token can pass; name the accepted values')
  }
  if (tenant) checkTenant(tenant, [...path, 'tenant'], error)
}

type Names = RequirementConfig['scopes'] | RequirementConfig['roles']

/** An empty list would let everyone pass (all of none) or nobody (any of none): neither is what someone writes on purpose. */
function checkNames(names: Names, path: ConfigPath, error: Reports['error']): void {
  if (names === undefined) return
  const lists = Array.isArray(names) ? [names] : [names.anyOf, names.allOf].filter((list) => list !== undefined)
  if (lists.length === 0) error(path, 'names nothing; write a list, anyOf or allOf')
  if (lists.some((list) => list.length === 0)) error(path, 'holds an empty list; name at least one, or remove it')
}

function checkTenant(tenant: NonNullable<RequirementConfig['tenant']>, path: ConfigPath, error: Reports['error']): void {
  const places = (['segment', 'host', 'header'] as const).filter((place) => tenant[place] !== undefined)
  if (places.length !== 1) error(path, `name exactly one of segment, host, header; found ${places.length === 0 ? 'none' : places.join(' and ')}`)
  const { host } = tenant
  if (host === undefined) return
  if (canonicalPattern(host)?.startsWith('*.')) checkNoPort(host, [...path, 'host'], error)
  else error([...path, 'host'], `${JSON.stringify(host)} does not say where the tenant is; write *.example.com`)
}

interface Coverage {
  readonly index: number
  readonly match: Match
  readonly patterns: readonly PathPattern[]
}

/** The rule's patterns; reports each that is not one. Undefined when one is not. */
function parsePaths({ path: paths }: Match, path: ConfigPath, caseSensitive: boolean, { error }: Reports): readonly PathPattern[] | undefined {
  const texts = typeof paths === 'string' ? [paths] : paths
  if (texts.length === 0) error(path, 'is an empty list, so the rule matches nothing; remove it for all paths')
  const patterns = texts.flatMap((text, index) => {
    try {
      return [parsePattern(text, caseSensitive)]
    } catch (problem) {
      error([...path, ...typeof paths === 'string' ? [] : [index]], (problem as Error).message)
      return []
    }
  })
  return patterns.length === texts.length ? patterns : undefined
}

/** The first of the earlier rules that leaves nothing to this one. It covers the rule's every pattern, so it is found by any of them. */
function hiderOf(earlier: PathTree<Coverage[]>, rule: Coverage): Coverage | undefined {
  let first: Coverage | undefined
  earlier.covering(rule.patterns[0]!, (others) => {
    const hider = others.find((other) => hides(other, rule))
    if (hider && (first === undefined || hider.index < first.index)) first = hider
  })
  return first
}

/** Whether the earlier rule matches every request that the later one matches. */
function hides({ match: first, patterns }: Coverage, later: Coverage): boolean {
  if (!later.patterns.every((pattern) => patterns.some((cover) => covers(cover, pattern)))) return false
  const second = later.match
  if (first.preflight && !second.preflight) return false
  return includesAll(first.methods, second.preflight ? ['OPTIONS'] : second.methods) && includesAll(first.hosts, second.hosts)
}

/** Whether a condition (undefined: anything) holds whenever the other does. */
function includesAll(wide: readonly string[] | undefined, narrow: readonly string[] | undefined): boolean {
  return wide === undefined || (narrow !== undefined && narrow.every((one) => wide.includes(one)))
}
