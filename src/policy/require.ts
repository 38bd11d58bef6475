/** What a rule demands of a verified token: issuers, scopes, roles, claims, tenant. */
import type { Principal } from '../auth/types.ts'
import type { RequirementConfig } from '../config/schema.ts'
import { compileNames, isName } from '../http/header-names.ts'
import { deny, type Denial } from '../telemetry/reason.ts'
import { claimName, compileClaim } from './claims.ts'
import { compileHostLabel } from '../http/host-pattern.ts'
import type { CompiledRule, PolicyRequest, Requirement } from './types.ts'

/**
 * Whether a principal may do what the rule guards.
 * @returns the first denial, or undefined when every requirement is satisfied
 */
export function authorise(rule: CompiledRule, principal: Principal, request: PolicyRequest): Denial | undefined {
  for (const requirement of rule.requirements) {
    const denial = requirement(principal, request)
    if (denial !== undefined) return denial
  }
  return undefined
}

/** Compiles a rule's `require` to its parts, in the order in which they are checked. `{}` has none: any valid token will do. */
export function compileRequirements(config: RequirementConfig): readonly Requirement[] {
  return [
    ...config.issuers ? [requireIssuers(config.issuers)] : [],
    ...config.scopes ? [requireScopes(config.scopes)] : [],
    ...config.roles ? [requireRoles(config.roles)] : [],
    ...Object.entries(config.claims ?? {}).map(([claim, wanted]) => requireClaim(claim, wanted)),
    ...config.tenant ? [requireTenant(config.tenant)] : [],
  ]
}

function requireIssuers(names: readonly string[]): Requirement {
  return ({ issuer }) => names.includes(issuer) ? undefined : deny('issuer_refused', `issuer ${issuer}`)
}

function requireScopes(config: NonNullable<RequirementConfig['scopes']>): Requirement {
  const lacks = compileSet(config)
  return ({ claims }) => {
    const lacking = lacks((name) => holdsScope(claims.scope, name) || holdsScope(claims.scp, name))
    return lacking === undefined ? undefined : deny('scope_insufficient', `lacks ${lacking}`)
  }
}

function requireRoles(config: NonNullable<RequirementConfig['roles']>): Requirement {
  const path = ('claim' in config ? config.claim : undefined) ?? 'roles'
  const read = compileClaim(path)
  const lacks = compileSet(config)
  return ({ claims }) => {
    const held = read(claims)
    const lacking = lacks((name) => holdsText(held, name))
    return lacking === undefined ? undefined : deny('role_missing', `${claimName(path)} lacks ${lacking}`)
  }
}

type Scalar = string | number | boolean

/** Equality without conversion: the number 1 is not the text "1". An array claim matches if it holds a wanted value. */
function requireClaim(path: string, wanted: Scalar | readonly Scalar[]): Requirement {
  const read = compileClaim(path)
  const accepted = new Set<unknown>(Array.isArray(wanted) ? wanted : [wanted])
  return ({ claims }) => {
    const value = read(claims)
    const matches = Array.isArray(value) ? value.some((one) => accepted.has(one)) : accepted.has(value)
    return matches ? undefined : deny('claim_mismatch', `claim ${path}`)
  }
}

/** The tenant of the token must be the tenant that the request is about, wherever that is said. */
function requireTenant({ claim, segment, host, header }: NonNullable<RequirementConfig['tenant']>): Requirement {
  const read = compileClaim(claim)
  const places = [
    ...segment === undefined ? [] : [segmentTenant(segment)],
    ...host === undefined ? [] : [hostTenant(host)],
    ...header === undefined ? [] : [headerTenant(header)],
  ]
  return ({ claims }, request) => {
    const tenants = strings(read(claims))
    const same = places.length > 0 && places.every((matches) => matches(tenants, request))
    return same ? undefined : deny('tenant_mismatch', `claim ${claimName(claim)}`)
  }
}

type TenantPlace = (tenants: readonly string[], request: PolicyRequest) => boolean

const segmentTenant = (number: number): TenantPlace => (tenants, { path }) => {
  const segment = path.split('/')[number]
  return segment !== undefined && segment !== '' && tenants.includes(segment)
}

/** Host names have no case, so the claim is compared without it here. */
function hostTenant(pattern: string): TenantPlace {
  const labelOf = compileHostLabel(pattern)
  return (tenants, { host }) => {
    const label = labelOf(host)
    return label !== undefined && tenants.some((tenant) => tenant.toLowerCase() === label)
  }
}

/**
 * Counts every spelling that an app might fold into this header: a second one would make it unclear which the app reads. The one there is must be
 * spelt as configured, or an app that folds nothing reads none.
 */
function headerTenant(header: string): TenantPlace {
  const isHeader = compileNames([header])
  const name = header.toLowerCase()
  return (tenants, { headers }) => {
    const found = headers.flatMap((each, i) => i % 2 === 0 && isHeader(each) ? [i] : [])
    return found.length === 1 && isName(headers[found[0]!]!, name) && tenants.includes(headers[found[0]! + 1]!)
  }
}

/** RFC 8693 section 4.2 has `scope` as space-separated text; `scp` and lists are what several issuers make of it. */
function holdsScope(claim: unknown, scope: string): boolean {
  return typeof claim === 'string' ? hasWord(claim, scope) : holdsText(claim, scope)
}

/** Whether space-separated text has the word; it holds no space itself (config/checks/rules.ts). Asked at every request, so it takes nothing apart. */
export function hasWord(text: string, word: string): boolean {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const end = at + word.length
    if ((at === 0 || text[at - 1] === ' ') && (end === text.length || text[end] === ' ')) return true
  }
  return false
}

/** Whether a claim is the text, or a list that has it. */
function holdsText(claim: unknown, text: string): boolean {
  return Array.isArray(claim) ? claim.includes(text) : claim === text
}

/** The texts in a claim: itself, or a list's elements. */
function strings(value: unknown): readonly string[] {
  return (Array.isArray(value) ? value : [value]).filter((one): one is string => typeof one === 'string' && one !== '')
}

type NameSet = readonly string[] | { readonly anyOf?: readonly string[] | undefined; readonly allOf?: readonly string[] | undefined }

/**
 * Compiles a list (all of it) or `{ anyOf, allOf }`.
 * @returns what somebody lacks, in words, or undefined when it is nothing
 */
function compileSet(config: NameSet): (has: (name: string) => boolean) => string | undefined {
  const { anyOf, allOf }: Exclude<NameSet, readonly string[]> = isList(config) ? { allOf: config } : config
  return (has) => {
    const missing = allOf?.find((name) => !has(name))
    if (missing !== undefined) return missing
    return anyOf === undefined || anyOf.some(has) ? undefined : `any of ${anyOf.join(', ')}`
  }
}

function isList(config: NameSet): config is readonly string[] {
  return Array.isArray(config)
}
