import t from 'tap'
import { reading } from './reading.ts'

t.test('a row read aloud: dearer ones first, then those with no difference, then those we lose to, and why', async (t) => {
  const text = reading({ 'envoy jwt_authn': [2.4, 2.5, 2.6], 'oauth2-proxy': [9, 10, 11], 'sidegate bare': [0.9, 0.98, 1.05], 'nginx plain': [0.5, 0.6, 0.7], 'other': [0.8, 0.8] })
  t.equal(text, 'We cost less than oauth2-proxy (10.00), envoy jwt_authn (2.50). No difference shown to sidegate bare (0.98). We cost more than other (0.80), nginx plain (0.60), which checks nothing.')
})

t.test('a spread that holds 1 has shown no difference, however far the median is', async (t) => {
  t.equal(reading({ a: [0.9, 1.3, 1.5] }), 'No difference shown to a (1.30).')
})

t.test('a peer that was not measured is not spoken of', async (t) => {
  t.equal(reading({ a: [], b: [2] }), 'We cost less than b (2.00).')
})
