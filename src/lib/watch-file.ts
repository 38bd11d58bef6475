import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { BigIntStats } from 'node:fs'

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

function read(path: string, at: BigIntStats | Error, maxBytes: number): FileContent {
  if (at instanceof Error) return { error: at }
  // Reading a pipe or a device could block for ever.
  if (!at.isFile()) return { error: new Error(`${path} is not a regular file`) }
  if (at.size > maxBytes) return { error: new Error(`${path} has ${at.size} bytes, more than the ${maxBytes} allowed`) }
  try {
    return { text: readFileSync(path, 'utf8') }
  } catch (error) {
    return { error: error as Error }
  }
}

/** Tells contents apart without keeping them: a deny-list may be many megabytes. */
const digest = (content: FileContent): string =>
  'text' in content ? createHash('sha256').update(content.text).digest('base64url') : content.error.message

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
    const next = read(path, at, maxBytes)
    const what = digest(next)
    if (what === told) return
    told = what
    listener(next)
  }

  look()
  const timer = setInterval(look, interval)
  timer.unref()
  return () => { clearInterval(timer) }
}
