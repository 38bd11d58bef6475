import t from 'tap'
import { readReport } from './load.ts'

// The columns of `Thread Stats` have percentages of their own.
const REPORT = `Running 2s test @ http://127.0.0.1:19101/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.46ms    2.01ms  50.99ms   99.00%
    Req/Sec    15.20k     1.41k   18.00k    50.00%
  Latency Distribution
     50%  998.00us
     75%    1.50ms
     90%    2.00ms
     99%    1.20s
  30271 requests in 2.00s, 5.08MB read
`

t.test('the figures of a report are those of its distribution, in milliseconds', async (t) => {
  t.same(readReport(`${REPORT}Requests/sec:  15127.11\n`, false), { rps: 15_127.11, requests: 30_271, p50: 0.998, p99: 1_200, errors: 0 })
})

t.test('errors: wrong statuses and broken connections', async (t) => {
  t.equal(readReport(`${REPORT}  Socket errors: connect 1, read 20, write 300, timeout 4000\n`, false).errors, 4_321)
  t.equal(readReport(`${REPORT}  Non-2xx or 3xx responses: 7\n`, false).errors, 7)
})

t.test('where every answer must be a refusal, each that is none is an error', async (t) => {
  t.equal(readReport(`${REPORT}  Non-2xx or 3xx responses: 30270\n`, true).errors, 1)
  t.equal(readReport(REPORT, true).errors, 30_271)
})
