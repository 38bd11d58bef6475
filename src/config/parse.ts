/** Text to data: JSON, for which nothing is loaded, or YAML 1.2. Duplicate keys are refused in both: which one holds would be anyone's guess. */
import type { Document, LineCounter } from 'yaml'
import { parseUniqueJson } from '../lib/json.ts'
import type { ConfigPath, Problem } from './problem.ts'

/** Finds the line (from 1) of a value, or of the nearest thing around it that has one. */
export type Locate = (path: ConfigPath) => number | undefined

export type ParsedText = { readonly value: unknown; readonly isJson: boolean; readonly locate: () => Promise<Locate> } | { readonly problems: readonly Problem[] }

/** Largest configuration read, in characters; a ConfigMap holds no more. */
const MAX_TEXT = 2 * 1024 ** 2

/**
 * Parses JSON or YAML.
 * @returns the value with a way to find lines in it (loaded only when asked for), or what is wrong with the syntax
 */
export async function parseText(text: string): Promise<ParsedText> {
  if (text.length > MAX_TEXT) return { problems: [{ path: [], message: `has ${text.length} characters, more than the ${MAX_TEXT} allowed` }] }
  const json = readJson(text)
  return json ? { value: json.value, isJson: true, locate: async () => (await parseYaml(text)).locate } : fromYaml(await parseYaml(text))
}

/** The value of a JSON object without duplicate keys; undefined for all else, which the YAML parser then reads or explains. */
function readJson(text: string): { readonly value: unknown } | undefined {
  if (!/^\s*\{/.test(text)) return undefined
  try {
    return { value: parseUniqueJson(text) }
  } catch {
    return undefined
  }
}

interface Yaml {
  readonly document: Document.Parsed
  readonly lines: LineCounter
  readonly locate: Locate
}

async function parseYaml(text: string): Promise<Yaml> {
  const { LineCounter, parseDocument } = await import('yaml')
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false })
  return { document, lines, locate: (path) => locate(document, lines, path) }
}

function fromYaml({ document, lines, locate }: Yaml): ParsedText {
  if (document.errors.length > 0) {
    return { problems: document.errors.map(({ message, pos }) => ({ path: [], message: `not valid JSON or YAML: ${message}`, line: lines.linePos(pos[0]).line })) }
  }
  try {
    return { value: document.toJS({ maxAliasCount: 100 }) as unknown, isJson: false, locate: () => Promise.resolve(locate) }
  } catch (error) {
    return { problems: [{ path: [], message: `not usable YAML: ${(error as Error).message}` }] } // An alias that explodes, or that leads nowhere.
  }
}

function locate(document: Document.Parsed, lines: LineCounter, path: ConfigPath): number | undefined {
  for (let length = path.length; length >= 0; length--) {
    const node: unknown = document.getIn(path.slice(0, length), true)
    const range = (node as { range?: readonly number[] } | undefined)?.range
    if (range) return lines.linePos(range[0]!).line
  }
  return undefined
}
