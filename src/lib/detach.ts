/**
 * Copies a string of Latin-1 characters. V8 cuts substrings as views that keep the whole they were cut from alive: what is kept for
 * long (a cache key cut from a request head) must be its own.
 */
export function detach(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}
