/** A certificate authority that lives as long as the process: no key of the demo or the tests is ever on a disk or in the repository. */
import { createAuthority as createCa, issueLeaf, type KeyPair } from '../pki/authority.ts'

const HOUR = 3_600_000

/** What the demo's and the tests' TLS servers use. */
export interface Authority {
  /** Its own certificate, PEM. */
  readonly ca: string
  /** Issues a server certificate for DNS names and IP addresses, valid for `validMs` from now (negative: it expired that long ago). */
  issue(names: readonly string[], validMs?: number): Promise<KeyPair>
}

/** Mints a certificate authority, valid for a day. */
export async function createAuthority(name = 'Sidegate demo CA'): Promise<Authority> {
  const pair = await createCa(name, { now: Date.now(), validityMs: 24 * HOUR })
  return {
    ca: pair.cert,
    issue(names, validMs = 12 * HOUR) {
      const now = Date.now()
      return issueLeaf(pair, names, validMs > 0 ? { now, validityMs: validMs } : { now: now + validMs - HOUR, validityMs: HOUR })
    },
  }
}
