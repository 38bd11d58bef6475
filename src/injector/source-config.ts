/**
 * The one source of configuration, from text to what a sidecar mounts: `issuers` and `profiles` of the source ConfigMap -> one JSON document
 * per profile, each validated as the sidecar will, or every problem with the path that people wrote.
 */
import { createHash } from 'node:crypto'
import { inlineKeyProblems } from '../auth/inline-keys.ts'
import { parseText } from '../config/parse.ts'
import { formatPath, type ConfigPath, type Problem } from '../config/problem.ts'
import { validateConfig } from '../config/validate.ts'
import { CONFIG_DIRECTORY } from './names.ts'

/** The data of the source ConfigMap. */
export type SourceData = Readonly<Record<string, string>>

/** A configuration that may be distributed. */
export interface Accepted {
  /** Profile to the JSON text of the sidecar's configuration file, without `listeners`. */
  readonly profiles: ReadonlyMap<string, string>
  /** Further keys of the source, such as a private authority's certificate: what profiles name as `/etc/sidegate/NAME`. */
  readonly files: ReadonlyMap<string, string>
  /** Of the source, to tell versions apart. */
  readonly hash: string
  readonly warnings: readonly string[]
}

export type Compiled = Accepted | { readonly problems: readonly string[] }

type Fields = Record<string, unknown>

const PROFILE_NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,60}[A-Za-z0-9])?$/
/** Only to validate with: each pod brings its own. */
const LISTENERS = [{ bind: '127.0.0.1:15001', upstream: '127.0.0.1:8080' }]
/** Fields that each pod brings. */
const PER_POD = ['listeners', 'probes', 'health']
/** A ConfigMap holds 1 MiB; leave room for the profiles beside it. */
const MAX_PROFILE_BYTES = 256 * 1024

const FILE_NAME = /^[-._a-zA-Z0-9]{1,100}$/
const FILE_PATH = new RegExp(`"${CONFIG_DIRECTORY}/([^"]*)"`, 'g')

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value)

async function parseKey(data: SourceData, key: 'issuers' | 'profiles', problems: string[]): Promise<unknown> {
  const text = data[key]
  if (text === undefined) {
    problems.push(`${key}: the ConfigMap has no key "${key}"; set \`${key}\` in the chart's values.`)
    return undefined
  }
  const parsed = await parseText(text)
  if (!('problems' in parsed)) return parsed.value
  problems.push(...parsed.problems.map(({ line, message }) => `${key}${line === undefined ? '' : ` (line ${line})`}: ${message}`))
  return undefined
}

/** The issuers a profile names, with their indices in the source; all of them by default. */
function chooseIssuers(profile: string, named: unknown, issuers: readonly unknown[], problems: string[]): number[] {
  if (named === undefined) return issuers.map((_, index) => index)
  const at = (rest: string) => `profiles.${profile}.issuers: ${rest}`
  if (!Array.isArray(named) || named.length === 0) {
    problems.push(at('must be a list of issuer names; leave it out for all of them.'))
    return []
  }
  const names = issuers.map((issuer) => isFields(issuer) ? issuer['name'] : undefined)
  return named.flatMap((name: unknown) => {
    const index = names.indexOf(name)
    if (index >= 0) return [index]
    problems.push(at(`there is no issuer ${JSON.stringify(name)}; known are ${names.filter((known) => typeof known === 'string').join(', ') || 'none'}.`))
    return []
  })
}

/** Where the person wrote it: an issuer is at the top, whatever profile it was validated with. */
function sourcePath(profile: string, chosen: readonly number[], path: ConfigPath): string {
  if (path[0] === 'issuers' && typeof path[1] === 'number') return formatPath(['issuers', chosen[path[1]] ?? path[1], ...path.slice(2)])
  if (path[0] === 'issuers') return 'issuers'
  return formatPath(['profiles', profile, ...path])
}

