/** The small value types of the configuration: durations, times, addresses, sizes. Each parses from what people write to what the code uses. */
import * as v from 'valibot'
import type { Address } from '../http/contract.ts'

const DURATION_UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const SIZE_UNITS: Record<string, number> = { '': 1, KiB: 1024, MiB: 1024 ** 2 }

/**
 * Parses a duration such as `500ms`, `30s`, `5m`, `1h`, `7d`, or `0`.
 * @returns milliseconds, or undefined when the text is not a duration
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text)
  return match ? Number(match[1]) * DURATION_UNITS[match[2]!]! : undefined
}

/**
 * Parses a size such as `16384`, `16KiB` or `1MiB`.
 * @returns bytes, or undefined when the text is not a size
 */
export function parseSize(text: string): number | undefined {
  const match = /^(\d{1,12})(KiB|MiB|)$/.exec(text)
  return match ? Number(match[1]) * SIZE_UNITS[match[2]!]! : undefined
}

const RFC3339 = /^(\d{4}-\d\d-(\d\d))[T ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/i

/**
 * Reads a point in time: Unix seconds, or text as in RFC 3339 section 5.6, which allows a space for the `T`.
 * @returns Unix seconds, or undefined when it is not one
 */
export function parseTime(time: number | string): number | undefined {
  if (typeof time === 'number') return Number.isFinite(time) ? time : undefined
  const [, date = '', day] = RFC3339.exec(time) ?? []
  // JavaScript takes 30 February for a day in March.
  if (new Date(date).getUTCDate() !== Number(day)) return undefined
  return Date.parse(time.toUpperCase().replace(' ', 'T')) / 1000
}

/**
 * Parses `host:port` or `[ipv6]:port`.
 * @returns the address, or undefined when the text is not one
 */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(text)
  if (!match) return undefined
  const port = Number(match[3])
  return port <= 65_535 ? { host: match[1] ?? match[2]!, port } : undefined
}

/** Writes an address as people do: IPv6 in brackets. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Whether a host is the machine's own loopback (127.0.0.0/8, ::1, localhost). */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host) || /^::ffff:127(\.\d{1,3}){3}$/i.test(host)
}

/** What a timer of Node holds is 2^31 - 1 ms, a little more than this. A longer one is over at once. */
const LONGEST_WAIT = 24 * DURATION_UNITS['d']!

const durationText = v.pipe(
  v.union([v.string(), v.literal(0)], 'write a duration such as 500ms, 30s, 5m or 1h'),
  v.transform(String),
  v.check((text) => parseDuration(text) !== undefined, 'write a duration such as 500ms, 30s, 5m or 1h'),
)

/** Schema: duration text to milliseconds. For what is compared, and for what goes to the transport's wheel: both hold any. */
export const duration = v.pipe(durationText, v.transform((text) => parseDuration(text)!))

/** Schema: text of a duration that goes to a timer, to milliseconds. */
export const wait = v.pipe(
  durationText,
  v.check((text) => (parseDuration(text) ?? 0) <= LONGEST_WAIT, 'must be at most 24d: no timer runs longer'),
  v.transform((text) => parseDuration(text)!),
)

/** Schema: size text or number to bytes. */
export const size = v.pipe(
  v.union([v.string(), v.number()], 'write a size such as 16384, 16KiB or 1MiB'),
  v.transform(String),
  v.check((text) => parseSize(text) !== undefined, 'write a size such as 16384, 16KiB or 1MiB'),
  v.transform((text) => parseSize(text)!),
)

/** Schema: `host:port` text to {@link Address}. */
export const address = v.pipe(
  v.string('write host:port, for example 127.0.0.1:8080'),
  v.check((text) => parseAddress(text) !== undefined, 'write host:port, for example 127.0.0.1:8080 or [::1]:8080'),
  v.transform((text) => parseAddress(text)!),
)
