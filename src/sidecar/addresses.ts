/** Addresses of a sidecar: bound once, all or none, and not changed by a reload. */
import type { Config } from '../config/schema.ts'
import { formatAddress } from '../config/values.ts'
import type { Address, Handler, Listener, StartTransport, Transport, TransportLimits } from '../http/contract.ts'

/** Binds addresses one after the other; keeps account of them, so that a failure can take all back. */
export interface Binder {
  /**
   * @param what the field of the configuration that names the addresses
   * @throws an Error with a sentence for people when one cannot be bound; then none of any call is left bound
   */
  bind(what: string, listeners: readonly Listener[], handler: Handler, limits: TransportLimits): Promise<Transport>
  /** Binds a service that never forwards; `false` is none. */
  bindService(what: string, part: { readonly bind: Address } | false, handler: Handler): Promise<Transport | undefined>
}

/** Health and admin are small: their requests, limits and connection counts are, too. */
const SERVICE_LIMITS: TransportLimits = {
  headerBytes: 16 * 1024, headerCount: 100, targetBytes: 2 * 1024, headerTimeout: 5_000, idleTimeout: 60_000,
  upstreamTimeout: 0, connectTimeout: 1_000, connections: 200, upstreamConnections: 1,
}

/** Makes a binder that has bound nothing. */
export function createBinder(startTransport: StartTransport): Binder {
  const open: Transport[] = []

  async function bind(what: string, listeners: readonly Listener[], handler: Handler, limits: TransportLimits): Promise<Transport> {
    try {
      const transport = await startTransport(listeners, handler, limits)
      open.push(transport)
      return transport
    } catch (error) {
      await Promise.all(open.map((transport) => transport.close(0, 0)))
      throw explained(what, error as NodeJS.ErrnoException)
    }
  }

  return {
    bind,
    bindService: async (what, part, handler) => part === false ? undefined : bind(what, [{ bind: part.bind, upstream: part.bind }], handler, SERVICE_LIMITS),
  }
}

/** What a reload cannot change: the addresses are bound once, so that no request ever meets a port that is half of each configuration. */
export function needsRestart(old: Config, next: Config): string[] {
  const addressOf = (part: { bind: Address } | false) => part === false ? 'off' : formatAddress(part.bind)
  const binds = (config: Config) => config.listeners.map(addressOf).join(', ')
  const changed = (field: string, before: string, after: string) =>
    before === after ? [] : [`${field}: changed from ${before} to ${after}, which needs a restart; change it back or restart the sidecar`]
  return [
    ...changed('listeners', binds(old), binds(next)),
    ...changed('health.bind', addressOf(old.health), addressOf(next.health)),
    ...changed('admin.bind', addressOf(old.admin), addressOf(next.admin)),
  ]
}

const BIND_HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there; stop it or choose another port (port 0 takes a free one)',
  EADDRNOTAVAIL: 'this machine has no such address; use one it has, such as 127.0.0.1 or 0.0.0.0',
  EACCES: 'not permitted; ports below 1024 need a privilege, choose a higher one',
}

/** @param error of StartTransport: its `address` is the one that could not be bound */
function explained(what: string, error: NodeJS.ErrnoException & { readonly address?: string }): Error {
  const hint = BIND_HINTS[error.code ?? '']
  return hint === undefined ? error : new Error(`${what}: cannot listen on ${error.address ?? 'its address'}: ${hint}.`, { cause: error })
}
