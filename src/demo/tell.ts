/** How the story is told: coloured on a terminal, plain when piped or when NO_COLOR is set. */
import { styleText } from 'node:util'

type Style = Parameters<typeof styleText>[0]

/** Writes the story to one stream. */
export interface Teller {
  /** A chapter: what the next step shows. */
  title(number: number, text: string): void
  /** One labelled line under the title. */
  line(label: string, text: string, style?: Style): void
  /** The step's result: as expected or not. */
  verdict(right: boolean, text: string): void
  /** Free text. */
  say(text: string, style?: Style): void
}

/**
 * @param out where to write
 * @returns a teller that uses colour only if `out` is a terminal
 */
export function createTeller(out: NodeJS.WriteStream): Teller {
  const paint = (style: Style, text: string): string => styleText(style, text, { stream: out })
  const say = (text: string, style?: Style): void => { out.write(`${style ? paint(style, text) : text}\n`) }
  return {
    say,
    title: (number, text) => say(`\n${paint('bold', `${String(number).padStart(2)}. ${text}`)}`),
    line: (label, text, style) => say(`    ${paint('dim', label.padEnd(9))} ${style ? paint(style, text) : text}`),
    verdict: (right, text) => say(`    ${right ? paint('green', `ok        ${text}`) : paint('red', `WRONG     ${text}`)}`),
  }
}
