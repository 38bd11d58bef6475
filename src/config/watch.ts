/** The configuration file over time. */
import { systemClock, type Clock } from '../lib/clock.ts'
import { watchFile, type FileContent } from '../lib/watch-file.ts'
import { parseConfig, unreadable, type Overlay } from './load.ts'
import type { Checked } from './validate.ts'

export interface WatchConfigOptions {
  readonly overlay?: Overlay
  readonly clock?: Clock
  /** Milliseconds for which the file must not change before it is read: a file that is being written is not judged half-way. */
  readonly settleMs?: number
  /** Milliseconds between looks at the file. */
  readonly interval?: number
}

/**
 * Watches a configuration file through every symlink (Kubernetes swaps `..data`).
 * @param listener called soon with what is there, then with each changed content once it has settled: a configuration, or all its problems. Never with an
 *   older content after a newer one.
 * @returns stops watching; the listener is not called again
 */
export function watchConfig(file: string, listener: (checked: Checked) => void, options: WatchConfigOptions = {}): () => void {
  const { overlay, clock = systemClock, settleMs = 100, interval = 250 } = options
  let latest: FileContent | undefined
  let cancel: () => void = () => {}

  const judge = async (content: FileContent): Promise<void> => {
    const checked = 'text' in content ? await parseConfig(content.text, overlay) : unreadable(content.error)
    if (content === latest) listener(checked)
  }
  const stop = watchFile(file, (content) => {
    const isFirst = latest === undefined
    latest = content
    cancel()
    cancel = clock.after(isFirst ? 0 : settleMs, () => { void judge(content) })
  }, { interval })
  return () => {
    stop()
    cancel()
    latest = undefined
  }
}
