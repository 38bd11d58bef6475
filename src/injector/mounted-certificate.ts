/** The webhook's certificate from a mounted Secret: `cert-manager`, or `provided` by the operator's own means. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import type { KeyPair } from '../pki/authority.ts'
import type { Kube } from '../kube/client.ts'
import type { CertificateKeeper } from './certificates.ts'
import { publishTrust } from './trust.ts'

export interface MountedOptions {
  readonly directory: string
  /** Set for `provided`: whom to tell about ca.crt. With cert-manager its CA injector does that. */
  readonly publish: { readonly kube: Kube, readonly configuration: string } | undefined
  readonly clock: Clock
  readonly log: Log
  readonly onLeaf: (leaf: KeyPair) => void
}

/** @throws Error with the file and what is wrong with it */
async function readPair(directory: string): Promise<KeyPair> {
  const [cert, key] = await Promise.all([readFile(join(directory, 'tls.crt'), 'utf8'), readFile(join(directory, 'tls.key'), 'utf8')])
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
    throw new Error(`${directory}/tls.key is not the key of ${directory}/tls.crt`)
  }
  return { cert, key }
}

/** Keeps the certificate that the directory holds; looks at each settling. */
export function keepMounted({ directory, publish, clock, log, onLeaf }: MountedOptions): CertificateKeeper {
  let current: KeyPair | undefined
  let published = publish === undefined
  let from = 0
  let until = 0
  return {
    async settle() {
      if (publish) {
        published = await publishTrust(publish.kube, publish.configuration, () => readFile(join(directory, 'ca.crt'), 'utf8'))
      }
      const pair = await readPair(directory)
      if (pair.cert === current?.cert && pair.key === current.key) return
      onLeaf(pair)
      current = pair
      const { validFromDate, validToDate } = new X509Certificate(pair.cert)
      from = validFromDate.getTime()
      until = validToDate.getTime()
      log.info('webhook certificate loaded', { directory, until: new Date(until).toISOString() })
    },
    ready: () => published && current !== undefined && clock.now() >= from && clock.now() < until,
    expires: () => current && until,
    interval: 5_000,
  }
}
