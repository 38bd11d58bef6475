import type { CommandModule } from 'yargs'

interface Options {
  folder: string
  output: 'text' | 'json'
  fail: boolean
}

/** `sidegate audit [FOLDER]`: who in a source tree validates JWTs by themselves. */
const command: CommandModule<object, Options> = {
  command: 'audit [folder]',
  describe: 'Find the services in a source tree that validate JWTs by themselves, and the lines that do not validate at all',
  builder: (args) => args
    .positional('folder', { type: 'string', default: '.', describe: 'Where to look; nothing is run, no link followed' })
    .option('output', { choices: ['text', 'json'] as const, default: 'text' as const })
    .option('fail', { type: 'boolean', default: false, describe: 'Exit code 1 when something is found' }),
  handler: async ({ folder, output, fail }) => {
    const [{ scan }, { report }] = await Promise.all([import('../../src/audit/scan.ts'), import('../../src/audit/report.ts')])
    const audit = await scan(folder)
    console.log(output === 'json' ? JSON.stringify(audit, null, 2) : report(audit).join('\n'))
    process.exitCode = fail && audit.services.length > 0 ? 1 : 0
  },
}

export default command
