/** Sets of IP addresses, written as CIDR blocks (RFC 4632, RFC 4291). */
import { BlockList, isIP } from 'node:net'

/** The block's parts, or undefined when the text is neither `address/bits` nor an address. */
export function parseCidr(text: string): { readonly network: string; readonly bits: number; readonly family: 'ipv4' | 'ipv6' } | undefined {
  const [network = '', bits, ...more] = text.split('/')
  const version = isIP(network)
  const width = version === 4 ? 32 : 128
  if (version === 0 || more.length > 0 || (bits !== undefined && !/^\d{1,3}$/.test(bits))) return undefined
  const prefix = bits === undefined ? width : Number(bits)
  return prefix <= width ? { network, bits: prefix, family: version === 4 ? 'ipv4' : 'ipv6' } : undefined
}

/** An IPv4 peer of a dual-stack socket (`::ffff:10.0.0.1`) as the IPv4 address that it is; others unchanged. */
export function plainAddress(ip: string): string {
  return ip.startsWith(':') && /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(ip) ? ip.slice(7) : ip
}

/**
 * Compiles CIDR blocks to a test. Text that is not an IP address is in no block.
 * @throws an Error that names the block that is not one
 */
export function compileCidrs(blocks: readonly string[]): (ip: string) => boolean {
  if (blocks.length === 0) return () => false
  const list = new BlockList()
  for (const block of blocks) {
    const parsed = parseCidr(block)
    if (parsed === undefined) throw new Error(`${block} is not a CIDR block: write for example 10.0.0.0/8 or fd00::/8`)
    list.addSubnet(parsed.network, parsed.bits, parsed.family)
  }
  let last: { ip: string; inside: boolean } | undefined // A proxy's connection carries many requests.
  return (ip) => {
    if (last?.ip !== ip) last = { ip, inside: isInside(list, plainAddress(ip)) }
    return last.inside
  }
}

function isInside(list: BlockList, ip: string): boolean {
  const version = isIP(ip)
  return version !== 0 && list.check(ip, version === 4 ? 'ipv4' : 'ipv6')
}
