/** Tables and figures: on the terminal as they are, and as Markdown. */
import { cpus, release } from 'node:os'
import { spread } from './stats.ts'

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

/** `1.23 (1.10-1.40)`: the median, and from the least to the most. */
export function withSpread(values: readonly number[], digits = 2): string {
  const found = spread(values)
  return found === undefined ? '-' : `${round(found.median, digits)} (${round(found.least, digits)}-${round(found.most, digits)})`
}

export const percent = (share: number): string => `${round(share * 100, 1)} %`

export const machine = (): string => `${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${cpus().length} cores, Linux ${release()}, Node ${process.version}`
