/** Groups of fields. To valibot a list is an object, too: an empty one would pass for an empty group, `match: []` for a match of everything. */
import * as v from 'valibot'

const refusal: v.GenericSchema = v.custom(() => false, 'must be a group of fields')

/** The schema, but a list is refused. */
function noList<S extends v.GenericSchema>(schema: S): S {
  const run: S['~run'] = (dataset, config) => (Array.isArray(dataset.value) ? refusal : schema)['~run'](dataset, config)
  return { ...schema, '~run': run }
}

/** Schema: a group with these fields and no others. */
export const group = <const E extends v.ObjectEntries>(entries: E) => noList(v.strictObject(entries))

/** Schema: a group with these fields and any others. */
export const openGroup = <const E extends v.ObjectEntries>(entries: E) => noList(v.looseObject(entries))

/** Schema: a group of which whoever writes it chooses the names. */
export const groupByName = <K extends v.GenericSchema<string, string>, V extends v.GenericSchema>(name: K, value: V) => noList(v.record(name, value))
