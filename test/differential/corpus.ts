/** The http-desync corpus as messages: ../shared/corpora/http-desync beside the project, each head with several bodies behind it. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'

const FOLDER = fileURLToPath(new URL('../../../shared/corpora/http-desync', import.meta.url))

interface Case {
  readonly name: string
  readonly uri: string
  readonly method: string
  readonly version: string
  readonly headers: readonly { readonly name: string; readonly value: unknown }[] | null
}

/** Undefined where the corpus is not to be had. */
export function corpusMessages(): string[] | undefined {
  if (!existsSync(FOLDER)) return undefined
  return readdirSync(FOLDER).filter((file) => file.endsWith('.yaml')).flatMap((file) => (parse(readFileSync(`${FOLDER}/${file}`, 'utf8')) as Case[]).flatMap(messages))
}

function messages({ uri, method, version, headers }: Case): string[] {
  const fields = (headers ?? []).map(({ name, value }) => `${name}: ${value as string}\r\n`).join('')
  const head = `${method} ${uri}${version ? ` ${version}` : ''}\r\n${fields}`
  const length = /content-length: *(\d{1,5})\r\n/i.exec(fields)?.[1]
  const bodies = ['', '3\r\nabc\r\n0\r\n\r\n', ...(length === undefined ? [] : ['x'.repeat(Number(length))])]
  return bodies.flatMap((body) => [`${head}Host: app\r\n\r\n${body}`, `${head}\r\n${body}`]).map((text) => Buffer.from(text, 'latin1').toString('latin1'))
}
