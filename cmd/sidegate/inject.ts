import type { CommandModule } from 'yargs'
import { UsageError } from './usage-error.ts'

interface Options {
  filename: string[]
  uninject: boolean
  all: boolean
  image: string | undefined
  settings: string | undefined
  'native-sidecar': boolean | undefined
}

/** `sidegate inject -f FILE|DIR|-`: what the webhook does, to files. */
const command: CommandModule<object, Options> = {
  command: 'inject',
  describe: 'Add the sidecar to manifests, exactly as the webhook would, or take it out again',
  builder: (args) => args
    .option('filename', { alias: 'f', type: 'string', demandOption: true, coerce: (value: string | string[]) => [value].flat(), describe: 'File, folder (*.yaml, *.yml, *.json, at any depth), or - for standard input' })
    .option('uninject', { type: 'boolean', default: false, describe: 'Remove the sidecar and restore what was before' })
    .option('all', { type: 'boolean', default: false, describe: 'Inject pods without the annotation, too, as in a namespace labelled sidegate.dev/inject=enabled' })
    .option('image', { type: 'string', requiresArg: true, describe: 'The sidecar\'s image [default: sidegate:dev]' })
    .option('settings', { type: 'string', requiresArg: true, describe: 'The controller\'s file, or its "sidecar" section: the cluster\'s own settings' })
    .option('native-sidecar', { type: 'boolean', describe: 'Init container with restartPolicy Always (Kubernetes 1.32 and newer) [default: true]; --no-native-sidecar: a regular container' })
    .example('$0 inject -f app.yaml | kubectl apply -f -', '')
    .example('kubectl get deployment web -o yaml | $0 inject -f - --uninject', ''),
  handler: async ({ filename, uninject, all, image, settings, 'native-sidecar': nativeSidecar }) => {
    if (filename.includes('')) throw new UsageError('name a file, a folder or - after -f.')
    // A reader that leaves early (head, a failed kubectl) is not our failure to explain.
    process.stdout.on('error', () => process.exit(1))
    const { injectFiles } = await import('../../src/injector/inject-files.ts')
    process.exitCode = await injectFiles(filename, { uninject, all, image, settings, nativeSidecar }, {
      out: (text) => process.stdout.write(text),
      note: (line) => process.stderr.write(`${line}\n`),
      stdin: process.stdin,
    }) ? 0 : 1
  },
}

export default command
