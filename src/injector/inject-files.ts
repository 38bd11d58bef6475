/** `sidegate inject`: reads manifests, changes their pods, prints them. All or nothing: a pipe to kubectl must not get half of it. */
import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { text as readAll } from 'node:stream/consumers'
import { parseKubernetesYaml } from './yaml-edit.ts'
import { injectManifest, uninjectManifest, type ManifestResult } from './manifest.ts'
import { injectorSettings, type InjectorSettings, type InjectorSettingsInput } from './settings.ts'

export interface InjectFilesOptions {
  readonly uninject: boolean
  /** As in a namespace that opted in. */
  readonly all: boolean
  readonly image: string | undefined
  /** Path of the controller's file, or of its `sidecar` section alone. */
  readonly settings: string | undefined
  readonly nativeSidecar: boolean | undefined
}

export interface InjectFilesIo {
  readonly out: (text: string) => unknown
  /** One line for a person, without a newline. */
  readonly note: (line: string) => unknown
  readonly stdin: NodeJS.ReadableStream
}

/**
 * Changes the manifests and prints them, separated by `---`.
 * @param sources files, folders, or `-`
 * @returns false when a pod was refused: then nothing was printed but the reasons
 * @throws an Error naming the file that cannot be read or parsed
 */
export async function injectFiles(sources: readonly string[], options: InjectFilesOptions, { out, note, stdin }: InjectFilesIo): Promise<boolean> {
  const settings = await readSettings(options)
  const files = (await Promise.all(sources.map(listFiles))).flat()
  const results: ManifestResult[] = []
  for (const file of files) {
    const content = file === '-' ? await readAll(stdin) : await readFile(file, 'utf8')
    results.push(changeFile(file, content, settings, options))
  }
  const pods = results.flatMap((result) => result.results)
  for (const { object, did, sentence, warnings } of pods) {
    for (const warning of warnings) note(`warning: ${warning}`)
    note(`${object}: ${did}${sentence ? `${did === 'refused' ? '. ' : ' ('}${sentence}${did === 'refused' ? '' : ')'}` : ''}`)
  }
  if (pods.length === 0) note('No pods found: nothing changed.')
  if (pods.some(({ did }) => did === 'refused')) return false
  out(joinDocuments(results.map(({ text }) => text)))
  return true
}

function changeFile(file: string, content: string, settings: InjectorSettings, { uninject, all }: InjectFilesOptions): ManifestResult {
  try {
    return uninject ? uninjectManifest(content) : injectManifest(content, settings, { optIn: all })
  } catch (error) {
    throw new Error(`${file === '-' ? 'standard input' : file}: ${(error as Error).message}`, { cause: error })
  }
}

/** Several files become one stream of documents. */
function joinDocuments(texts: readonly string[]): string {
  return texts.map((text, index) => `${index > 0 && !text.startsWith('---') ? '---\n' : ''}${text}${text.endsWith('\n') || index === texts.length - 1 ? '' : '\n'}`).join('')
}

async function listFiles(source: string): Promise<readonly string[]> {
  if (source === '-') return ['-']
  const info = await stat(source).catch(() => { throw new Error(`${source}: no such file or folder.`) })
  if (!info.isDirectory()) return [source]
  const found = await readdir(source, { recursive: true, withFileTypes: true })
  const files = found.filter((entry) => entry.isFile() && /\.(ya?ml|json)$/.test(entry.name)).map((entry) => join(entry.parentPath, entry.name)).sort()
  if (files.length === 0) throw new Error(`${source}: no *.yaml, *.yml or *.json in this folder.`)
  return files
}

async function readSettings({ settings: file, image, nativeSidecar }: InjectFilesOptions): Promise<InjectorSettings> {
  const fromFile = file === undefined ? {} : sidecarSection(file, await readFile(file, 'utf8').catch(() => { throw new Error(`${file}: no such file.`) }))
  return injectorSettings({ image: 'sidegate:dev', ...fromFile, ...(image !== undefined && { image }), ...(nativeSidecar !== undefined && { nativeSidecar }) })
}

function sidecarSection(file: string, content: string): Partial<InjectorSettingsInput> {
  const value: unknown = parseKubernetesYaml(content).toJS()
  if (typeof value !== 'object' || value === null) throw new Error(`${file}: expected the controller's file or its "sidecar" section.`)
  if (!('sidecar' in value)) return value
  const { sidecar, networkPolicy } = value as { sidecar: Partial<InjectorSettingsInput>; networkPolicy?: { mode?: unknown } | null }
  return networkPolicy?.mode === 'off' ? { ...sidecar, portAllowed: false } : sidecar
}
