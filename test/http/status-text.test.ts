/** The reason phrases: Node's words, and one for every status that can be sent. */
import { STATUS_CODES } from 'node:http'
import t from 'tap'
import { STATUS_TEXT } from '../../src/http/status-text.ts'
import { REASONS } from '../../src/telemetry/reason.ts'

t.test('they are those of Node', (t) => {
  for (const [status, text] of Object.entries(STATUS_TEXT)) t.equal(text, STATUS_CODES[status], status)
  t.end()
})

t.test('every reason that is answered has one', (t) => {
  const statuses = Object.values(REASONS).map(({ status }) => status).filter((status) => status !== 0)
  t.ok(statuses.length > 10)
  t.same(statuses.filter((status) => STATUS_TEXT[status] === undefined), [])
  t.end()
})
