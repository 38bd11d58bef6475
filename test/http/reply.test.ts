/** What an answer of our own says beside its status. */
import t from 'tap'
import { createReplies } from '../../src/http/reply.ts'

t.test('503 says when to come again', (t) => {
  const { headers } = createReplies('')('overloaded')
  t.equal(headers[headers.indexOf('Retry-After') + 1], '1')
  t.end()
})

t.test('each rule\'s challenge names its own scopes', (t) => {
  const make = createReplies('')
  for (const scope of ['a', 'b', 'a']) t.match(make('scope_insufficient', scope).headers.join(), `scope="${scope}"`)
  t.end()
})
