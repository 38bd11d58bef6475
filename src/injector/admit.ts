/** One admission, from review to answer: inject (pure), make sure of the namespace, warn, say an event. */
import type { Metrics } from '../telemetry/metrics.ts'
import type { Log } from '../telemetry/log.ts'
import { eventText } from './event-text.ts'
import { ownerOf, type Events } from './events.ts'
import type { Guarantee } from './guarantee.ts'
import { SYSTEM_NAMESPACE } from './names.ts'
import { denied, review, withWarnings, type AdmissionResponse, type Outcome, type Reviewed } from './review.ts'
import type { InjectorSettings } from './settings.ts'
import type { Source } from './source.ts'

export interface AdmitOptions {
  /** As they are now; `profiles` is filled in from the configuration in force. */
  readonly settings: () => InjectorSettings
  readonly source: Pick<Source, 'accepted' | 'problems'>
  readonly guarantee: Pick<Guarantee, 'admit'>
  /** What the user should know about the pod's surroundings: Services, policies of others. Never rejects, never slow. */
  readonly surroundings: (namespace: string, outcome: Extract<Outcome, { kind: 'injected' | 'unchanged' }>) => readonly string[]
  readonly events: Events
  readonly metrics: Metrics
  readonly log: Log
  readonly sourceName: string
  /** The release namespace. */
  readonly namespace: string
}

/** Called for pods that say nothing in a namespace labelled `sidegate.dev/inject: enabled`. */
const OPT_IN_PATH = '/mutate/namespace'

const OUTCOMES = ['injected', 'unchanged', 'skipped', 'refused', 'unprepared', 'malformed'] as const

type Admitted = Extract<Outcome, { kind: 'injected' | 'unchanged' }>

/**
 * Makes the function that answers reviews.
 * @returns an answer for everything: what cannot be prepared is denied with the reason
 */
export function createAdmission(options: AdmitOptions): (body: unknown, path: string) => Promise<AdmissionResponse | { readonly malformed: string }> {
  const { settings, source, guarantee, surroundings, events, metrics, log, sourceName, namespace: release } = options
  // All from the start: an increase from nothing to 1 is none to Prometheus.
  for (const outcome of OUTCOMES) metrics.series('sidegate_admissions_total', outcome)
  const count = (outcome: (typeof OUTCOMES)[number]) => { metrics.series('sidegate_admissions_total', outcome).value += 1 }

  function settingsNow(): InjectorSettings {
    const accepted = source.accepted()
    // Without a configuration no name is wrong; the pod is refused below, with the true reason.
    return accepted ? { ...settings(), profiles: [...accepted.profiles.keys()] } : settings()
  }

  // The chart's webhooks never send such a pod; but nobody authenticates who calls.
  const isKeptOut = (namespace: string): boolean => namespace === SYSTEM_NAMESPACE || namespace === release

  function refuse({ body, namespace, dryRun }: Reviewed, outcome: Outcome, code: number, message: string, word: (typeof OUTCOMES)[number]): AdmissionResponse {
    count(word)
    log.warn('pod refused', { namespace, reason: message, code, dryRun })
    if ('original' in outcome && !dryRun && !isKeptOut(namespace)) {
      const about = ownerOf(outcome.original, namespace)
      if (about) events.say('Warning', 'SidegateRefused', about, eventText(message, outcome.original))
    }
    return denied(body.response.uid, code, message)
  }

  function notConfigured(): string {
    const [first = 'nothing is known about it', ...more] = source.problems()
    return `Sidegate has no usable configuration yet, so the pod would refuse every request. In ConfigMap ${sourceName}: ${first}`
      + `${more.length > 0 ? ` (and ${more.length} more problems)` : ''}. Correct \`issuers\` and \`profiles\` in the chart's values.`
  }

  async function prepare(namespace: string, profile: string): Promise<string | undefined> {
    try {
      await guarantee.admit(namespace, profile)
      return undefined
    } catch (error) {
      return `Sidegate could not put the sidecar's configuration and NetworkPolicy in place in namespace ${namespace}, `
        + `so the pod was not started: ${(error as Error).message}. It is tried again with the next pod.`
    }
  }

  async function admitted(reviewed: Reviewed, outcome: Admitted): Promise<AdmissionResponse> {
    const { namespace, dryRun, body } = reviewed
    if (!source.accepted()) return refuse(reviewed, outcome, 503, notConfigured(), 'unprepared')
    if (!dryRun) {
      const trouble = await prepare(namespace, outcome.choices.profile)
      if (trouble !== undefined) return refuse(reviewed, outcome, 503, trouble, 'unprepared')
    }
    count(outcome.kind)
    const warnings = surroundings(namespace, outcome)
    const about = ownerOf(outcome.original, namespace)
    if (about && !dryRun) {
      const ports = outcome.ports.map(({ listen, app }) => listen === app ? `${app}` : `${app} (by ${listen})`).join(', ')
      events.say('Normal', 'SidegateInjected', about, `Pod gets the sidecar: profile ${outcome.choices.profile}, interception ${outcome.choices.interception}, ports ${ports || 'none'}.`)
      for (const warning of warnings) events.say('Warning', 'SidegateExposed', about, warning)
    }
    return withWarnings(body, warnings)
  }

  return async (body, path) => {
    const reviewed = review(body, settingsNow(), { optIn: path === OPT_IN_PATH })
    if ('malformed' in reviewed) {
      count('malformed')
      return reviewed
    }
    const { outcome, namespace } = reviewed
    if (outcome.kind !== 'skipped' && isKeptOut(namespace)) {
      return refuse(reviewed, outcome, 403, `Pods of namespace ${namespace} get no sidecar: it is the cluster's or Sidegate's own. Run the app in another namespace, or remove the annotation sidegate.dev/inject.`, 'refused')
    }
    if (outcome.kind === 'refused') return refuseByReview(reviewed, outcome)
    if (outcome.kind === 'injected' || outcome.kind === 'unchanged') return admitted(reviewed, outcome)
    count(outcome.kind)
    return reviewed.body
  }

  function refuseByReview(reviewed: Reviewed, outcome: Extract<Outcome, { kind: 'refused' }>): AdmissionResponse {
    refuse(reviewed, outcome, outcome.code, outcome.sentence, 'refused')
    return reviewed.body
  }
}
