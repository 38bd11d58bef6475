/** Tells the story on a stage of its own, then stays up for the reader to try. */
import { setTimeout as sleep } from 'node:timers/promises'
import { configuration, identityOf, story, wrong, type Rules, type Step } from './story.ts'
import { setStage, type Answer, type Stage } from './stage.ts'
import { createTeller, type Teller } from './tell.ts'

/** Options of {@link runDemo}. */
export interface DemoOptions {
  /** Leave when the story is told. */
  readonly once: boolean
  readonly out?: NodeJS.WriteStream
}

function shorten(token: string): string {
  return token.length > 40 ? `${token.slice(0, 18)}...${token.slice(-8)}` : token
}

function describe(step: Step, answer: Answer, reason: string | undefined, tell: Teller): void {
  const forged = step.forged ?? []
  for (let i = 0; i < forged.length; i += 2) tell.line(i === 0 ? 'forged' : '', `${forged[i]}: ${forged[i + 1]}`, 'yellow')
  const challenge = answer.challenge === undefined ? '' : `  WWW-Authenticate: ${answer.challenge.replace(/, error_description=".*"/, ', ...')}`
  tell.line('verdict', `${answer.status}${challenge}`, answer.status < 400 ? 'green' : 'magenta')
  if (reason !== undefined) tell.line('log', reason)
  if (!answer.seen) return tell.line('app', 'saw nothing')
  const identity = Object.entries(identityOf(answer))
  tell.line('app', identity.length > 0 ? identity.map(([name, value]) => `${name}: ${value}`).join('   ') : 'received the request, no identity header')
}

async function perform(step: Step, stage: Stage, tell: Teller): Promise<boolean> {
  if (step.act) tell.line('first', await step.act(stage), 'cyan')
  const token = await step.token?.(stage)
  const headers = [...(token === undefined ? [] : ['Authorization', `Bearer ${token}`]), ...(step.forged ?? [])]
  tell.line('request', `GET ${step.path}${token === undefined ? '' : `  Authorization: Bearer ${shorten(token)}  (${step.tokenIs})`}`)
  const started = performance.now()
  let from = stage.log.length
  let answer = await stage.send(step.path, headers)
  while (wrong(step, answer) !== undefined && performance.now() - started < (step.withinMs ?? 0)) {
    await sleep(25)
    from = stage.log.length
    answer = await stage.send(step.path, headers)
  }
  const took = step.withinMs === undefined ? '' : `, in force after ${Math.round(performance.now() - started)} ms`
  const decision = answer.status === 200 && step.audited !== true ? undefined : await stage.logged(from)
  describe(step, answer, decision && `verdict: ${decision.verdict}  reason: ${decision.reason}`, tell)
  const problem = wrong(step, answer) ?? (step.audited === true && decision?.verdict !== 'audit' ? 'the log says nothing of it' : undefined)
  tell.verdict(problem === undefined, problem ?? `as it should be${took}`)
  return problem === undefined
}

async function invite(stage: Stage, tell: Teller): Promise<void> {
  const now = Math.floor(Date.now() / 1000)
  const token = (sub: string, roles: string[]): Promise<string> => stage.issuer.sign({ sub, roles, aud: 'internal-services', iat: now, exp: now + 3600 })
  tell.say('\nStill running. To try by hand, in another terminal:\n', 'bold')
  tell.say(`  ADA=${await token('ada', ['staff', 'admin'])}\n`)
  tell.say(`  curl -i ${stage.url}/orders/7`)
  tell.say(`  curl -i ${stage.url}/orders/7 -H "Authorization: Bearer $ADA" -H 'X-User-Id: root'`)
  tell.say(`  curl -i ${stage.url}/admin/users -H "Authorization: Bearer $ADA"`)
  tell.say(`  curl -s ${stage.metricsUrl} | grep sidegate_`)
  tell.say(`\n  The configuration, live: ${stage.folder}/sidegate.yaml`)
  tell.say('\nCtrl-C ends it.')
}

/**
 * Runs the demo: embedded issuer, unmodified app, the real sidecar as its own process.
 * @returns whether every step came out right
 * @throws when a part does not start
 */
export async function runDemo({ once, out = process.stdout }: DemoOptions): Promise<boolean> {
  const tell = createTeller(out)
  let rules: Rules = { adminMode: 'enforce', ordersRole: undefined }
  let facts: Parameters<typeof configuration>[0] | undefined
  tell.say('Sidegate: an issuer, an app that knows nothing of tokens, and the sidecar before it.', 'bold')
  const stage = await setStage((given) => { facts = given; return configuration(given, rules) })
  const interrupted = new Promise<void>((resolve) => { for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve()) })
  try {
    tell.say(`  issuer   ${stage.issuer.url}  (TLS, its own CA)\n  sidecar  ${stage.url}  ->  app 127.0.0.1:${facts?.app}`)
    const steps = story(async (current, change) => {
      rules = { ...rules, ...change }
      if (facts) await current.write('sidegate.yaml', configuration(facts, rules))
    })
    let right = 0
    for (const [index, step] of steps.entries()) {
      tell.title(index + 1, step.title)
      if (await perform(step, stage, tell)) right += 1
    }
    const fine = right === steps.length && stage.alive()
    tell.say(`\n${right} of ${steps.length} steps came out right.`, fine ? 'green' : 'red')
    if (!fine) tell.say(`The sidecar's last log lines:\n${stage.log.slice(-15).join('\n')}`)
    if (!once) {
      await invite(stage, tell)
      await interrupted
    }
    return fine
  } finally {
    await stage.strike()
  }
}
