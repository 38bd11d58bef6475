import type { AddressInfo, Server } from 'node:net'
import type { Address } from '../http/contract.ts'

/**
 * Binds a server. `::` is every address: left to Node, which takes 0.0.0.0 where the kernel has no IPv6, as on many hardened nodes.
 * @returns where it listens: port 0 is a free one
 * @throws Error with `code` EADDRINUSE or EACCES when it cannot bind
 */
export async function listen(server: Server, { host, port }: Address): Promise<Address> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(host === '::' ? { port } : { host, port }, resolve)
  })
  const bound = server.address() as AddressInfo
  return { host: bound.address, port: bound.port }
}
