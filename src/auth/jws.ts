import { deny, isDenial } from '../telemetry/reason.ts'
import type { Denial } from '../telemetry/reason.ts'
import { detach } from '../lib/detach.ts'
import { parseStrictObject } from './strict-json.ts'

/** What of a JOSE header is honoured. `jwk`, `jku`, `x5u`, `x5c` are not even read: a token never brings its own key (RFC 8725 section 3.10). */
export interface JoseHeader {
  readonly alg: string
  readonly kid: string | undefined
  readonly typ: string | undefined
}

/** A compact JWS taken apart, its signature not yet checked. */
export interface Jws {
  readonly header: JoseHeader
  readonly payload: Buffer
  /** The bytes that are signed: the first two parts and the dot between them. */
  readonly signingInput: Buffer
  readonly signature: Buffer
}

/** Takes tokens apart, remembering headers that it was told to trust. */
export interface JwsParser {
  /** @returns never throws: whatever is not exactly one compact JWS (RFC 7515 section 7.1) is a {@link Denial} */
  parse(token: string): Jws | Denial
  /** Keep the parsed header of this token, which verified: an issuer's tokens share a handful of headers. */
  remember(token: string, header: JoseHeader): void
}

const MAX_KID = 256
const MAX_REMEMBERED = 256

/**
 * Decodes base64url that is written in the one canonical way: no padding, no other alphabet, no stray bits after the end. Two
 * spellings of one token would make two tokens of it for every comparison of text.
 */
function decodeCanonical(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

const isOptionalText = (value: unknown): value is string | undefined => value === undefined || typeof value === 'string'

/** Reads a JOSE header; the refusals that need no key are made here. */
function readHeader(segment: string): JoseHeader | Denial {
  const bytes = decodeCanonical(segment)
  const header = bytes && parseStrictObject(bytes)
  if (!header) return deny('token_malformed', 'the header is not canonical base64url of one JSON object')
  // No extension is implemented, so none can be critical; an empty or odd `crit` is invalid anyway (RFC 7515 section 4.1.11, RFC 7797).
  if ('crit' in header || 'b64' in header) return deny('critical_header')
  if ('zip' in header || 'enc' in header) return deny('token_encrypted')
  const { alg, kid, typ } = header
  if (typeof alg !== 'string') return deny('algorithm_refused', 'no alg')
  if (!isOptionalText(kid) || !isOptionalText(typ)) return deny('token_malformed', 'kid or typ is not a string')
  if (kid !== undefined && kid.length > MAX_KID) return deny('token_malformed', `kid is longer than ${MAX_KID} characters`)
  return { alg, kid, typ }
}

/** Says what a text without exactly two dots is. */
function refuseShape(token: string): Denial {
  return token.split('.', 6).length === 5
    ? deny('token_encrypted', 'five parts: a JWE')
    : deny('token_malformed', 'not three parts')
}

/** Makes a parser with its own small memory of headers. */
export function createJwsParser(): JwsParser {
  const known = new Map<string, JoseHeader>()

  return {
    parse(token) {
      const first = token.indexOf('.')
      const second = token.indexOf('.', first + 1)
      if (first === -1 || second === -1 || token.includes('.', second + 1)) return refuseShape(token)
      const segment = token.slice(0, first)
      const header = known.get(segment) ?? readHeader(segment)
      if (isDenial(header)) return header
      const payload = decodeCanonical(token.slice(first + 1, second))
      if (!payload) return deny('token_malformed', 'the payload is not canonical base64url')
      const signature = decodeCanonical(token.slice(second + 1))
      if (!signature) return deny('token_malformed', 'the signature is not canonical base64url')
      return { header, payload, signature, signingInput: Buffer.from(token.slice(0, second), 'latin1') }
    },

    // Only headers of tokens that verified come here, so nobody without a key can push others out.
    remember(token, header) {
      const segment = token.slice(0, token.indexOf('.'))
      if (known.has(segment)) return
      if (known.size >= MAX_REMEMBERED) known.clear()
      known.set(detach(segment), header)
    },
  }
}
