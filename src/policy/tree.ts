/**
 * An index of path patterns by segment. Looking a path up costs what the path is long, not how many patterns there are: it visits the
 * lists of entries whose patterns match, each list in the order in which the patterns were added.
 */
import type { PathPattern } from '../http/path-pattern.ts'

interface Node<T> {
  readonly literals: Map<string, Node<T>>
  any: Node<T> | undefined
  /** Entries by how their pattern ends at this node, each list in the order of adding. */
  readonly ends: Readonly<Record<PathPattern['end'], Entry<T>[]>>
}

/** A pattern's value with its place in the order. */
export interface Entry<T> {
  readonly order: number
  readonly value: T
}

/** Where a path ended in the tree. */
export interface Visit<T> {
  /** Patterns that match the path: by their last segment or slash, or by `**`. */
  matching(entries: readonly Entry<T>[]): void
  /** Patterns that match the path but for a trailing slash that one has and the other has not. */
  twin(entries: readonly Entry<T>[]): void
}

export interface PathTree<T> {
  add(pattern: PathPattern, entry: Entry<T>): void
  /** @param path decoded, without empty segments but the last: as {@link import('../http/path.ts').readTarget} leaves it */
  visit(path: string, visitor: Visit<T>): void
}

/** Makes an empty tree. */
export function pathTree<T>(): PathTree<T> {
  const root = newNode<T>()
  return {
    add: ({ segments, end }, entry) => {
      segments.reduce((node, segment) => childFor(node, segment), root).ends[end].push(entry)
    },
    visit: (path, visitor) => visitNode(root, path, 1, visitor),
  }
}

function newNode<T>(): Node<T> {
  return { literals: new Map(), any: undefined, ends: { segment: [], slash: [], rest: [] } }
}

function childFor<T>(node: Node<T>, segment: string | null): Node<T> {
  if (segment === null) return node.any ??= newNode()
  const known = node.literals.get(segment)
  if (known) return known
  const child = newNode<T>()
  node.literals.set(segment, child)
  return child
}

/** @param start where the segment below `node` begins; path.length + 1 when the path ended without a slash */
function visitNode<T>(node: Node<T>, path: string, start: number, visitor: Visit<T>): void {
  visitor.matching(node.ends.rest)
  if (start >= path.length) {
    const slash = start === path.length
    visitor.matching(slash ? node.ends.slash : node.ends.segment)
    visitor.twin(slash ? node.ends.segment : node.ends.slash)
    return
  }
  const next = path.indexOf('/', start)
  const end = next < 0 ? path.length : next
  const literal = node.literals.size > 0 ? node.literals.get(path.slice(start, end)) : undefined
  if (literal) visitNode(literal, path, end + 1, visitor)
  if (node.any && end > start) visitNode(node.any, path, end + 1, visitor)
}
