import type { Address } from '../http/contract.ts'

/** For `server.listen`. `::` is every address: left to Node, which takes 0.0.0.0 where the kernel has no IPv6, as on many hardened nodes. */
export function listenOptions({ host, port }: Address): { port: number, host?: string } {
  return host === '::' ? { port } : { host, port }
}
