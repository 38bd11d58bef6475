import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { StringDecoder } from 'node:string_decoder'
import { letGo } from './let-go.ts'

/** What a watched file holds now: its text, or why it cannot be read. */
export type FileContent = { readonly text: string } | { readonly error: Error }

export interface WatchOptions {
  /** Milliseconds between looks. */
  readonly interval?: number
  /** Largest file read, in bytes; a larger one is an error. */
  readonly maxBytes?: number
}

/** A file that changes from each look to the next is read all the same, after so many. */
const RESTLESS = 3

/** Where the path leads now, through every symlink. */
function inspect(path: string): BigIntStats | Error {
  try {
    return statSync(path, { bigint: true })
  } catch (error) {
    return error as Error
  }
}

/** Changes with the file and its content. Kubernetes swaps the `..data` symlink above a mounted file: same path, another inode. */
const fingerprint = (at: BigIntStats | Error): string =>
  at instanceof Error ? at.message : `${at.dev}:${at.ino}:${at.size}:${at.mtimeNs}:${at.ctimeNs}`

/** What is there, and what tells it from other contents without keeping them: a deny-list may be many megabytes. */
type Reading = readonly [content: FileContent, digest: string]

function read(path: string, at: BigIntStats | Error, maxBytes: number): Reading {
  const failed = (error: Error): Reading => [{ error }, error.message]
  if (at instanceof Error) return failed(at)
  // Reading a pipe or a device could block for ever.
  if (!at.isFile()) return failed(new Error(`${path} is not a regular file`))
  if (at.size > maxBytes) return failed(new Error(`${path} has ${at.size} bytes, more than the ${maxBytes} allowed`))
  try {
    const bytes = readFileSync(path)
    const reading: Reading = [{ text: decode(bytes) }, createHash('sha256').update(bytes).digest('base64url')]
    letGo(bytes)
    return reading
  } catch (error) {
    return failed(error as Error)
  }
}

/** Longer texts than this (1 MiB) node puts outside of the heap, where garbage lies until there is far more of it than a sidecar's memory has. */
const PIECE = 512 * 1024

/** As UTF-8. */
function decode(bytes: Buffer): string {
  if (bytes.length <= PIECE) return bytes.toString('utf8')
  const decoder = new StringDecoder('utf8')
  let text = ''
  for (let at = 0; at < bytes.length; at += PIECE) text += decoder.write(bytes.subarray(at, at + PIECE))
  return text + decoder.end()
}

/**
 * Watches one file by its path, through every symlink. It looks at the path a few times a second instead of subscribing to the kernel: a
 * look costs microseconds, follows Kubernetes' `..data` swap and a file that comes and goes without special cases, and still works
 * where inotify instances have run out, as they do on busy nodes.
 * @param path the file
 * @param listener called at once with what is there, then with each different content that has stayed the same for an interval (or would not stay so for three), so that a file is not
 *   read while it is written
 * @returns stops watching
 */
export function watchFile(path: string, listener: (content: FileContent) => void, options: WatchOptions = {}): () => void {
  const { interval = 250, maxBytes = 64 * 1024 ** 2 } = options
  let seen: string | undefined
  let told: string | undefined
  /** Looks since the last change. */
  let steady = 0
  /** Looks in a row that saw a change. */
  let changing = 0

  const look = (): void => {
    const at = inspect(path)
    const print = fingerprint(at)
    steady = print === seen ? steady + 1 : 0
    changing = print === seen ? 0 : changing + 1
    seen = print
    // Read once more than needed: a write within the kernel's timestamp tick of our read leaves the fingerprint as it was.
    if (told !== undefined && (steady > 2 || (changing > 0 && changing < RESTLESS))) return
    changing = 0
    const [content, digest] = read(path, at, maxBytes)
    if (digest === told) return
    told = digest
    listener(content)
  }

  look()
  const timer = setInterval(look, interval)
  timer.unref()
  return () => { clearInterval(timer) }
}
