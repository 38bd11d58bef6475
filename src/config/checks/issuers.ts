/** Issuers: who they are, where their keys come from, what is accepted from them. */
import type { ConfigPath, Reports } from '../problem.ts'
import { HMAC_ALGORITHMS, type IssuerConfig } from '../schema.ts'
import type { Draft } from '../validate.ts'

type Keys = IssuerConfig['keys']

const SOURCES = ['discovery', 'jwksUri', 'file', 'inline', 'secretFile'] as const
const SECOND = 1_000
const MINUTE = 60 * SECOND

export function checkIssuers(draft: Draft, reports: Reports): void {
  const issuers = draft.issuers ?? []
  for (const [index, issuer] of issuers.entries()) {
    if (issuer === undefined) continue
    const path = ['issuers', index]
    const earlier = issuers.slice(0, index)
    const named = issuer.name === undefined ? -1 : earlier.findIndex((other) => other?.name === issuer.name)
    if (named >= 0) reports.error([...path, 'name'], `${issuer.name} is already the name of issuers[${named}]; names must differ`)
    // A token chooses its issuer by `iss`. With two entries for one `iss` it would be unclear whose keys and audiences hold.
    const same = issuer.issuer === undefined ? -1 : earlier.findIndex((other) => other?.issuer === issuer.issuer)
    if (same >= 0) reports.error([...path, 'issuer'], `issuers[${same}] has the same \`iss\`; make them one entry with all the audiences`)
    if (issuer.clockSkew !== undefined && issuer.clockSkew > 5 * MINUTE) {
      reports.warn([...path, 'clockSkew'], 'tokens live this much longer than they say; more than a few minutes hides a broken clock')
    }
    if (issuer.keys === undefined) continue
    checkKeys(issuer.keys, issuer.issuer, [...path, 'keys'], reports)
    checkTimes(issuer.keys, [...path, 'keys'], reports)
    checkAlgorithms(issuer.algorithms ?? [], issuer.keys, [...path, 'algorithms'], reports)
  }
}

function checkKeys(keys: Keys, issuer: string | undefined, path: ConfigPath, { error, warn }: Reports): void {
  const sources = SOURCES.filter((source) => keys[source] !== undefined)
  if (sources.length !== 1) {
    error(path, `name exactly one of ${SOURCES.join(', ')}; found ${sources.length === 0 ? 'none' : sources.join(' and ')}`)
  }
  if (keys.inline?.keys.length === 0) error([...path, 'inline', 'keys'], 'is empty, so no token can be verified; put the issuer\'s public keys here')
  if (keys.jwksUri !== undefined) checkUrl(keys.jwksUri, keys.allowHttp, [...path, 'jwksUri'], error)
  if (keys.discovery && issuer !== undefined) checkDiscovery(issuer, keys.allowHttp, [...path, 'discovery'], error)
  if (keys.allowHttp) warn([...path, 'allowHttp'], 'whoever can answer for the issuer\'s name can forge every token; for tests only')
  for (const [index, host] of keys.allowedHosts.entries()) {
    const likely = likelyHost(host)
    if (host !== likely) error([...path, 'allowedHosts', index], `${JSON.stringify(host)} is no host as URLs have it; write ${likely ?? 'for example keys.example.com or keys.example.com:8443'}`)
  }
  const isFetched = keys.discovery || keys.jwksUri !== undefined
  for (const field of ['caFile', 'bearerTokenFile'] as const) {
    if (keys[field] !== undefined && !isFetched) error([...path, field], 'has no effect on keys that are not fetched; remove it, or use discovery or jwksUri')
  }
}

/** The host, with its port unless that is https' own, as URLs have it: of a URL, or of what stands where a host belongs. */
function likelyHost(text: string): string | undefined {
  const url = URL.parse(text.includes('//') ? text : `https://${text}`)
  return url?.host || undefined
}

function checkUrl(text: string, allowHttp: boolean, path: ConfigPath, error: Reports['error']): void {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) error(path, `${text} is not a URL; write https://...`)
  else if (url.protocol === 'http:' && !allowHttp) error(path, 'must be https: keys fetched over http can be replaced on the way; keys.allowHttp: true is for tests')
  else if (url.username !== '' || url.password !== '') error(path, 'must not hold a user name or password; use bearerTokenFile')
}

function checkDiscovery(issuer: string, allowHttp: boolean, path: ConfigPath, error: Reports['error']): void {
  if (URL.canParse(issuer)) checkUrl(issuer, allowHttp, path, error)
  else error(path, `the issuer ${JSON.stringify(issuer)} is not a URL, so there is nothing to discover; use jwksUri, file or inline`)
}

/** A secret verifies HMAC and nothing else, public keys never do: else whoever knows the public key signs (attack T2). */
function checkAlgorithms(algorithms: readonly string[], keys: Keys, path: ConfigPath, { error }: Reports): void {
  const isHmac = (algorithm: string) => (HMAC_ALGORITHMS as readonly string[]).includes(algorithm)
  const wrong = algorithms.filter((algorithm) => isHmac(algorithm) !== (keys.secretFile !== undefined))
  if (wrong.length === 0) return
  error(path, keys.secretFile === undefined
    ? `${wrong.join(', ')} need keys.secretFile; a JWKS never verifies HMAC`
    : `keys.secretFile is for ${HMAC_ALGORITHMS.join(', ')} only; remove ${wrong.join(', ')}`)
}

function checkTimes(keys: Keys, path: ConfigPath, { error, warn }: Reports): void {
  for (const field of ['refresh', 'maxAge', 'timeout', 'maxBytes', 'maxKeys'] as const) {
    if (keys[field] === 0) error([...path, field], 'must be more than 0; remove it to use the default')
  }
  if (keys.cooldown < SECOND) error([...path, 'cooldown'], 'must be at least 1s: tokens with an unknown kid would make the sidecar ask the issuer again and again')
  if (keys.maxAge > 0 && keys.maxAge < keys.refresh) warn([...path, 'maxAge'], 'is shorter than refresh, so keys lapse before they are fetched again; make it several times as long')
}
