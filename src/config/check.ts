/** `sidegate check`: configurations as people want to see them judged. */
import { loadConfig } from './load.ts'
import { formatProblem } from './problem.ts'
import type { Config } from './schema.ts'

/**
 * Checks configuration files and says what it finds.
 * @param strict whether warnings count as failures
 * @param print takes one line
 * @returns whether all files are good
 */
export async function checkFiles(files: readonly string[], strict: boolean, print: (line: string) => void): Promise<boolean> {
  const verdicts: boolean[] = []
  for (const file of files) verdicts.push(await checkFile(file, strict, print))
  return verdicts.every(Boolean)
}

async function checkFile(file: string, strict: boolean, print: (line: string) => void): Promise<boolean> {
  const { config, problems, warnings } = await loadConfig(file)
  for (const problem of problems) print(`error    ${formatProblem(problem, file)}`)
  for (const warning of warnings) print(`warning  ${formatProblem(warning, file)}`)
  const good = config !== undefined && (warnings.length === 0 || !strict)
  print(`${good ? 'ok      ' : 'refused '} ${file}: ${config ? summary(config) : count(problems.length, 'error')}${warnings.length > 0 ? `, ${count(warnings.length, 'warning')}` : ''}`)
  return good
}

function summary({ listeners, issuers, rules, mode }: Config): string {
  const guarded = rules?.length ? count(rules.length, 'rule') : 'no rules (every path needs a token)'
  return [count(listeners.length, 'listener'), count(issuers.length, 'issuer'), guarded, `mode ${mode}`].join(', ')
}

const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`
