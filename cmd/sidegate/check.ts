import type { CommandModule } from 'yargs'
import { UsageError } from './usage-error.ts'

interface Options {
  files: string[]
  strict: boolean
  cluster: boolean
  output: 'text' | 'json'
  kubeconfig: string | undefined
  namespace: string | undefined
}

async function checkFilesOf({ files, strict, output }: Options): Promise<boolean> {
  if (files.length === 0) throw new UsageError('name the configuration files to check: sidegate check FILE..., or check a cluster: sidegate check --cluster')
  if (output === 'json') throw new UsageError('--output json is for --cluster')
  const [{ checkFiles }, { inlineKeyProblems }] = await Promise.all([import('../../src/config/check.ts'), import('../../src/auth/inline-keys.ts')])
  return checkFiles(files, strict, inlineKeyProblems, console.log)
}

async function checkClusterOf({ files, strict, output, kubeconfig, namespace }: Options): Promise<boolean> {
  if (files.length > 0) throw new UsageError('check files or a cluster, not both: leave out the file names or --cluster')
  const { checkCluster } = await import('../../src/injector/cluster-check.ts')
  return checkCluster({ kubeconfig, namespace, output, strict }, console.log)
}

/** `sidegate check FILE...`: every problem of sidecar configurations, with line, path and fix. `sidegate check --cluster`: every hole of a cluster. */
const command: CommandModule<object, Options> = {
  command: 'check [files..]',
  describe: 'Check sidecar configuration files, or a cluster: every problem at once, with its place and a fix',
  builder: (args) => args
    .positional('files', { type: 'string', array: true, default: [], describe: 'JSON or YAML files' })
    .option('strict', { type: 'boolean', default: false, describe: 'Fail on warnings and notes, too' })
    .option('cluster', { type: 'boolean', default: false, describe: 'Look for holes in the cluster that the kubeconfig names' })
    .option('output', { choices: ['text', 'json'] as const, default: 'text' as const, describe: 'With --cluster' })
    .option('kubeconfig', { type: 'string', describe: 'With --cluster; default: $KUBECONFIG, ~/.kube/config' })
    .option('namespace', { type: 'string', alias: 'n', describe: 'With --cluster: the release namespace, where it cannot be found by itself' })
    .example('$0 check sidegate.yaml', 'exit code 0 if the sidecar would take it, 1 if not')
    .example('$0 check --cluster', 'exit code 1 if there is a hole, an outage or something that could not be looked at, else 0'),
  handler: async (options) => {
    process.exitCode = await (options.cluster ? checkClusterOf(options) : checkFilesOf(options)) ? 0 : 1
  },
}

export default command
