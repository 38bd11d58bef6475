/** Looking at a valibot schema as data: for unknown fields, the documentation and the JSON schema. */
import type * as v from 'valibot'

export type AnySchema = v.GenericSchema

/** The parts of the schema kinds that the configuration uses. */
export interface Shape {
  readonly type: string
  /** `strict_object`, `loose_object` */
  readonly entries?: Record<string, AnySchema>
  /** `array` */
  readonly item?: AnySchema
  /** `union`: schemas; `picklist`: texts */
  readonly options?: readonly AnySchema[]
  /** `record`: schemas of name and value */
  readonly key?: AnySchema
  readonly value?: AnySchema
  /** `optional` */
  readonly wrapped?: AnySchema
  readonly default?: unknown
  /** `literal` */
  readonly literal?: unknown
  /** A pipe's first schema, then checks, transformations and descriptions. */
  readonly pipe?: readonly (AnySchema | Step)[]
}

/** A check, transformation or description in a pipe. */
export interface Step {
  readonly kind: 'validation' | 'transformation' | 'metadata'
  readonly type: string
  readonly requirement?: unknown
  readonly message?: string | undefined
  readonly description?: string
}

/** The schema itself as data. */
export function shapeOf(schema: AnySchema): Shape {
  return schema
}

/** The schema under pipes and `optional`: the type that people write. */
export function baseOf(schema: AnySchema): Shape {
  const shape = shapeOf(schema)
  const inner = shape.pipe ? shape.pipe[0] as AnySchema : shape.wrapped
  return inner ? baseOf(inner) : shape
}

/** The documentation of a field: the outermost description. */
export function descriptionOf(schema: AnySchema): string | undefined {
  const { pipe, wrapped } = shapeOf(schema)
  const own = pipe?.find((step) => step.type === 'description') as Step | undefined
  const inner = pipe ? pipe[0] as AnySchema : wrapped
  return own?.description ?? (inner && descriptionOf(inner))
}
