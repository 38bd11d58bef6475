/** Changes a YAML document to hold another value, touching only the nodes that differ: comments, order and quoting stay. */
import { isDeepStrictEqual } from 'node:util'
import { Document, Pair, isAlias, isMap, isNode, isPair, isScalar, isSeq, parseDocument, visit, type Node, type ParsedNode, type YAMLMap, type YAMLSeq } from 'yaml'

/**
 * Parses YAML as Kubernetes does: version 1.1 (`yes` is true, `0644` is octal), but without its timestamps and sexagesimals.
 * @throws an Error with line and column when the text is not YAML
 */
export function parseKubernetesYaml(text: string): Document.Parsed {
  const document = parseDocument(text, {
    version: '1.1',
    customTags: (tags) => tags.filter((tag) => typeof tag === 'string' || (tag.tag !== 'tag:yaml.org,2002:timestamp' && tag.format !== 'TIME')),
  })
  const [error] = document.errors
  if (error) throw new Error(error.message.split('\n')[0]!.replace(/:$/, ''))
  return document
}

/**
 * Edits the document in place until its value is `after`.
 * @param before the document's present value
 */
export function editDocument(document: Document.Parsed, before: unknown, after: unknown): void {
  expandAliases(document)
  const contents = edit(document, document.contents, before, after)
  document.contents = contents as ParsedNode
  // Merge keys (<<) hide where a value comes from. Better to lose comments than to write another value.
  if (!isDeepStrictEqual(document.toJS(), after)) document.contents = document.createNode(after) as ParsedNode
}

/** An edit of an anchored node would change every alias of it, too: each gets its own copy. */
function expandAliases(document: Document.Parsed): void {
  let found = false
  visit(document, {
    Alias(_key, alias) {
      found = true
      const source = alias.resolve(document)
      const copy = source?.clone() as (Node & { anchor?: string }) | undefined
      if (copy) delete copy.anchor
      return copy
    },
  })
  if (found) visit(document, { Node(_key, node) { if (!isAlias(node)) delete (node as { anchor?: string }).anchor } })
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

function edit(document: Document, node: unknown, before: unknown, after: unknown): unknown {
  if (isDeepStrictEqual(before, after)) return node
  if (isMap(node) && isRecord(before) && isRecord(after)) return editMap(document, node, before, after)
  if (isSeq(node) && Array.isArray(before) && Array.isArray(after)) return editList(document, node, before, after)
  const made = document.createNode(after) as Node
  if (isNode(node)) {
    if (isScalar(node) && isScalar(made) && typeof node.value === 'string' && typeof made.value === 'string' && node.type) made.type = node.type
    keepComments(node, made)
  }
  return made
}

function keepComments(from: Node, to: Node): void {
  for (const field of ['comment', 'commentBefore', 'spaceBefore'] as const) {
    if (from[field] !== undefined) Object.assign(to, { [field]: from[field] })
  }
}

const keyOf = (pair: unknown) => (isPair(pair) ? String(isScalar(pair.key) ? pair.key.value : pair.key) : '')

function editMap(document: Document, map: YAMLMap, before: Record<string, unknown>, after: Record<string, unknown>): YAMLMap {
  map.items = map.items.filter((pair) => !Object.hasOwn(before, keyOf(pair)) || Object.hasOwn(after, keyOf(pair)))
  let position = 0
  for (const [key, value] of Object.entries(after)) {
    const index = map.items.findIndex((pair) => keyOf(pair) === key)
    if (index < 0) {
      map.items.splice(position, 0, new Pair(document.createNode(key), document.createNode(value)))
      position += 1
    } else {
      const pair = map.items[index]!
      pair.value = edit(document, pair.value, before[key], value)
      position = index + 1
    }
  }
  return map
}

const nameOf = (item: unknown) => (isRecord(item) ? item['name'] : undefined)

/** Items are the same when they are equal, have the same name, or (lists of one length, such as ports without names) stand in the same place. */
function editList(document: Document, list: YAMLSeq, before: readonly unknown[], after: readonly unknown[]): YAMLSeq {
  const nodes = [...list.items]
  const free = new Set(before.keys())
  const match = (item: unknown, place: number) => {
    const found = [...free].find((index) => isDeepStrictEqual(before[index], item))
      ?? [...free].find((index) => nameOf(item) !== undefined && nameOf(before[index]) === nameOf(item))
      ?? (before.length === after.length && free.has(place) ? place : undefined)
    if (found !== undefined) free.delete(found)
    return found
  }
  list.items = after.map((item, place) => {
    const index = match(item, place)
    return index === undefined ? document.createNode(item) : edit(document, nodes[index], before[index], item)
  })
  return list
}

/** Prints a document in the style of its source. */
export function printDocument(document: Document.Parsed, source: string): string {
  const indent = /^[^\s#-][^\n]*:[ ]*(?:#[^\n]*)?\n( +)[^\s#]/m.exec(source)?.[1]?.length
  return document.toString({
    lineWidth: 0,
    indent: indent !== undefined && indent <= 8 ? indent : 2,
    // "- " under its key without indentation, as kubectl prints it.
    indentSeq: !/^( *)(?:- )?[^\s#-][^\n]*:[ ]*(?:#[^\n]*)?\n\1- /m.test(source),
    flowCollectionPadding: !/[[{][^\s[\]{}][^\n]*[\]}]/.test(source) || /[[{] \S/.test(source),
  })
}

