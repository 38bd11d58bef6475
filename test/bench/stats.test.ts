import t from 'tap'
import { median, quantile, ratios, spread } from './stats.ts'

t.test('the median is the middle one, or the mean of the middle two, and leaves its input alone', async (t) => {
  const values = [3, 1, 2]
  t.equal(median(values), 2)
  t.same(values, [3, 1, 2])
  t.equal(median([4, 1, 3, 2]), 2.5)
  t.equal(median([10, 9]), 9.5)
  t.ok(Number.isNaN(median([])))
})

t.test('quantiles sort by number, not by text', async (t) => {
  const values = [10, 9, 100, 1]
  t.equal(quantile(values, 0.5), 10)
  t.equal(quantile(values, 0.99), 100)
  t.equal(quantile(values, 1), 100)
  t.equal(quantile([7], 0), 7)
  t.ok(Number.isNaN(quantile([], 0.5)))
})

t.test('a spread leaves out what was not measured, and is none of nothing', async (t) => {
  t.same(spread([2, Number.NaN, 1, 4]), { median: 2, least: 1, most: 4 })
  t.equal(spread([Number.NaN]), undefined)
})

t.test('ratios are taken round by round: a machine that slows down for both changes nothing', async (t) => {
  t.same(ratios([20, 40, 60], [10, 20, 30]), [2, 2, 2])
  t.same(ratios([20, Number.NaN], [10, 20]), [2])
})
