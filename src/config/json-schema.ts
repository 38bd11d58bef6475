/** The configuration schema as JSON Schema (draft 7): for editors, and for the chart's values. */
import { baseOf, descriptionOf, shapeOf, type AnySchema, type Step } from './schema-shape.ts'
import { configSchema } from './schema.ts'
import { address, duration, size, wait } from './values.ts'

export type JsonSchema = Readonly<Record<string, unknown>>

const DURATION = { anyOf: [{ type: 'string', pattern: '^(0|[0-9]{1,9}(ms|s|m|h|d))$' }, { const: 0 }] }

/** Value types that people write as text and the code sees as something else. */
const VALUE_TYPES = new Map<AnySchema, JsonSchema>([
  [duration, DURATION],
  [wait, DURATION],
  [size, { anyOf: [{ type: 'string', pattern: '^[0-9]{1,12}(KiB|MiB)?$' }, { type: 'integer', minimum: 0 }] }],
  [address, { type: 'string', pattern: '^(\\[[0-9A-Fa-f:.]+\\]|[^:\\[\\]\\s/]+):[0-9]{1,5}$' }],
])

/** Translates a schema or a part of one. */
export function toJsonSchema(schema: AnySchema): JsonSchema {
  const description = descriptionOf(schema)
  return { ...typed(schema), ...description === undefined ? {} : { description } }
}

function typed(schema: AnySchema): JsonSchema {
  const known = VALUE_TYPES.get(schema)
  if (known) return known
  const { pipe, wrapped, default: fallback } = shapeOf(schema)
  if (pipe) {
    const [first, ...steps] = pipe as [AnySchema, ...(AnySchema | Step)[]]
    return Object.assign({}, toJsonSchema(first), ...steps.map((step) => constraint(step as Step))) as JsonSchema
  }
  if (wrapped) return { ...toJsonSchema(wrapped), ...fallback === undefined ? {} : { default: fallback } }
  return plain(schema)
}

function plain(schema: AnySchema): JsonSchema {
  const { type, entries = {}, item, options = [], key, value, literal } = shapeOf(schema)
  switch (type) {
    case 'strict_object': return { type: 'object', properties: mapValues(entries, toJsonSchema), additionalProperties: false, ...required(entries) }
    case 'loose_object': return { type: 'object', properties: mapValues(entries, toJsonSchema), ...required(entries) }
    case 'record': return { type: 'object', propertyNames: toJsonSchema(key!), additionalProperties: toJsonSchema(value!) }
    case 'array': return { type: 'array', items: toJsonSchema(item!) }
    case 'union': return { anyOf: options.map(toJsonSchema) }
    case 'picklist': return { enum: options }
    case 'literal': return { const: literal }
    case 'unknown': return {}
    case 'string': case 'number': case 'boolean': return { type }
    default: throw new Error(`json-schema.ts does not know the schema type ${type}: teach it`)
  }
}

function required(entries: Readonly<Record<string, AnySchema>>): JsonSchema {
  const names = Object.keys(entries).filter((name) => !isOptional(entries[name]!))
  return names.length > 0 ? { required: names } : {}
}

/** Whether a field may be left out. */
export function isOptional(schema: AnySchema): boolean {
  return shapeOf(schema).type === 'optional'
}

/** What a check in a pipe adds. */
function constraint({ type, requirement }: Step): JsonSchema {
  switch (type) {
    case 'regex': return { pattern: (requirement as RegExp).source }
    case 'non_empty': return { minLength: 1 }
    case 'min_length': return { minItems: requirement }
    case 'min_value': return { minimum: requirement }
    case 'max_value': return { maximum: requirement }
    case 'integer': return { type: 'integer' }
    case 'description': case 'to_lower_case': return {}
    default: throw new Error(`json-schema.ts does not know the check ${type}: teach it`)
  }
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]))
}

/** The sidecar's configuration file. */
export function configJsonSchema(): JsonSchema {
  return { $schema: 'http://json-schema.org/draft-07/schema#', title: 'Configuration of the Sidegate sidecar', ...toJsonSchema(configSchema) }
}

/** The chart's `issuers`: the same list as in the configuration file. */
export function issuersJsonSchema(): JsonSchema {
  return { type: 'array', items: toJsonSchema(baseOf(configSchema.entries.issuers).item!) }
}

/** What the injector sets for each pod; a profile must not. */
const PER_POD = new Set(['listeners', 'probes'])

/** One of the chart's `profiles`: the configuration file without what belongs to a pod, and with issuers by name. */
export function profileJsonSchema(): JsonSchema {
  const entries = Object.entries(configSchema.entries).filter(([name]) => !PER_POD.has(name))
  const properties = mapValues(Object.fromEntries(entries) as Record<string, AnySchema>, toJsonSchema)
  const issuers = { type: 'array', items: { type: 'string', minLength: 1 }, description: 'Names of the issuers whose tokens are accepted. Default: all.' }
  return { type: 'object', properties: { ...properties, issuers }, additionalProperties: false }
}
