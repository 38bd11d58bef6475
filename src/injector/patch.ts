/** JSON Patch (RFC 6902) from one pod to another. */
import { createPatch, type Operation } from 'rfc6902'
import type { VoidableDiff } from 'rfc6902/diff.js'

/**
 * @param before and after share what did not change: those parts are recognised by identity and not looked into
 */
export function podPatch(before: object, after: object): readonly Operation[] {
  return createPatch(before, after, diffLists)
}

const nameOf = (item: unknown) => (typeof item === 'object' && item !== null && 'name' in item ? item.name : undefined)

/**
 * Lists in linear time. The library's own way compares every item with every other, recursively: a list as long as a 3 MiB review can
 * hold would take minutes. Ours are changed in three ways only: item by item, with new items in front, or with new items behind.
 */
const diffLists: VoidableDiff = (before, after, pointer) => {
  if (before === after) return []
  if (!Array.isArray(before) || !Array.isArray(after)) return undefined
  const added = after.length - before.length
  if (added < 0) return [{ op: 'replace', path: pointer.toString(), value: after }]
  const inFront = added > 0 && before.length > 0 && nameOf(before[0]) !== nameOf(after[0])
  const offset = inFront ? added : 0
  const kept = before.flatMap((item, index) => itemPatch(item, after[index + offset], pointer.add(String(index)).toString()))
  const news = after.filter((_, index) => (inFront ? index < added : index >= before.length))
  return [...kept, ...news.map((value, index) => ({ op: 'add' as const, path: pointer.add(inFront ? String(index) : '-').toString(), value }))]
}

function itemPatch(before: unknown, after: unknown, path: string): Operation[] {
  if (before === after) return []
  if (typeof before !== 'object' || before === null || typeof after !== 'object' || after === null || nameOf(before) !== nameOf(after)) {
    return [{ op: 'replace', path, value: after }]
  }
  // createPatch begins every path anew: put ours before it.
  return createPatch(before, after, diffLists).map((operation) => ({ ...operation, path: path + operation.path }))
}
