/**
 * An index of path patterns by segment. Looking a path up costs what the path is long, not how many patterns there are: it visits the
 * buckets of the patterns that match.
 */
import type { PathPattern } from './path-pattern.ts'

interface Node<B> {
  readonly literals: Map<string, Node<B>>
  any: Node<B> | undefined
  /** By how a pattern ends at this node. */
  readonly ends: Readonly<Record<PathPattern['end'], B>>
}

/** Where a path ended in the tree. */
export interface Visit<B> {
  /** Patterns that match the path: by their last segment or slash, or by `**`. */
  matching(bucket: B): void
  /** Patterns that match the path but for a trailing slash that one has and the other has not. */
  twin(bucket: B): void
}

export interface PathTree<B> {
  /** The bucket of a pattern, made when it is asked for first. */
  bucket(pattern: PathPattern): B
  /** @param path decoded, without empty segments but the last: as {@link import('./path.ts').readTarget} leaves it */
  visit(path: string, visitor: Visit<B>): void
  /** Visits the buckets of the patterns that match whatever this one matches: those for which `covers` of path-pattern.ts holds. */
  covering(pattern: PathPattern, visit: (bucket: B) => void): void
}

/** Makes an empty tree. */
export function pathTree<B>(newBucket: () => B): PathTree<B> {
  const newNode = (): Node<B> => ({ literals: new Map(), any: undefined, ends: { segment: newBucket(), slash: newBucket(), rest: newBucket() } })
  const root = newNode()

  function childFor(node: Node<B>, segment: string | null): Node<B> {
    if (segment === null) return node.any ??= newNode()
    const known = node.literals.get(segment)
    if (known) return known
    const child = newNode()
    node.literals.set(segment, child)
    return child
  }

  return {
    bucket: ({ segments, end }) => segments.reduce(childFor, root).ends[end],
    visit: (path, visitor) => visitNode(root, path, 1, visitor),
    covering: (pattern, visit) => visitCovering(root, pattern, 0, visit),
  }
}

/** @param start where the segment below `node` begins; path.length + 1 when the path ended without a slash */
function visitNode<B>(node: Node<B>, path: string, start: number, visitor: Visit<B>): void {
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

function visitCovering<B>(node: Node<B>, pattern: PathPattern, at: number, visit: (bucket: B) => void): void {
  visit(node.ends.rest)
  if (at === pattern.segments.length) {
    if (pattern.end !== 'rest') visit(node.ends[pattern.end])
    return
  }
  const segment = pattern.segments[at]!
  const literal = segment === null ? undefined : node.literals.get(segment)
  if (literal) visitCovering(literal, pattern, at + 1, visit)
  if (node.any) visitCovering(node.any, pattern, at + 1, visit)
}
