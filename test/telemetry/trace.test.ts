import { traceId } from '../../src/telemetry/trace.ts'
import t from 'tap'

const ID = '4bf92f3577b34da6a3ce929d0e0e4736'
const cases: [string, string[], string | undefined][] = [
  ['a valid one', ['Host', 'a', 'traceparent', `00-${ID}-00f067aa0ba902b7-01`], ID],
  ['any case of the name', ['TraceParent', `00-${ID}-00f067aa0ba902b7-00`], ID],
  ['a later version with more fields', ['traceparent', `01-${ID}-00f067aa0ba902b7-01-extra`], ID],
  ['none', ['Host', 'a'], undefined],
  ['two', ['traceparent', `00-${ID}-00f067aa0ba902b7-01`, 'traceparent', `00-${ID}-00f067aa0ba902b7-01`], undefined],
  ['version ff', ['traceparent', `ff-${ID}-00f067aa0ba902b7-01`], undefined],
  ['trace id of zeros', ['traceparent', `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`], undefined],
  ['parent id of zeros', ['traceparent', `00-${ID}-0000000000000000-01`], undefined],
  ['upper case', ['traceparent', `00-${ID.toUpperCase()}-00f067aa0ba902b7-01`], undefined],
  ['not one at all', ['traceparent', '"}\n'], undefined],
]
for (const [name, headers, expected] of cases) t.test(name, async (t) => { t.equal(traceId(headers), expected) })
