/** A configuration from a file: read, parsed, validated, with every problem and its line. */
import { readFileSync } from 'node:fs'
import { parseText } from './parse.ts'
import type { Problem } from './problem.ts'
import { validateConfig, type Checked } from './validate.ts'

/** Changes the parsed file before it is validated, such as laying a pod's facts over it. */
export type Overlay = (raw: unknown) => unknown

/**
 * Reads and validates a configuration file, JSON or YAML.
 * @returns never rejects for anything in or about the file: a file that cannot be read is a problem like others
 */
export async function loadConfig(file: string, overlay?: Overlay): Promise<Checked> {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    return unreadable(error as NodeJS.ErrnoException)
  }
  return parseConfig(text, overlay)
}

/** Validates the text of a configuration, JSON or YAML. Rejects for nothing that the text can hold. */
export async function parseConfig(text: string, overlay: Overlay = (raw) => raw): Promise<Checked> {
  const parsed = await parseText(text)
  if ('problems' in parsed) return failed(parsed.problems)
  const checked = validateConfig(overlay(parsed.value))
  if (checked.problems.length + checked.warnings.length === 0) return checked
  // To know lines the YAML parser is loaded, which costs 3 MiB for good. JSON that works was written by the controller, and nobody looks
  // for lines in it.
  if (checked.config && parsed.isJson) return checked
  const locate = await parsed.locate()
  const located = (problems: readonly Problem[]) => problems.map((problem) => ({ ...problem, ...lineOf(locate(problem.path)) })).sort(byLine)
  const warnings = located(checked.warnings)
  return checked.config ? { ...checked, warnings } : failed(located(checked.problems), warnings)
}

const lineOf = (line: number | undefined) => line === undefined ? {} : { line }
const byLine = (a: Problem, b: Problem) => (a.line ?? 0) - (b.line ?? 0)

function failed(problems: readonly Problem[], warnings: readonly Problem[] = []): Checked {
  return { config: undefined, problems, warnings }
}

const CAUSES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file; check the path, and in a pod that the volume is mounted',
  EACCES: 'the file may not be read by this user; make it readable',
  EISDIR: 'this is a directory; name the file in it',
}

/** The result for a configuration file that cannot be read. */
export function unreadable({ code = '', message }: NodeJS.ErrnoException): Checked {
  return failed([{ path: [], message: CAUSES[code] ?? `the file cannot be read: ${message}` }])
}
