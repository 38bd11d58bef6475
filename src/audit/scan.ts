/** `sidegate audit`: who in a source tree validates JWTs by themselves. Reads files, runs nothing, follows no link. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { ECOSYSTEMS, type Ecosystem } from './libraries.ts'
import { RISKY_CALLS, SOURCES } from './risky.ts'

/** A library named in a manifest. */
export interface FoundLibrary {
  readonly name: string
  readonly version: string | undefined
  readonly language: string
  /** '' where there is nothing to remark. */
  readonly remark: string
  readonly file: string
  readonly line: number
}

/** A line that may read a token unverified. */
export interface FoundCall {
  readonly means: string
  readonly text: string
  readonly file: string
  readonly line: number
}

/** A folder with a manifest, and what was found in and below it. */
export interface Service {
  /** Path from the root, `.` for the root itself. */
  readonly folder: string
  readonly libraries: readonly FoundLibrary[]
  readonly calls: readonly FoundCall[]
}

export interface Audit {
  /** Only services in which something was found, by folder. */
  readonly services: readonly Service[]
  readonly filesRead: number
  /** Files and folders that could not be read, with the reason. */
  readonly unreadable: readonly string[]
}

/** Not written by the services' own people. */
const SKIPPED = new Set(['node_modules', 'vendor', 'dist', 'build', 'out', 'target', 'coverage', 'bower_components', '__pycache__', 'venv', 'site-packages', 'bin', 'obj', 'deps', '_build', 'Pods'])
const MAX_BYTES = 1024 ** 2

/**
 * Scans a source tree.
 * @param root folder
 * @throws an Error when the root is not a folder
 */
export async function scan(root: string): Promise<Audit> {
  const isFolder = await stat(root).then((stats) => stats.isDirectory(), () => false)
  if (!isFolder) throw new Error(`${root} is not a folder that can be read; name the root of a source tree`)
  const unreadable: string[] = []
  const manifests = new Set<string>()
  const libraries: FoundLibrary[] = []
  const calls: FoundCall[] = []
  let filesRead = 0
  for await (const path of walk(root, unreadable)) {
    const name = path.slice(path.lastIndexOf(sep) + 1)
    const ecosystems = ECOSYSTEMS.filter((ecosystem) => ecosystem.manifests.test(name))
    if (ecosystems.length === 0 && !SOURCES.test(name)) continue
    const text = await read(path, unreadable)
    if (text === undefined) continue
    filesRead++
    const file = relative(root, path)
    if (ecosystems.length > 0) manifests.add(dirname(file))
    for (const ecosystem of ecosystems) libraries.push(...librariesIn(text, file, ecosystem))
    if (SOURCES.test(name)) calls.push(...callsIn(text, file))
  }
  return { services: group(libraries, calls, manifests), filesRead, unreadable }
}

/** Files of a tree, each folder's in the order of their names. */
async function* walk(folder: string, unreadable: string[]): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    unreadable.push(`${folder}: ${error.code ?? error.message}`)
    return []
  })
  for (const entry of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = join(folder, entry.name)
    if (entry.isFile()) yield path
    else if (entry.isDirectory() && !entry.name.startsWith('.') && !SKIPPED.has(entry.name)) yield* walk(path, unreadable)
  }
}

/** A file's text; undefined when it is too large to be written by hand, or cannot be read. */
async function read(path: string, unreadable: string[]): Promise<string | undefined> {
  try {
    return (await stat(path)).size > MAX_BYTES ? undefined : await readFile(path, 'utf8')
  } catch (error) {
    unreadable.push(`${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`)
    return undefined
  }
}

function librariesIn(text: string, file: string, { entries, libraries, language, nested = false, normalise = (name) => name }: Ecosystem): readonly FoundLibrary[] {
  const known = Object.keys(libraries)
  return [...text.matchAll(entries)].flatMap((match) => {
    const { name = '', version } = match.groups ?? {}
    const library = known.find((one) => normalise(name) === one || (nested && name.startsWith(`${one}/`)))
    return library === undefined ? [] : [{ name, version, language, remark: libraries[library]!, file, line: lineAt(text, match.index + match[0].indexOf(name)) }]
  })
}

const lineAt = (text: string, index: number) => text.slice(0, index).split('\n').length

function callsIn(text: string, file: string): readonly FoundCall[] {
  return text.split('\n').flatMap((line, i) => {
    if (line.length > 1000) return [] // Nobody wrote that by hand.
    const risk = RISKY_CALLS.find(({ pattern }) => pattern.test(line))
    return risk === undefined ? [] : [{ means: risk.means, text: line.trim(), file, line: i + 1 }]
  })
}

/** Gives everything to the nearest folder with a manifest. */
function group(libraries: readonly FoundLibrary[], calls: readonly FoundCall[], manifests: ReadonlySet<string>): readonly Service[] {
  const services = new Map<string, { libraries: FoundLibrary[], calls: FoundCall[] }>()
  const of = (file: string) => {
    let folder = dirname(file)
    while (folder !== '.' && !manifests.has(folder)) folder = dirname(folder)
    const service = services.get(folder) ?? { libraries: [], calls: [] }
    services.set(folder, service)
    return service
  }
  for (const library of libraries) of(library.file).libraries.push(library)
  for (const call of calls) of(call.file).calls.push(call)
  return [...services].map(([folder, found]) => ({ folder, ...found })).sort((a, b) => a.folder < b.folder ? -1 : 1)
}
