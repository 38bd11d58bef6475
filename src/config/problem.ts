/** What is wrong with a configuration, where, and how to put it right. */

/** Where in the configuration: field names and list indices, outermost first. */
export type ConfigPath = readonly (string | number)[]

export interface Problem {
  readonly path: ConfigPath
  /** One clause that follows the path and a colon: what is wrong and the fix. */
  readonly message: string
  /** Line in the file, from 1, where known. */
  readonly line?: number
}

/** Collects problems of a check. */
export type Report = (path: ConfigPath, message: string) => void

/** Errors forbid the configuration; warnings are said and live with. */
export interface Reports {
  readonly error: Report
  readonly warn: Report
}

/** Writes a path as people do: `issuers[0].keys`; the empty path is `config`. */
export function formatPath(path: ConfigPath): string {
  const text = path.map((step) => {
    if (typeof step === 'number') return `[${step}]`
    return /^[\w-]+$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`
  }).join('')
  return text === '' ? 'config' : text.replace(/^\./, '')
}

/**
 * Writes a problem on one line.
 * @param file the file's name, or undefined to leave file and line away
 */
export function formatProblem({ path, message, line }: Problem, file?: string): string {
  const place = line === undefined ? file : `${file}:${line}`
  if (file === undefined) return `${formatPath(path)}: ${message}`
  return path.length === 0 ? `${place}: ${message}` : `${place}: ${formatPath(path)}: ${message}`
}
