/** What the figures say, in sentences that are made from them: who is cheaper than we are, who is dearer, and why somebody is cheaper. */
import { spread } from './stats.ts'

/** Within so much a ratio is no difference. */
const LEVEL = 0.05

/** Why a peer can cost less than we do, where it does. */
const BECAUSE: Readonly<Record<string, string>> = {
  'nginx plain': 'checks nothing',
  'haproxy plain': 'checks nothing',
  'envoy plain': 'checks nothing',
  'haproxy jwt_verify': 'does in C what its configuration spells out and nothing more',
  'nginx lua, cache': 'is proxying in C with one table of tokens seen before, and nothing else is looked at once a token is in it',
  'envoy jwt_authn': 'does the same in C++',
  'envoy, jwt cache': 'does the same in C++',
  'oauth2-proxy': 'is compiled Go',
  'sidegate bare': 'is ourselves without rules, with two headers instead of three, and no log',
}

type Ratios = Readonly<Record<string, readonly number[]>>

const list = (names: readonly string[]): string => names.join(', ')

/**
 * One row read aloud.
 * @param ratios by peer, what it costs over what we cost, one for each round
 */
export function reading(ratios: Ratios): string {
  const found = Object.entries(ratios).flatMap(([name, values]) => {
    const all = spread(values)
    return all === undefined ? [] : [{ name, ...all, text: `${name} (${all.median.toFixed(2)})` }]
  })
  // A spread that holds 1 has not shown a difference.
  const level = found.filter(({ median, least, most }) => Math.abs(median - 1) <= LEVEL || (least < 1 && most > 1))
  const others = found.filter((each) => !level.includes(each)).toSorted((a, b) => b.median - a.median)
  const [dearer, cheaper] = [others.filter(({ median }) => median > 1), others.filter(({ median }) => median < 1)]
  const parts = [
    dearer.length > 0 && `We cost less than ${list(dearer.map(({ text }) => text))}.`,
    level.length > 0 && `No difference shown to ${list(level.map(({ text }) => text))}.`,
    cheaper.length > 0 && `We cost more than ${list(cheaper.map(({ name, text }) => BECAUSE[name] === undefined ? text : `${text}, which ${BECAUSE[name]}`))}.`,
  ]
  return parts.filter(Boolean).join(' ')
}
