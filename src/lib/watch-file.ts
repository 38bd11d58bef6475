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
 * @param listener called at once with what is there, then with each different content; a half-written file may be seen, followed by the whole
 * @returns stops watching
 */
export function watchFile(path: string, listener: (content: FileContent) => void, options: WatchOptions = {}): () => void {
  const { interval = 250, maxBytes = 64 * 1024 ** 2 } = options
  let seen: string | undefined
  let told: string | undefined
  let settled = true

  const look = (): void => {
    const at = inspect(path)
    const print = fingerprint(at)
    // A write within the kernel's timestamp tick of our read leaves the fingerprint as it was: after a change, read once more.
    if (print === seen && settled) return
    settled = print === seen
    seen = print
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
