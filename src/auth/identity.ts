/**
 * Claims to headers. The names are stripped from every request before (in any spelling, see `http/header-names.ts`) and from every
 * response; a value can never add a header, a list element or a byte that the app's parser reads otherwise (attacks H1-H7, H12, H13, H14).
 */
import type { Config, IdentityHeaderConfig } from '../config/schema.ts'
import { compileNames } from '../http/header-names.ts'
import { claimName, compileClaim } from '../policy/claims.ts'
import { deny, isDenial, type Denial } from '../telemetry/reason.ts'
import type { Claims, Principal } from './types.ts'

/** The `identity` part of the configuration, compiled. */
export interface Identity {
  /** Whether a request header or trailer must be removed before ours are added, on every route. */
  readonly protects: (name: string) => boolean
  /** Whether a header of the app's response must be removed. */
  readonly dropsResponseHeader: (name: string) => boolean
  /** Appends the headers of a principal to `out`; appends nothing when it returns a denial. */
  write(principal: Principal, out: string[]): Denial | undefined
}

/** Longest value that is sent on. More than this does not fit into common servers' header limits next to the rest. */
export const MAX_VALUE_BYTES = 8192

/** Compiles `identity`. */
export function compileIdentity(config: Config['identity']): Identity {
  const writers = Object.entries(config.headers).map(([name, header]) => compileHeader(name, header))
  const protects = compileNames([...Object.keys(config.headers), ...config.alsoStrip])
  const by = {}
  return {
    protects,
    dropsResponseHeader: protects,
    write: (principal, out) => {
      // A principal is shared by all requests with the same token, so its headers are, too. Noted on it and in no table: one that is used once leaves nothing behind.
      if (principal.sheet?.by !== by) principal.sheet = { by, headers: headersOf(writers, principal.claims) }
      const { headers } = principal.sheet
      if (isDenial(headers)) return headers
      for (const part of headers) out.push(part)
      return undefined
    },
  }
}

/** A header's name and value, or nothing where the claim is missing or empty, or the reason why it cannot be sent. */
type HeaderWriter = (claims: Claims) => readonly [name: string, value: string] | undefined | Denial

function headersOf(writers: readonly HeaderWriter[], claims: Claims): readonly string[] | Denial {
  const headers: string[] = []
  for (const writer of writers) {
    const header = writer(claims)
    if (isDenial(header)) return header
    if (header !== undefined) headers.push(...header)
  }
  return headers
}

function compileHeader(name: string, { claim, encoding, required }: IdentityHeaderConfig): HeaderWriter {
  const read = compileClaim(claim)
  const encode = ENCODERS[encoding]
  return (claims) => {
    const claimed = read(claims)
    const value = claimed === undefined || claimed === null ? '' : encode(claimed)
    if (value === undefined) return deny('identity_unencodable', `claim ${claimName(claim)} as ${encoding}`)
    if (value.length > MAX_VALUE_BYTES) return deny('identity_unencodable', `claim ${claimName(claim)} is ${value.length} bytes long as ${encoding}`)
    if (value !== '') return [name, value]
    return required ? deny('claim_invalid', `claim ${claimName(claim)} is missing or empty`) : undefined
  }
}

/** Claim value to header value: '' when there is nothing to say, undefined when it cannot be said without risk. */
type Encoder = (value: unknown) => string | undefined

const ENCODERS: Record<IdentityHeaderConfig['encoding'], Encoder> = { plain: encodePlain, csv: encodeCsv, json: encodeJson, base64url: encodeBase64url }

/**
 * Visible ASCII with spaces inside. Not at the ends: HTTP trims them there, and `" admin"` would arrive as `admin`. Nothing beyond ASCII:
 * header bytes have no agreed character set, and cut down to a byte `č` (U+010D) is a carriage return (attack H12).
 */
const PLAIN = /^(?:[!-~](?:[ -~]*[!-~])?)?$/

/** Whether a number is the one in the token: of two integers beyond 2^53, JSON's parser makes one (attack H21). */
const isExact = (value: number): boolean => Number.isFinite(value) && (Number.isSafeInteger(value) || !Number.isInteger(value))

/** One text, number or boolean, as it is. */
function encodePlain(value: unknown): string | undefined {
  if (typeof value === 'number') return isExact(value) ? String(value) : undefined
  if (typeof value === 'boolean') return String(value)
  return typeof value === 'string' && PLAIN.test(value) ? value : undefined
}

/**
 * A list's elements joined by commas; text is a space-separated list, as `scope` is. An element that holds a comma would become two, one
 * that holds a quote might swallow the next (RFC 9110 section 5.6.4), an empty one is none: all refused (attack H13).
 */
function encodeCsv(value: unknown): string | undefined {
  const list: readonly unknown[] = typeof value === 'string' ? value.split(' ').filter(Boolean) : Array.isArray(value) ? value : [value]
  const elements = list.map(encodePlain)
  return elements.every((element) => element !== undefined && element !== '' && !/[",]/.test(element)) ? elements.join(',') : undefined
}

/** JSON in ASCII: everything from DEL on is escaped. */
function encodeJson(value: unknown): string | undefined {
  return toJson(value)?.replaceAll(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** The JSON in UTF-8 in base64url without padding (RFC 4648 section 5). */
function encodeBase64url(value: unknown): string | undefined {
  const json = toJson(value)
  return json === undefined ? undefined : Buffer.from(json).toString('base64url')
}

/** Undefined for what nests too deep for the serialiser, or holds a number that is not the token's. */
function toJson(value: unknown): string | undefined {
  try {
    let exact = true
    const json = JSON.stringify(value, (_, item: unknown) => {
      if (typeof item === 'number' && !isExact(item)) exact = false
      return item
    })
    return exact ? json : undefined
  } catch {
    return undefined
  }
}
