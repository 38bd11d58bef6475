import type { CommandModule } from 'yargs'

/** `sidegate demo [--once]`: the main job on this machine, told step by step. */
const command: CommandModule<object, { once: boolean }> = {
  command: 'demo',
  describe: 'Run the main job here: an embedded issuer, an unmodified app, the sidecar before it',
  builder: (args) => args.option('once', { type: 'boolean', default: false, describe: 'Tell the story and leave; exit code 0 only if every step came out right' }),
  handler: async ({ once }) => {
    const { runDemo } = await import('../../src/demo/run.ts')
    process.exitCode = await runDemo({ once }) ? 0 : 1
  },
}

export default command
