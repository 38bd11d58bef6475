/** Unknown fields: reported all at once with a guess at what was meant, and taken out, so that the rest can be checked in the same run. */
import type * as v from 'valibot'
import { didYouMean } from '../lib/similar.ts'
import type { ConfigPath, Report } from './problem.ts'
import { baseOf, type AnySchema } from './schema-shape.ts'

/** A group of fields, as parsed. */
export type Fields = Readonly<Record<string, unknown>>

type Entries = Readonly<Record<string, AnySchema>>

/** Names that mean something to every JavaScript object. valibot passes over them in silence, so they are refused here. */
const RESERVED = new Set(['__proto__', 'constructor', 'prototype'])

/** Whether one of these names is anywhere in it. */
export function holdsReserved(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some(holdsReserved)
  return Object.keys(value).some((name) => RESERVED.has(name) || holdsReserved((value as Fields)[name]))
}

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
  return base.type === 'union' ? dropFromUnion(base.options!, value, path, report) : value
}

/** Fields of any alternative are known: if they are of different ones, the schema says so better. */
function dropFromUnion(options: readonly AnySchema[], value: Fields, path: ConfigPath, report: Report): unknown {
  const alternatives = options.map(baseOf).filter(({ type }) => type === 'strict_object').map(({ entries }) => entries!)
  const score = (entries: object) => Object.keys(value).filter((name) => Object.hasOwn(entries, name)).length
  const likeliestLast = alternatives.toSorted((a, b) => score(a) - score(b))
  return alternatives.length > 0 ? dropFromObject(Object.assign({}, ...likeliestLast) as Entries, value, path, report) : value
}

function dropFromObject(entries: Entries, value: Fields, path: ConfigPath, report: Report): Fields {
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

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
