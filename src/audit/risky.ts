/** Calls in source code that read tokens without verifying them, or switch a check off. Each is a hint: a person looks at the line. */
export interface RiskyCall {
  readonly pattern: RegExp
  readonly means: string
}

/** Source files that are looked at. */
export const SOURCES = /\.(?:[cm]?[jt]sx?|go|py|java|kt|kts|scala|cs|rb|php|rs|ex|exs)$/

const UNVERIFIED = 'reads claims of a token that nobody verified'
const NO_EXPIRY = 'accepts expired tokens'

export const RISKY_CALLS: readonly RiskyCall[] = [
  { pattern: /\bjwt_?decode\s*\(|\bdecodeJwt\s*\(/i, means: UNVERIFIED },
  { pattern: /\b(?:jwt|jsonwebtoken)\.decode\s*\(\s*[\w.]+\s*(?:,\s*\{[^}]*\}\s*)?\)/, means: UNVERIFIED },
  { pattern: /\bParseUnverified\s*\(|\bUnsafeClaimsWithoutVerification\s*\(/, means: UNVERIFIED },
  { pattern: /\bget_unverified_claims\s*\(/, means: UNVERIFIED },
  { pattern: /["']?verify_signature["']?\s*(?::|=>|=)\s*(?:False|false)/, means: UNVERIFIED },
  { pattern: /\bverify\s*=\s*False\b.*\bjwt\b|\bjwt\.decode\s*\([^)]*\bverify\s*=\s*False\b/i, means: UNVERIFIED },
  { pattern: /\bJWT\.decode[\s(][^#\n]*,\s*nil\s*,\s*false\b/, means: UNVERIFIED },
  { pattern: /\binsecure_disable_signature_validation\s*\(/, means: UNVERIFIED },
  { pattern: /\bsetSkipAllValidators\s*\(|\bsetSkipSignatureVerification\s*\(|\bsetDisableRequireSignature\s*\(/, means: 'switches checks off' },
  { pattern: /\bparseClaimsJwt\s*\(|\bparseUnsecuredClaims\s*\(/, means: 'accepts tokens without a signature' },
  { pattern: /\b(?:RequireSignedTokens|ValidateIssuerSigningKey|ValidateAudience|ValidateIssuer|ValidateLifetime)\s*=\s*false\b/, means: 'switches a check off' },
  { pattern: /\bignoreExpiration\s*:\s*true\b|["']?verify_exp["']?\s*(?::|=>|=)\s*(?:False|false)/, means: NO_EXPIRY },
  { pattern: /\balgorithms?\s*[:=]\s*\[?[^\]\n]*["']none["']/i, means: 'accepts tokens without a signature' },
  { pattern: /\.split\(\s*["']\.["']\s*\)\s*\[\s*1\s*\].*(?:atob|base64|b64)|(?:atob|base64|b64)\w*\b.*\.split\(\s*["']\.["']\s*\)\s*\[\s*1\s*\]/i, means: 'takes a token apart by hand' },
]
