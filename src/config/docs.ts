/** The reference pages that are made from the tables in the code: `node scripts/docs.mjs` writes them, a test holds them against the code. */
import { REASONS, REASON_NAMES } from '../telemetry/reason.ts'
import { isOptional } from './json-schema.ts'
import { baseOf, descriptionOf, shapeOf, type AnySchema } from './schema-shape.ts'
import { configSchema } from './schema.ts'
import { address, duration, size, wait } from './values.ts'

const cell = (text: string) => text.replaceAll('|', String.raw`\|`)
const code = (text: string) => `\`${text}\``

/** Shown at the top of the page; valid as it stands. */
export const EXAMPLE = `listeners:
  - { bind: 127.0.0.1:15001, upstream: 127.0.0.1:8080 }
issuers:
  - name: corp
    issuer: https://auth.internal              # the exact iss of the tokens
    audiences: [internal-services]             # any of them
    keys: { discovery: true }                  # or { jwksUri }, { file }, { inline }
identity:
  headers:                                     # stripped from every request first, in any spelling
    X-User-Id: { claim: sub, required: true }
    X-User-Roles: { claim: realm_access.roles, encoding: csv }
    X-User-Name: { claim: name, encoding: json }
rules:                                         # first match wins; no match is a denial
  - { match: { path: /healthz, methods: [GET] }, allow: anonymous }
  - { match: { path: /**, preflight: true }, allow: anonymous }
  - { match: { path: /orders/**, methods: [POST, PUT, DELETE] }, require: { scopes: [orders.write] } }
  - { match: { path: /tenants/*/** }, require: { tenant: { claim: tenantId, segment: 2 } } }
  - { match: { path: /admin/** }, require: { roles: { anyOf: [admin, operator], claim: realm_access.roles } } }
  - { match: { path: /events }, require: {}, closeOnExpiry: true }
  - { match: { path: /** }, require: {} }      # any valid token
`

/** docs/configuration.md. */
export function configurationPage(): string {
  const sections = Object.entries(configSchema.entries).flatMap(([name, schema]) => section(name, schema))
  return [
    '# Configuration',
    '',
    'The sidecar\'s configuration file, JSON or YAML. Generated from `src/config/schema.ts` by `node scripts/docs.mjs`; do not edit.',
    'For editors there is a JSON Schema: [config.schema.json](config.schema.json) (`# yaml-language-server: $schema=...`).',
    '`sidegate check FILE` names every problem at once. How paths, headers and rules are read: [requests.md](requests.md).',
    '',
    'Durations are `500ms`, `30s`, `5m`, `1h`, `7d` or `0`; sizes are bytes, `16KiB` or `1MiB`; addresses are `host:port` or `[ipv6]:port`.',
    'Unknown fields and duplicate keys are errors. Only `listeners` and `issuers` are required.',
    '',
    '```yaml',
    `${EXAMPLE}\`\`\``,
    '',
    ...sections,
  ].join('\n')
}

function section(name: string, schema: AnySchema): readonly string[] {
  const rows = fieldRows(name, schema)
  const single = rows.length === 1
  return [
    `## ${name}`,
    '',
    ...single ? [] : [descriptionOf(schema) ?? '', ''].filter((line, index) => index > 0 || line !== ''),
    '| field | type | default | meaning |',
    '|---|---|---|---|',
    ...(single ? rows : rows.filter((row) => !row.startsWith(`| ${code(name)} |`))),
    '',
  ].filter((line, index, lines) => line !== '' || lines[index - 1] !== '')
}

/** A row for the field and for each field below it. */
function fieldRows(path: string, schema: AnySchema): readonly string[] {
  const row = `| ${[code(path), typeName(schema), defaultOf(schema), descriptionOf(schema) ?? ''].map(cell).join(' | ')} |`
  return [row, ...childRows(path, baseOf(schema))]
}

function childRows(path: string, { type, entries, item, value, options }: ReturnType<typeof baseOf>): readonly string[] {
  if (type === 'strict_object') return Object.entries(entries!).flatMap(([name, schema]) => fieldRows(`${path}.${name}`, schema))
  if (type === 'array') return childRows(`${path}[]`, baseOf(item!))
  if (type === 'record') return childRows(`${path}.NAME`, baseOf(value!))
  return type === 'union' ? options!.flatMap((option) => childRows(path, baseOf(option))) : []
}

const VALUE_TYPES = new Map<AnySchema, string>([[duration, 'duration'], [wait, 'duration up to 24d'], [size, 'size'], [address, 'address']])

/** The type in one word or a few. */
function typeName(schema: AnySchema): string {
  const known = VALUE_TYPES.get(schema)
  if (known) return known
  const { pipe, wrapped, type, options = [], item, literal } = shapeOf(schema)
  const inner = pipe ? pipe[0] as AnySchema : wrapped
  if (inner) return typeName(inner)
  switch (type) {
    case 'strict_object': case 'loose_object': return 'group'
    case 'record': return 'group by name'
    case 'array': return `list of ${plural(typeName(item!))}`
    case 'union': return [...new Set(options.map(typeName))].join(' or ')
    case 'picklist': return (options as readonly unknown[]).map((option) => code(String(option))).join(', ')
    case 'literal': return code(String(literal))
    case 'string': return 'text'
    default: return type
  }
}

const plural = (type: string) => type === 'text' ? 'texts' : type === 'group' ? 'groups' : type

function defaultOf(schema: AnySchema): string {
  if (!isOptional(schema)) return '**required**'
  const fallback = fallbackOf(schema)
  return fallback === undefined || JSON.stringify(fallback) === '{}' ? '' : code(typeof fallback === 'string' && fallback !== '' ? fallback : JSON.stringify(fallback))
}

function fallbackOf(schema: AnySchema): unknown {
  const { pipe, default: fallback } = shapeOf(schema)
  return pipe ? fallbackOf(pipe[0] as AnySchema) : fallback
}

/** docs/reasons.md. */
export function reasonsPage(): string {
  const rows = REASON_NAMES.map((name) => {
    const { status, challenge, explains, message } = REASONS[name]
    const answer = status === 0 ? '' : `${status}${challenge === 'none' ? '' : `, ${challenge === 'bearer' ? 'bare challenge' : code(challenge)}`}`
    return `| ${[code(name), answer, explains, message].map(cell).join(' | ')} |`
  })
  return [
    '# Reasons',
    '',
    'Why a request was answered as it was. The same word is the label `reason` of the metrics and the field `reason` of the log. Generated from',
    '`src/telemetry/reason.ts` by `node scripts/docs.mjs`; do not edit.',
    '',
    'The client learns the class: the status, the challenge in `WWW-Authenticate` (RFC 6750) and the public message. The log learns the cause.',
    '',
    '| reason | answer | cause | public message |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}