function compileProfile(name: string, body: unknown, issuers: readonly unknown[], problems: string[], warnings: string[]): string | undefined {
  const before = problems.length
  if (!PROFILE_NAME.test(name)) problems.push(`profiles: ${JSON.stringify(name)} is not a profile name; use letters, digits, "-", "_" and ".".`)
  if (body !== null && !isFields(body)) {
    problems.push(`profiles.${name}: must be a group of fields such as \`mode\`, \`identity\` and \`rules\`.`)
    return undefined
  }
  const { issuers: named, ...rest } = body ?? {}
  for (const field of PER_POD) if (field in rest) problems.push(`profiles.${name}.${field}: is set for each pod by the injector; remove it.`)
  const chosen = chooseIssuers(name, named, issuers, problems)
  const config = { ...rest, issuers: chosen.map((index) => issuers[index]) }
  const checked = validateConfig({ ...config, listeners: LISTENERS })
  const say = ({ path, message }: Problem) => `${sourcePath(name, chosen, path)}: ${message}`
  problems.push(...checked.problems.map(say), ...checked.config === undefined ? [] : inlineKeyProblems(checked.config).map(say))
  warnings.push(...checked.warnings.map(say))
  const text = JSON.stringify(config, undefined, 1)
  if (text.length > MAX_PROFILE_BYTES) problems.push(`profiles.${name}: has ${text.length} bytes with its issuers; at most ${MAX_PROFILE_BYTES} fit.`)
  return problems.length === before ? text : undefined
}

/** The names of the files that a profile's text mentions. */
export function filesOf(text: string): readonly string[] {
  return [...new Set([...text.matchAll(FILE_PATH)].map((match) => match[1]!))]
}

function readFiles(data: SourceData, problems: string[]): ReadonlyMap<string, string> {
  const files = new Map(Object.entries(data).filter(([key]) => key !== 'issuers' && key !== 'profiles'))
  for (const name of files.keys()) {
    // A profile is NAME.json in the same directory.
    if (!FILE_NAME.test(name) || name.endsWith('.json')) problems.push(`files: ${JSON.stringify(name)} is not a name for a file; use letters, digits, "-", "_" and ".", and another end than ".json".`)
  }
  return files
}

function checkFiles(profiles: ReadonlyMap<string, string>, files: ReadonlyMap<string, string>, problems: string[]): void {
  for (const [profile, text] of profiles) {
    for (const name of filesOf(text)) {
      if (!files.has(name)) problems.push(`profiles.${profile}: names ${CONFIG_DIRECTORY}/${name}, but there is no such file; known are ${[...files.keys()].join(', ') || 'none'}. Add it to \`files\` in the chart's values.`)
    }
  }
}

/** Identifies a source by its content. */
export function sourceHash(data: SourceData): string {
  const entries = Object.entries(data).sort(([a], [b]) => a < b ? -1 : 1)
  return createHash('sha256').update(JSON.stringify(entries)).digest('hex').slice(0, 12)
}

/**
 * Compiles the source ConfigMap's data.
 * @returns the accepted configuration, or every problem, each a sentence that begins with its path. Never rejects for anything in the data
 */
export async function compileSource(data: SourceData | undefined): Promise<Compiled> {
  const problems: string[] = []
  const warnings: string[] = []
  const issuers = await parseKey(data ?? {}, 'issuers', problems)
  const profiles = await parseKey(data ?? {}, 'profiles', problems)
  if (problems.length > 0) return { problems }
  if (!Array.isArray(issuers) || issuers.length === 0) problems.push('issuers: name at least one issuer, with its `name`, `issuer`, `audiences` and `keys`.')
  if (!isFields(profiles) || Object.keys(profiles).length === 0) problems.push('profiles: name at least one profile, such as `default`.')
  if (problems.length > 0) return { problems }
  const compiled = new Map<string, string>()
  for (const [name, body] of Object.entries(profiles as Fields)) {
    const text = compileProfile(name, body, issuers as unknown[], problems, warnings)
    if (text !== undefined) compiled.set(name, text)
  }
  // An issuer that no profile uses yet is checked, too: it will be used one day.
  const unused: string[] = []
  compileProfile('default', {}, issuers as unknown[], unused, [])
  problems.push(...unused.filter((problem) => problem.startsWith('issuers')))
  const files = readFiles(data!, problems)
  checkFiles(compiled, files, problems)
  if (problems.length > 0) return { problems: [...new Set(problems)] }
  return { profiles: compiled, files, hash: sourceHash(data!), warnings: [...new Set(warnings)] }
}
