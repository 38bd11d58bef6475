/** `sidegate check`: configurations as people want to see them judged. */
import { loadConfig } from './load.ts'
import { formatProblem, type Problem } from './problem.ts'
import type { Config } from './schema.ts'

/** What else keeps a sidecar from starting with a configuration: the layers above know more than this one. */
export type StartCheck = (config: Config) => readonly Problem[]

/**
 * Checks configuration files and says what it finds.
 * @param strict whether warnings count as failures
 * @param startCheck asked about each configuration that is valid
 * @param print takes one line
 * @returns whether all files are good
 */
export async function checkFiles(files: readonly string[], strict: boolean, startCheck: StartCheck, print: (line: string) => void): Promise<boolean> {
  const verdicts: boolean[] = []
  for (const file of files) verdicts.push(await checkFile(file, strict, startCheck, print))
  return verdicts.every(Boolean)
}

async function checkFile(file: string, strict: boolean, startCheck: StartCheck, print: (line: string) => void): Promise<boolean> {
  const { config, warnings, ...loaded } = await loadConfig(file)
  const problems = config === undefined ? loaded.problems : startCheck(config)
  for (const problem of problems) print(`error    ${formatProblem(problem, file)}`)
  for (const warning of warnings) print(`warning  ${formatProblem(warning, file)}`)
  const good = problems.length === 0 && (warnings.length === 0 || !strict)
  print(`${good ? 'ok      ' : 'refused '} ${file}: ${config && problems.length === 0 ? summary(config) : count(problems.length, 'error')}${warnings.length > 0 ? `, ${count(warnings.length, 'warning')}` : ''}`)
  return good
}

function summary({ listeners, issuers, rules, mode }: Config): string {
  const guarded = rules?.length ? count(rules.length, 'rule') : 'no rules (every path needs a token)'
  return [count(listeners.length, 'listener'), count(issuers.length, 'issuer'), guarded, `mode ${mode}`].join(', ')
}

const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`
