/** Tables: on the terminal as it is, and as Markdown. */
import { cpus, release } from 'node:os'

/** Lines of a table, columns aligned; the first row is the head. */
export function table(rows: readonly (readonly string[])[], markdown: boolean): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string => {
    const cells = widths.map((width, column) => column === 0 ? (row[column] ?? '').padEnd(width) : (row[column] ?? '').padStart(width))
    return markdown ? `| ${cells.join(' | ')} |` : cells.join('  ')
  }
  const rule = markdown ? [`|${widths.map((width, column) => column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`).join('|')}|`] : []
  return [line(rows[0]!), ...rule, ...rows.slice(1).map(line)].join('\n')
}

export const round = (value: number, digits = 0): string => Number.isFinite(value) ? value.toFixed(digits) : '-'

export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN

/** How many times the peer's cost the other's is, over the rounds: median and spread. */
export function ratio(other: readonly number[], peer: readonly number[]): string {
  const each = peer.map((value, at) => other[at]! / value).filter(Number.isFinite)
  return each.length === 0 ? '-' : `${median(each).toFixed(2)} (${Math.min(...each).toFixed(2)}-${Math.max(...each).toFixed(2)})`
}

export const machine = (): string => `${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${cpus().length} cores, Linux ${release()}, node ${process.version}`
