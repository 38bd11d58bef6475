/**
 * unknown -> {@link Config}, or every problem at once, each with its path and a fix. The schema says what a field is; `checks/` say what
 * fields mean together. What the schema refuses is left out and the checks go on with the rest, so that one mistake does not hide another.
 */
import * as v from 'valibot'
import { checkIdentity } from './checks/identity.ts'
import { checkIssuers } from './checks/issuers.ts'
import { checkLimits } from './checks/limits.ts'
import { checkListeners } from './checks/listeners.ts'
import { checkRules } from './checks/rules.ts'
import { explainIssue } from './explain-issue.ts'
import type { Problem, Reports } from './problem.ts'
import { baseOf, type AnySchema } from './schema-shape.ts'
import { configSchema, type Config, type TokenSourceConfig } from './schema.ts'
import { dropUnknown, holdsReserved, isFields, type Fields } from './unknown.ts'

/** A configuration that may be used, or the problems that forbid it. Warnings come with both. */
export type Checked =
  | { readonly config: Config; readonly problems: readonly []; readonly warnings: readonly Problem[] }
  | { readonly config: undefined; readonly problems: readonly Problem[]; readonly warnings: readonly Problem[] }

/**
 * A configuration of which parts may be missing because the schema refuses them. List items keep the indices of the file: one that cannot
 * be used at all is undefined.
 */
export type Draft = { readonly [K in keyof Config]?: DraftOf<Config[K]> }
type DraftOf<T> = T extends false | { bind: unknown } ? T : T extends readonly (infer Item)[] ? readonly (DraftItem<Item> | undefined)[] : T extends object ? Partial<T> : T
type DraftItem<T> = T extends TokenSourceConfig ? T : T extends object ? Partial<T> : T

const CHECKS: readonly ((draft: Draft, reports: Reports) => void)[] = [checkListeners, checkIssuers, checkIdentity, checkRules, checkLimits]

/**
 * Validates a parsed configuration.
 * @param raw whatever the file held; not changed
 */
export function validateConfig(raw: unknown): Checked {
  const problems: Problem[] = []
  const warnings: Problem[] = []
  const reports: Reports = {
    error: (path, message) => { problems.push({ path, message }) },
    warn: (path, message) => { warnings.push({ path, message }) },
  }
  if (!isFields(raw)) {
    reports.error([], `${raw === null || raw === undefined ? 'is empty; it' : 'is not a group of fields; it'} needs at least \`listeners\` and \`issuers\``)
    return { config: undefined, problems, warnings }
  }
  const config = parse(raw, problems, reports)
  const draft = config ?? salvage(dropUnknown(configSchema, raw, [], () => {}) as Fields)
  for (const check of CHECKS) check(draft, reports)
  return config !== undefined && problems.length === 0 ? { config, problems: [], warnings } : { config: undefined, problems, warnings }
}

/** By the schema. Only where it refuses, or might pass over a name, is it looked more closely at what there is: a start is no time for that. */
function parse(raw: Fields, problems: Problem[], { error }: Reports): Config | undefined {
  const parsed = holdsReserved(raw) ? undefined : v.safeParse(configSchema, raw)
  if (parsed?.success) return parsed.output
  const again = v.safeParse(configSchema, dropUnknown(configSchema, raw, [], error))
  if (!again.success) problems.push(...again.issues.flatMap((issue) => explainIssue(issue)))
  return again.success ? again.output : undefined
}

/** Of a configuration that the schema refuses, the parts that it accepts. */
function salvage(raw: Fields): Draft {
  return salvageFields(configSchema.entries, raw, salvageField)
}

type Salvage = (schema: AnySchema, value: unknown) => unknown

/** The value if the schema accepts it, else nothing. */
const acceptedOnly: Salvage = (schema, value) => {
  const parsed = v.safeParse(schema, value)
  return parsed.success ? parsed.output : undefined
}

/** A group of fields or a list at the top: what is acceptable of it. */
function salvageField(schema: AnySchema, value: unknown): unknown {
  const parsed = v.safeParse(schema, value)
  if (parsed.success) return parsed.output
  const base = baseOf(schema)
  if (base.type === 'array' && Array.isArray(value)) return value.map((item) => salvageItem(base.item!, item))
  return base.type === 'strict_object' && isFields(value) ? salvageFields(base.entries!, value, salvageItem) : undefined
}

/** A list's item or a record's entries: whole, or what is acceptable one level down. */
function salvageItem(schema: AnySchema, value: unknown): unknown {
  const whole = acceptedOnly(schema, value)
  if (whole !== undefined || !isFields(value)) return whole
  const base = baseOf(schema)
  if (base.type === 'strict_object') return salvageFields(base.entries!, value, acceptedOnly)
  if (base.type !== 'record') return undefined
  const entries = Object.entries(value).map(([name, field]) => [name, acceptedOnly(base.value!, field)] as const)
  return Object.fromEntries(entries.filter(([, field]) => field !== undefined))
}

function salvageFields(entries: Readonly<Record<string, AnySchema>>, value: Fields, salvageOne: Salvage): Fields {
  return Object.fromEntries(Object.entries(entries).map(([name, schema]) => [name, salvageOne(schema, value[name])]))
}
