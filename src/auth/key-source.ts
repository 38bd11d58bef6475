import type { IssuerConfig } from '../config/schema.ts'
import { fetchDocument, FetchError } from './fetch-document.ts'
import type { FetchedDocument, FetchOptions } from './fetch-document.ts'

/** Fetches an issuer's JWKS once. Rejects with one clause that says what went wrong, or when `life` ends. */
export type FetchKeys = (life: AbortSignal) => Promise<FetchedDocument>

const OIDC = '/.well-known/openid-configuration'
const OAUTH = '/.well-known/oauth-authorization-server'

/** Parses a URL that we may connect to. */
function checkedUrl(text: string, allowHttp: boolean, what: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url) throw new Error(`${what} is not a URL`)
  const safe = url.protocol === 'https:' || (allowHttp && url.protocol === 'http:')
  if (!safe) throw new Error(`${what} is not https (keys.allowHttp would allow http)`)
  if (url.username || url.password) throw new Error(`${what} holds a user name or password`)
  return url
}

/** Where the metadata may be: OpenID Connect Discovery section 4.1 appends, RFC 8414 section 3.1 inserts. */
function metadataUrls(issuer: string, allowHttp: boolean): URL[] {
  const base = checkedUrl(issuer, allowHttp, 'the issuer')
  const path = base.pathname.replace(/\/$/, '')
  return [new URL(path + OIDC, base.origin), new URL(OAUTH + path, base.origin)]
}

/** The first of the metadata documents that is there. */
async function fetchMetadata(urls: readonly URL[], options: FetchOptions): Promise<unknown> {
  for (const url of urls.slice(0, -1)) {
    try {
      return (await fetchDocument(url, options)).body
    } catch (error) {
      if (!(error instanceof FetchError && error.status === 404)) throw error
    }
  }
  return (await fetchDocument(urls.at(-1)!, options)).body
}

/**
 * The key set's URL from discovered metadata. The metadata must speak for exactly this issuer (OpenID Connect Discovery section 4.3), and may
 * send us nowhere but to its own origin or to a host that the operator named: else it could make the sidecar probe the network.
 */
function jwksUriOf(metadata: unknown, { issuer, keys }: IssuerConfig): URL {
  const { issuer: claimed, jwks_uri: uri } = (metadata ?? {}) as Record<string, unknown>
  if (claimed !== issuer) throw new Error(`the discovery document is for another issuer (${JSON.stringify(String(claimed).slice(0, 200))})`)
  if (typeof uri !== 'string') throw new Error('the discovery document has no jwks_uri')
  const url = checkedUrl(uri, keys.allowHttp, 'jwks_uri in the discovery document')
  const allowed = url.origin === new URL(issuer).origin || keys.allowedHosts.some((host) => host === url.host || host === url.hostname)
  if (allowed) return url
  throw new Error(`jwks_uri in the discovery document leads to another host, ${url.host}; if that is right, add it to keys.allowedHosts`)
}

/**
 * Compiles where an issuer's keys are fetched from: `keys.jwksUri`, or discovery.
 * @throws Error when the configured URL cannot be used; that is a mistake in the configuration
 */
export function compileFetchKeys(config: IssuerConfig): FetchKeys {
  const { jwksUri, allowHttp, caFile, bearerTokenFile, maxBytes, timeout } = config.keys
  const options = (life: AbortSignal): FetchOptions => ({
    caFile, bearerTokenFile, maxBytes, deadline: AbortSignal.any([life, AbortSignal.timeout(timeout)]),
  })
  if (jwksUri !== undefined) {
    const url = checkedUrl(jwksUri, allowHttp, 'keys.jwksUri')
    return (life) => fetchDocument(url, options(life))
  }
  const urls = metadataUrls(config.issuer, allowHttp)
  return async (life) => {
    const limits = options(life) // one timeout for both documents
    return fetchDocument(jwksUriOf(await fetchMetadata(urls, limits), config), limits)
  }
}
