/** Edit distance (Levenshtein) between two words, without regard to case. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (const [i, x] of Array.from(a.toLowerCase()).entries()) {
    const next = [i + 1]
    for (const [j, y] of Array.from(b.toLowerCase()).entries()) {
      next.push(Math.min(next[j]! + 1, row[j + 1]! + 1, row[j]! + (x === y ? 0 : 1)))
    }
    row = next
  }
  return row.at(-1)!
}

/**
 * The word that someone who typed `word` may have meant.
 * @returns the closest candidate if no more than two letters or a third of the word are different, else undefined
 */
export function closest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > 64) return undefined
  let best: string | undefined
  let least = Math.min(Math.max(2, word.length / 3) + 1, word.length)
  for (const candidate of candidates) {
    const steps = candidate.length > 64 ? Infinity : distance(word, candidate)
    if (steps < least) [best, least] = [candidate, steps]
  }
  return best
}

/** `; did you mean X?`, or nothing when no candidate is close. For the end of an error message. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const meant = closest(word, candidates)
  return meant === undefined ? '' : `; did you mean ${meant}?`
}
