/** valibot's issues in the words of whoever writes a configuration. */
import type * as v from 'valibot'
import { didYouMean } from '../lib/similar.ts'
import type { ConfigPath, Problem } from './problem.ts'

type Issue = v.BaseIssue<unknown>

/** One issue to one or more problems; `path` leads to the value that was parsed. */
export function explainIssue(issue: Issue, path: ConfigPath = []): readonly Problem[] {
  const here = [...path, ...(issue.path ?? []).map(({ key }) => key as string | number)]
  // Where several shapes are possible, valibot says that none fits; what is wrong inside the most likely one says more.
  const inside = issue.type === 'union' && isLibraryText(issue) ? (issue.issues ?? []).filter((one) => one.path !== undefined) : []
  if (inside.length > 0) return inside.flatMap((one) => explainIssue(one, here))
  return [{ path: here, message: sentence(issue) }]
}

/** Whether the message is valibot's own, not one from schema.ts. */
const isLibraryText = ({ message }: Issue) => message.startsWith('Invalid ')

function sentence(issue: Issue): string {
  if (issue.input === undefined) return 'is missing'
  if (!isLibraryText(issue)) return `${issue.message}; found ${show(issue.input)}`
  return `must be ${inWords(issue.expected ?? 'something else')}; found ${show(issue.input)}${suggestion(issue)}`
}

const WORDS: Readonly<Record<string, string>> = {
  string: 'text', boolean: 'true or false', number: 'a number', Array: 'a list', Object: 'a group of fields', true: 'true', false: 'false',
}

/** `("any" | "at+jwt")` to `any or at+jwt`, `(string | Array)` to `text or a list`, `>=1` to `at least 1`. */
function inWords(expected: string): string {
  const parts = expected.replaceAll(/^\(|\)$/g, '').split(' | ').map((part) => WORDS[part] ?? part.replaceAll('"', '').replace(/^>=/, 'at least ').replace(/^<=/, 'at most '))
  return new Intl.ListFormat('en', { type: 'disjunction' }).format(parts)
}

function suggestion({ type, input, expected }: Issue): string {
  if (type !== 'picklist' || typeof input !== 'string') return ''
  return didYouMean(input, (expected ?? '').replaceAll(/[()"]/g, '').split(' | '))
}

/** A value in a message: short, on one line. */
function show(input: unknown): string {
  if (input === null) return 'nothing'
  if (Array.isArray(input)) return input.length === 0 ? 'an empty list' : 'a list'
  if (typeof input === 'object') return 'a group of fields'
  const text = JSON.stringify(input) ?? typeof input
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
