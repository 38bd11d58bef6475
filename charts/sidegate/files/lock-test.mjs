// helm test: calls the app of the test namespace without a token, through its Service and straight at the pod.
import { lookup } from 'node:dns/promises'
import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

const call = (host, port) => new Promise((resolve) => {
  const sent = request({ host, port, path: '/sidegate-helm-test', timeout: 3000, agent: false }, (response) => {
    let body = ''
    response.on('data', (part) => { body += part }).on('end', () => resolve({ status: response.statusCode, body }))
  })
  sent.on('timeout', () => sent.destroy(new Error('timed out'))).on('error', (error) => resolve({ status: 0, body: error.message })).end()
})
const isApp = (answer) => answer.body.includes('the app itself')

let answer
for (let attempt = 0; attempt < 60; attempt += 1) {
  answer = await call(process.env.TARGET, 80)
  if (answer.status === 401 || answer.status === 403 || isApp(answer)) break
  await sleep(1000)
}
console.log(`Service, no token: ${answer.status} ${answer.body.slice(0, 200)}`)
if (answer.status !== 401 && answer.status !== 403) {
  console.log('FAILED: the Service must answer 401 (or 403) to a call without a token. Is the profile "default" open to anonymous callers? Does the pod run?')
  process.exit(1)
}

const [{ address }] = await lookup(process.env.PODS, { all: true })
const direct = await call(address, 8080)
console.log(`pod ${address}, the app's own port 8080, no token: ${direct.status || 'no answer'} ${direct.body.slice(0, 200)}`)
if (isApp(direct) || (direct.status !== 0 && direct.status !== 401 && direct.status !== 403)) {
  console.log('FAILED: the app\'s own port can be reached without the sidecar. Does your CNI enforce NetworkPolicy? If not, use interception loopback or redirect.')
  process.exit(1)
}
console.log('passed: the app is reachable only through its sidecar')
