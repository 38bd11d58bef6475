import type { CommandModule } from 'yargs'

interface Options {
  files: string[]
  strict: boolean
}

/** `sidegate check FILE...`: every problem of sidecar configurations, with line, path and fix. */
const command: CommandModule<object, Options> = {
  command: 'check [files..]',
  describe: 'Check sidecar configuration files: every problem at once, with its line and a fix',
  builder: (args) => args
    .positional('files', { type: 'string', array: true, default: [], describe: 'JSON or YAML files' })
    .option('strict', { type: 'boolean', default: false, describe: 'Fail on warnings, too' })
    .example('$0 check sidegate.yaml', 'exit code 0 if the sidecar would take it, 1 if not'),
  handler: async ({ files, strict }) => {
    if (files.length === 0) throw new Error('name the configuration files to check: sidegate check FILE...')
    const { checkFiles } = await import('../../src/config/check.ts')
    process.exitCode = await checkFiles(files, strict, console.log) ? 0 : 1
  },
}

export default command
