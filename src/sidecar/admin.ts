/**
 * The admin service: the configuration in force, the log level, the state of the keys. Loopback only, and never for a web page:
 * a Host header that is not a loopback name is refused (DNS rebinding), and so is anything with an Origin (attack A12).
 */
import type { Config } from '../config/schema.ts'
import { isLoopback } from '../config/values.ts'
import type { Handler, Reply, RequestHead } from '../http/contract.ts'
import { LOG_LEVELS, type Log } from '../telemetry/log.ts'
import { jsonReply, serviceHandler, splitTarget, textReply } from './service-reply.ts'

interface AdminOptions {
  readonly config: () => Config
  /** State of each issuer's keys, ready to show. */
  readonly keys: () => unknown
  readonly log: Log
}

const INDEX = 'GET /config      the configuration in force, without secrets\nGET /keys        the keys of each issuer\nGET /log-level\nPUT /log-level?level=debug|info|warn|error\n'

/** Makes the admin service. */
export function createAdmin({ config, keys, log }: AdminOptions): Handler {
  function logLevel(head: RequestHead, query: URLSearchParams): Reply {
    if (head.method === 'GET') return jsonReply(200, { level: log.level })
    const wanted = LOG_LEVELS.find((level) => level === query.get('level'))
    if (wanted === undefined) return textReply(400, `level must be one of ${LOG_LEVELS.join(', ')}`)
    log.setLevel(wanted)
    log.warn('log level changed by the admin service', { level_now: wanted })
    return jsonReply(200, { level: wanted })
  }

  return serviceHandler((head) => {
    const refused = refusal(head)
    if (refused !== undefined) return refused
    const { path, query } = splitTarget(head.target)
    if (head.method !== 'GET' && !(head.method === 'PUT' && path === '/log-level')) return textReply(405, 'method not allowed')
    switch (path) {
      case '/': return textReply(200, INDEX)
      case '/config': return jsonReply(200, withoutSecrets(config()))
      case '/keys': return jsonReply(200, keys())
      case '/log-level': return logLevel(head, query)
      default: return textReply(404, `not found\n${INDEX}`)
    }
  })
}

function refusal(head: RequestHead): Reply | undefined {
  if (!isLoopback(head.peer)) return textReply(403, 'loopback only')
  const hosts = values(head, 'host')
  const name = hosts.length === 1 ? /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+))(?::\d+)?$/.exec(hosts[0]!) : null
  if (name === null || !isLoopback((name[1] ?? name[2]!).toLowerCase())) return textReply(403, 'the Host header must be localhost, 127.0.0.1 or [::1]')
  if (values(head, 'origin').length > 0) return textReply(403, 'not for web pages')
  return undefined
}

function values(head: RequestHead, name: string): string[] {
  const found: string[] = []
  for (let i = 0; i < head.headers.length; i += 2) if (head.headers[i]!.toLowerCase() === name) found.push(head.headers[i + 1]!)
  return found
}

/** The configuration for people to read. Files are named by path, never read; what is written inline and might be secret or personal is counted. */
export function withoutSecrets(config: Config): unknown {
  const { denylist } = config
  return {
    ...config,
    issuers: config.issuers.map((issuer) => ({
      ...issuer,
      keys: { ...issuer.keys, ...(issuer.keys.inline !== undefined && { inline: `${issuer.keys.inline.keys.length} keys` }) },
    })),
    ...(denylist !== undefined && {
      denylist: {
        ...(denylist.file !== undefined && { file: denylist.file }),
        ...Object.fromEntries((['jti', 'sub', 'kid', 'issuedBefore'] as const).map((field) => [field, `${denylist[field]?.length ?? 0} entries`])),
      },
    }),
    probes: Object.fromEntries(Object.entries(config.probes).map(([name, probe]) => [name, {
      ...probe,
      ...(probe.headers !== undefined && { headers: probe.headers.map(({ name: header }) => ({ name: header, value: '[not shown]' })) }),
    }])),
  }
}
