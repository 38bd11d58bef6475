import t from 'tap'
import { closest, didYouMean } from '../../src/lib/similar.ts'

t.test('the word that was meant', (t) => {
  const fields = ['listeners', 'issuers', 'identity', 'rules', 'log']
  for (const [word, meant] of [['listenrs', 'listeners'], ['Issuers', 'issuers'], ['isuer', 'issuers'], ['identiy', 'identity'], ['ruels', 'rules'], ['lgo', 'log']] as const) t.equal(closest(word, fields), meant, word)
  for (const word of ['', 'x', 'completely', 'rulesandmore', 'y'.repeat(1000)]) t.equal(closest(word, fields), undefined, word.slice(0, 20))
  t.equal(closest('a', []), undefined)
  t.end()
})

t.test('as the end of a message', (t) => {
  t.equal(didYouMean('corpp', ['corp']), '; did you mean corp?')
  t.equal(didYouMean('x', ['corp']), '')
  t.end()
})
