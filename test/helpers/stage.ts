/** Issuer, app and sidecar on one stage: what most end-to-end tests need. */
import type { Test } from 'tap'
import { startIssuer, type Issuer } from '../../src/demo/issuer.ts'
import type { StartTransport } from '../../src/http/contract.ts'
import { startApp, type App } from './app.ts'
import { exchange, request, type RawResponse } from './raw.ts'
import { startSidecar, type RawConfig, type TestSidecar } from './sidecar.ts'

export interface Stage extends TestSidecar {
  readonly issuer: Issuer
  readonly app: App
  /** What `issuers` must hold for this issuer. */
  readonly issuers: readonly RawConfig[]
  /** One request over a connection of its own. `token`: the bearer token, if any. */
  readonly ask: (startLine: string, token?: string, fields?: readonly string[], body?: string) => Promise<RawResponse>
}

/** The `issuers` entry of an issuer over plain http. */
export function issuerEntry(issuer: Issuer, name = 'corp', more: RawConfig = {}): RawConfig {
  return { name, issuer: issuer.url, audiences: ['internal-services'], keys: { discovery: true, allowHttp: true, cooldown: '1s' }, ...more }
}

/**
 * Starts all three; everything stops with the test.
 * @param config besides listeners and issuers
 * @param options entry: further fields of the issuer's entry
 */
export async function stage(t: Test, config: RawConfig = {}, options: { transport?: StartTransport, issuer?: Issuer, entry?: RawConfig } = {}): Promise<Stage> {
  const issuer = options.issuer ?? await startIssuer()
  const app = await startApp()
  const issuers = [issuerEntry(issuer, 'corp', options.entry)]
  const sidecar = await startSidecar({ issuers, ...config }, { app: app.address, ...options.transport && { transport: options.transport } })
  t.teardown(async () => {
    await sidecar.close()
    await app.close()
    if (options.issuer === undefined) await issuer.stop()
  })
  return Object.assign(sidecar, {
    issuer, app, issuers,
    ask: (startLine: string, token?: string, fields: readonly string[] = [], body = '') =>
      exchange(sidecar.address, request(startLine, [...token === undefined ? [] : [`Authorization: Bearer ${token}`], ...fields], body), startLine.split(' ')[0]),
  })
}
