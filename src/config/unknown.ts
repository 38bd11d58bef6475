/** Unknown fields: reported all at once with a guess at what was meant, and taken out, so that the rest can be checked in the same run. */
import type * as v from 'valibot'
import { didYouMean } from '../lib/similar.ts'
import type { ConfigPath, Report } from './problem.ts'
import { baseOf, type AnySchema } from './schema-shape.ts'

/** A group of fields, as parsed. */
export type Fields = Readonly<Record<string, unknown>>

/** Names that mean something to every JavaScript object. valibot passes over them in silence, so they are refused here. */
const RESERVED = new Set(['__proto__', 'constructor', 'prototype'])

/**
 * @param schema what the value should be
 * @param value as parsed; not changed
 * @returns the value without its unknown fields, each of which has been reported
 */
export function dropUnknown(schema: v.GenericSchema, value: unknown, path: ConfigPath, report: Report): unknown {
  const base = baseOf(schema)
  if (base.type === 'array' && Array.isArray(value)) {
    return value.map((item, index) => dropUnknown(base.item!, item, [...path, index], report))
  }
  if (!isFields(value)) return value
  if (base.type === 'strict_object') return dropFromObject(base.entries!, value, path, report)
  if (base.type === 'record') return dropFromRecord(base.value!, value, path, report)
  const option = base.type === 'union' ? closestOption(base.options!, value) : undefined
  return option ? dropUnknown(option, value, path, report) : value
}

function dropFromObject(entries: Record<string, v.GenericSchema>, value: Fields, path: ConfigPath, report: Report): Fields {
  const known: [string, unknown][] = []
  for (const [name, field] of Object.entries(value)) {
    const entry = Object.hasOwn(entries, name) ? entries[name] : undefined
    if (entry) known.push([name, dropUnknown(entry, field, [...path, name], report)])
    else report([...path, name], `there is no such field here${didYouMean(name, Object.keys(entries)) || `; known are ${Object.keys(entries).join(', ')}`}`)
  }
  return Object.fromEntries(known)
}

function dropFromRecord(item: v.GenericSchema, value: Fields, path: ConfigPath, report: Report): Fields {
  const allowed = Object.entries(value).filter(([name]) => {
    if (RESERVED.has(name)) report([...path, name], 'this name is reserved by JavaScript and cannot be used here')
    return !RESERVED.has(name)
  })
  return Object.fromEntries(allowed.map(([name, field]) => [name, dropUnknown(item, field, [...path, name], report)]))
}

/** Of the alternatives, the object that knows most of the value's fields. */
export function closestOption(options: readonly AnySchema[], value: Fields): AnySchema | undefined {
  const score = (option: AnySchema) => Object.keys(value).filter((name) => Object.hasOwn(baseOf(option).entries!, name)).length
  const objects = options.filter((option) => baseOf(option).type === 'strict_object')
  return objects.reduce<AnySchema | undefined>((best, option) => best === undefined || score(option) > score(best) ? option : best, undefined)
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
