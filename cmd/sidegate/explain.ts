import { isIP } from 'node:net'
import type { CommandModule } from 'yargs'
import { UsageError } from './usage-error.ts'

interface Options {
  config: string
  method: string
  path: string
  token: string | undefined
  'token-file': string | undefined
  header: string[]
  peer: string
  wait: number
}

/** The token from the command line, a file, or (`-`) standard input; without the line break at its end. */
async function tokenOf({ token, 'token-file': tokenFile }: Options): Promise<string | undefined> {
  const { readFileSync } = await import('node:fs')
  if (tokenFile !== undefined) return readFileSync(tokenFile, 'utf8').trim()
  return token === '-' ? readFileSync(0, 'utf8').trim() : token
}

function fieldsOf(headers: readonly string[]): string[] {
  return headers.flatMap((header) => {
    const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(header) ?? []
    if (name === undefined || value === undefined) throw new UsageError(`--header ${JSON.stringify(header)} is not "Name: value"`)
    return [name, value]
  })
}

/** `sidegate explain --config FILE --path /x`: one request and token through the real pipeline, stage by stage. */
const command: CommandModule<object, Options> = {
  command: 'explain',
  describe: 'Say stage by stage what a sidecar does with one request and token, and why',
  builder: (args) => args
    .option('config', { type: 'string', requiresArg: true, demandOption: true, describe: 'The sidecar\'s configuration, JSON or YAML' })
    .option('method', { type: 'string', requiresArg: true, default: 'GET' })
    .option('path', { type: 'string', requiresArg: true, demandOption: true, describe: 'Request target: path and query' })
    .option('token', { type: 'string', nargs: 1, describe: 'The token; - reads it from standard input' })
    .option('token-file', { type: 'string', requiresArg: true, conflicts: 'token', describe: 'File that holds the token' })
    .option('header', { type: 'string', array: true, nargs: 1, default: [] as string[], alias: 'H', describe: '"Name: value"; again for each' })
    .option('peer', { type: 'string', requiresArg: true, default: '192.0.2.1', describe: 'Address of the client' })
    .option('wait', { type: 'number', requiresArg: true, default: 5, describe: 'Longest wait for the issuers\' keys, seconds' })
    .check(({ wait }) => wait >= 0 || '--wait must be a number of seconds, 0 or more.')
    .check(({ method }) => method !== '' || '--method is empty; name one, such as GET.')
    .check(({ peer }) => isIP(peer) > 0 || `--peer ${JSON.stringify(peer)} is not an IP address; write one, such as 192.0.2.1.`)
    .example('$0 explain --config sidegate.yaml --path /admin --token-file token', 'exit code 0 if the app would see it, 1 if not'),
  handler: async (options) => {
    const [{ loadConfig }, { formatProblem }, { explain }] = await Promise.all([import('../../src/config/load.ts'), import('../../src/config/problem.ts'), import('../../src/sidecar/explain.ts')])
    const { config, problems } = await loadConfig(options.config)
    if (config === undefined) throw new Error(`the configuration is refused:\n${problems.map((problem) => formatProblem(problem, options.config)).join('\n')}`)
    const request = { method: options.method, target: options.path, headers: fieldsOf(options.header), token: await tokenOf(options), peer: options.peer }
    const { lines, passes } = await explain(config, request, options.wait * 1000)
    if (/[a-z]/.test(request.method)) console.log(`note: methods have a case (RFC 9110 section 9.1): ${request.method} is not ${request.method.toUpperCase()}`)
    console.log(lines.join('\n'))
    process.exitCode = passes ? 0 : 1
  },
}

export default command
