#!/usr/bin/env node
/** The CLI: one file per command in `sidegate/`, of which only the one that is asked for is loaded. */
import yargs, { type CommandModule } from 'yargs'
import { UsageError } from './sidegate/usage-error.ts'

/** Name -> the module whose default export is a yargs CommandModule. The order is that of the help. */
const COMMANDS: Readonly<Record<string, () => Promise<{ default: unknown }>>> = {
  demo: () => import('./sidegate/demo.ts'),
  check: () => import('./sidegate/check.ts'),
  explain: () => import('./sidegate/explain.ts'),
  inject: () => import('./sidegate/inject.ts'),
  audit: () => import('./sidegate/audit.ts'),
}

/** What may be there more than once. */
const LISTS = new Set(['_', 'files', 'filename', 'f', 'header', 'H'])

/** yargs makes a list of an option that is given twice, which no command expects. */
function givenOnce(options: Readonly<Record<string, unknown>>): string | true {
  const [name, values] = Object.entries(options).find(([name, value]) => Array.isArray(value) && !LISTS.has(name)) ?? []
  return name === undefined || `--${name} is given ${(values as unknown[]).length} times; give it once.`
}

/** Runs one command line; sets the exit code: 0 done, 1 the command found or met something wrong, 2 wrong usage. */
async function run(argv: readonly string[]): Promise<void> {
  const [name = ''] = argv
  const wanted = Object.hasOwn(COMMANDS, name) ? [COMMANDS[name]!] : Object.values(COMMANDS)
  const modules = await Promise.all(wanted.map((load) => load()))
  const cli = yargs([...argv]).scriptName('sidegate').usage('$0 <command>').locale('en').strict().recommendCommands()
    .demandCommand(1, 'No command given.').help().alias('help', 'h')
    .check(givenOnce, true)
    .fail((message, error: unknown) => {
      // What yargs itself has to say is wrong usage, whether it comes as its error, as text, or as both.
      if (error instanceof Error && error.name !== 'YError') throw error
      throw new UsageError(message.startsWith('Did you mean') ? `There is no command ${name}. ${message}` : message)
    })
  for (const { default: command } of modules) cli.command(command as CommandModule)
  await cli.parseAsync()
}

run(process.argv.slice(2)).catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error)
  console.error(`sidegate: ${message}${error instanceof UsageError ? '\nTry sidegate --help, or sidegate <command> --help.' : ''}`)
  process.exitCode = error instanceof UsageError ? 2 : 1
})
