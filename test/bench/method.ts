/** The words of docs/benchmarks.md that do not depend on figures: what was done, and what must not be compared. */
import { CONNECTIONS, RATE } from './latency.ts'
import { DRIFT_LIMIT, FOREIGN_LIMIT } from './rounds.ts'
import { REFERENCES } from './rows.ts'

export const METHOD = `The figure is CPU time a request: user and system time of the proxy with all its children and threads (\`/proc\`, by the scheduler's own count in nanoseconds), divided by the requests answered. It stays
true when the load generator is slow; requests a second do not, so there are none here. Latency at full load is left out as well: with 32 connections always busy it is 32 divided by the throughput, whoever the proxy is.

Every proxy has one worker and runs alone on CPU 0, all of them up at the same time and idle but one; load and the app (nginx) are on CPU 1. At full load that is \`wrk -t1 -c32\`, keep-alive, the same prepared bytes
for all. Each row goes round all peers, after warming each up with the row's own load, and the next round begins with another; ratios are taken within a round. In the rows of new tokens the caches of all peers are first filled with other tokens,
and there are more new ones (20,000 in turn) than any cache holds.

A round counts only if nobody else used more than ${FOREIGN_LIMIT * 100} % of CPU 0 in any of its windows, and neither reference (${REFERENCES.join(', ')}) cost more than ${DRIFT_LIMIT * 100} % above its best round; else it is measured again, at most as often as
there are rounds. The choice never looks at our own figures.

What is not comparable: HAProxy checks the signature and what its configuration spells out, and can't take an array out of a token; plain proxies check nothing; Envoy as documented verifies every token anew, which
is what most of its users run, and its cache is set to 2,000 tokens here (100 is its default); nginx with Lua looks at nothing again once a token is in its cache; oauth2-proxy tells the app in headers of its own. \`sidegate\` has 41 rules of which the last matches, three identity headers, scopes and roles,
metrics, and logs one in a thousand requests; \`sidegate bare\` has one issuer, two headers and nothing else. Both start as the image does: the same file and flags, Node's permission model among them.`

export const AFTER = {
  latencyBefore: `${RATE.toLocaleString('en')} requests a second, evenly spaced, over ${CONNECTIONS} connections that take turns, with one warm token; timed from the moment a request was due. Added is through the proxy less straight to the app, in the same round.`,
  latency: 'The generator spins on CPU 1 below everything else there (SCHED_IDLE): a timer would be late by more than what is measured. A round in which it was late itself (0.5 ms at its p99), or others used either CPU, does not count. What was never answered is an error, not left out.',
  memoryBefore: 'Each figure from a process of its own, two seconds after the last request; the median of three. Anonymous is what a pod pays for each time; the rest of resident is code, shared by pods of the same image on a node.',
  startBefore: 'From the start of the process to the first 200 for a good token, asked every millisecond, all peers in turn, on one core. What the first start reads from disk is not counted. The keys come from a file (oauth2-proxy\'s from the app).',
  curves: 'The sidecar alone: each point measured in turn with the smallest one, A B A B, in windows of a second, both processes up all the time. A cost within a tenth of the smallest point\'s, or with a spread on both sides of it, is called the same.',
  verdicts: 'A cell that starts with `!` is an answer that should have been another: a token that had to be refused, or a forged header or the token itself that reached the app.',
}
