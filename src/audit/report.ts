/** What `sidegate audit` found, as people read it. */
import type { Audit, Service } from './scan.ts'

/** Other people's code in our output: on one line, without control characters, not too long. */
const quoted = (text: string) => {
  const line = text.replaceAll(/[^\x20-\x7e\xa0-\uffff]/g, '?')
  return line.length > 100 ? `${line.slice(0, 97)}...` : line
}

/** The report, line by line. */
export function report({ services, filesRead, unreadable }: Audit): readonly string[] {
  const notes = unreadable.map((path) => `not read: ${path}`)
  if (services.length === 0) return [`${count(filesRead, 'file')} looked at: nobody here validates JWTs by themselves, as far as manifests and known calls tell.`, ...notes]
  return [...services.flatMap(describe), ...notes, ...summary(services, filesRead)]
}

function describe({ folder, libraries, calls }: Service): readonly string[] {
  const width = Math.max(...libraries.map(({ name, version = '' }) => `${name} ${version}`.length), 0)
  return [
    folder === '.' ? '(root)' : folder,
    ...libraries.map(({ name, version = '', language, file, line, remark }) => `  ${`${quoted(name)} ${quoted(version)}`.padEnd(width)}  ${language}, ${file}:${line}${remark === '' ? '' : `  ! ${remark}`}`),
    ...calls.flatMap(({ means, text, file, line }) => [`  ! ${file}:${line} ${means}`, `      ${quoted(text)}`]),
    '',
  ]
}

function summary(services: readonly Service[], filesRead: number): readonly string[] {
  const libraries = services.flatMap((service) => service.libraries)
  const distinct = (values: readonly string[]) => new Set(values).size
  const calls = services.reduce((sum, service) => sum + service.calls.length, 0)
  return [
    `${count(filesRead, 'file')} looked at. ${count(services.length, 'service')} with JWT code: ${count(distinct(libraries.map(({ name }) => name)), 'library', 'libraries')} in `
      + `${count(distinct(libraries.map(({ name, version }) => `${name} ${version}`)), 'version')} and ${count(distinct(libraries.map(({ language }) => language)), 'language')}`
      + `${calls > 0 ? `, ${count(calls, 'line')} to look at` : ''}.`,
    'Each keeps its own algorithms, issuers, audiences, keys and clock skew, and each can get them wrong.',
    'With Sidegate: annotate the pod template with sidegate.dev/inject: "true", read the identity headers, remove the library.',
  ]
}

const count = (number: number, noun: string, plural = `${noun}s`) => `${number} ${number === 1 ? noun : plural}`
