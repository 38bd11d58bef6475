import { ASYMMETRIC_ALGORITHMS } from '../config/schema.ts'
import type { IssuerConfig } from '../config/schema.ts'
import { deny } from '../telemetry/reason.ts'
import type { Denial } from '../telemetry/reason.ts'
import type { Claims, Principal } from './types.ts'

/** What one issuer's tokens must look like, compiled from its configuration. */
export interface IssuerRules {
  /** The configured name. */
  readonly name: string
  /** Identifies the rules: a verdict reached under other rules is not a verdict. */
  readonly identity: string
  readonly algorithms: ReadonlySet<string>
  /**
   * Checks everything about a verified token's claims that does not change with time.
   * @param typ `typ` of the token's header
   */
  check(claims: Claims, typ: string | undefined): Denial | undefined
  /**
   * Checks the times against the clock. Cheap: it runs at every use of a token.
   * @param times of claims that passed {@link IssuerRules.check}
   * @param nowMs wall-clock time
   */
  checkTime(times: Pick<Principal, 'expiresAt' | 'notBefore' | 'issuedAt'>, nowMs: number): Denial | undefined
}

const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
const isOptional = (value: unknown, is: (value: unknown) => boolean): boolean => value === undefined || is(value)
const isText = (value: unknown): value is string => typeof value === 'string'

/** `typ` without its `application/`, lower case: a media type (RFC 7515 section 4.1.9). */
const kindOf = (typ: string): string => typ.toLowerCase().replace(/^application\//, '')

/**
 * With tokenType `at+jwt` the token must say that it is an access token (RFC 9068 section 4). Otherwise it must at least not say that it is
 * something else: explicitly typed JWTs are all `...+jwt` (RFC 8725 section 3.11).
 */
function checkType(typ: string | undefined, tokenType: IssuerConfig['tokenType']): Denial | undefined {
  const kind = typ === undefined ? undefined : kindOf(typ)
  if (kind === 'at+jwt') return undefined
  if (tokenType === 'at+jwt') return deny('token_type_mismatch', 'typ is not at+jwt')
  return kind !== undefined && (kind.endsWith('+jwt') || kind === 'jose' || kind === 'jose+json')
    ? deny('token_type_mismatch', 'typ names another kind of token')
    : undefined
}

/** Registered claims must have the type that RFC 7519 section 4.1 gives them. */
function checkShape({ exp, nbf, iat, sub, jti }: Claims): Denial | undefined {
  if (!isTime(exp) || exp <= 0) return deny('expiry_missing')
  if (!isOptional(nbf, isTime)) return deny('claim_invalid', 'nbf is not a number')
  if (!isOptional(iat, isTime)) return deny('claim_invalid', 'iat is not a number')
  if (!isOptional(sub, isText)) return deny('claim_invalid', 'sub is not a string')
  if (!isOptional(jti, isText)) return deny('claim_invalid', 'jti is not a string')
  return undefined
}

/** `aud` is one string or a list of strings; one of them must be one of ours, exactly. */
function checkAudience(aud: unknown, ours: ReadonlySet<string>): Denial | undefined {
  if (isText(aud)) return ours.has(aud) ? undefined : deny('audience_mismatch')
  if (aud === undefined) return deny('audience_mismatch', 'no aud')
  if (!Array.isArray(aud) || !aud.every(isText)) return deny('claim_invalid', 'aud is neither a string nor a list of strings')
  return aud.some((each) => ours.has(each)) ? undefined : deny('audience_mismatch')
}

/** Compiles an issuer's rules for claims. */
export function compileIssuerRules(config: IssuerConfig): IssuerRules {
  const { name, tokenType, boundTokens, requiredClaims, clockSkew, maxTokenAge } = config
  const audiences = new Set(config.audiences)
  const skew = clockSkew / 1000
  const oldest = maxTokenAge === undefined ? undefined : maxTokenAge / 1000

  return {
    name,
    identity: JSON.stringify(config),
    algorithms: new Set<string>(config.algorithms ?? (config.keys.secretFile === undefined ? ASYMMETRIC_ALGORITHMS : ['HS256'])),

    check(claims, typ) {
      const denial = checkType(typ, tokenType) ?? checkShape(claims) ?? checkAudience(claims.aud, audiences)
      if (denial) return denial
      if ('cnf' in claims && boundTokens === 'refuse') return deny('token_bound')
      const missing = requiredClaims.find((claim) => claims[claim] === undefined || claims[claim] === null)
      return missing === undefined ? undefined : deny('claim_invalid', `no claim ${JSON.stringify(missing)}`)
    },

    checkTime({ expiresAt, notBefore, issuedAt }, nowMs) {
      const now = nowMs / 1000
      if (now - skew >= expiresAt) return deny('token_expired')
      if (notBefore !== undefined && notBefore > now + skew) return deny('token_not_yet_valid', 'nbf')
      if (issuedAt !== undefined && issuedAt > now + skew) return deny('token_not_yet_valid', 'iat')
      if (oldest === undefined) return undefined
      if (issuedAt === undefined) return deny('token_too_old', 'no iat')
      return now - issuedAt > oldest + skew ? deny('token_too_old') : undefined
    },
  }
}
