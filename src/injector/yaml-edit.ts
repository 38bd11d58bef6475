/** Changes a YAML document to hold another value, touching only the nodes that differ: comments, order and quoting stay. */
import { isDeepStrictEqual } from 'node:util'
import { Document, Pair, isAlias, isMap, isNode, isPair, isScalar, isSeq, parseDocument, stringify, visit, type Node, type ParsedNode, type YAMLMap, type YAMLSeq } from 'yaml'

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
 * The document's text with another value. The document is used up.
 * @param source the text it was parsed from
 * @param before the document's present value
 */
export function editDocument(document: Document.Parsed, source: string, before: unknown, after: unknown): string {
  expandAliases(document)
  const touched = new Set<unknown>()
  document.contents = edit({ document, touched }, document.contents, before, after) as ParsedNode
  // Merge keys (<<) hide where a value comes from. Better to lose comments than to write another value.
  if (!isDeepStrictEqual(document.toJS(), after)) document.contents = document.createNode(after) as ParsedNode
  else keepFlowStyle(document, source, touched)
  return print(document, source)
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

interface Editing {
  readonly document: Document
  /** Nodes in which something changed. */
  readonly touched: Set<unknown>
}

function edit(editing: Editing, node: unknown, before: unknown, after: unknown): unknown {
  if (isDeepStrictEqual(before, after)) return node
  editing.touched.add(node)
  if (isMap(node) && isRecord(before) && isRecord(after)) return editMap(editing, node, before, after)
  if (isSeq(node) && Array.isArray(before) && Array.isArray(after)) return editList(editing, node, before, after)
  const made = editing.document.createNode(after) as Node
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

function editMap(editing: Editing, map: YAMLMap, before: Record<string, unknown>, after: Record<string, unknown>): YAMLMap {
  map.items = map.items.filter((pair) => !Object.hasOwn(before, keyOf(pair)) || Object.hasOwn(after, keyOf(pair)))
  let position = 0
  for (const [key, value] of Object.entries(after)) {
    const index = map.items.findIndex((pair) => keyOf(pair) === key)
    if (index < 0) {
      map.items.splice(position, 0, new Pair(editing.document.createNode(key), editing.document.createNode(value)))
      position += 1
    } else {
      const pair = map.items[index]!
      pair.value = edit(editing, pair.value, before[key], value)
      position = index + 1
    }
  }
  return map
}

const nameOf = (item: unknown) => (isRecord(item) ? item['name'] : undefined)

/** Items are the same when they are equal, have the same name, or (lists of one length, such as ports without names) stand in the same place. */
function editList(editing: Editing, list: YAMLSeq, before: readonly unknown[], after: readonly unknown[]): YAMLSeq {
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
    return index === undefined ? editing.document.createNode(item) : edit(editing, nodes[index], before[index], item)
  })
  return list
}

/** Flow collections ({} and []) are printed as they were: the library has one style for all of them. */
function keepFlowStyle(document: Document, source: string, touched: ReadonlySet<unknown>): void {
  visit(document, {
    Collection(_key, node) {
      if (!node.flow || !node.range) return undefined
      const text = flowText(node, source, touched)
      if (text !== undefined) node.toString = () => text
      return visit.SKIP
    },
  })
}

/** Simple words are bare; anything else is quoted: kubectl's YAML reader takes no `?` in a bare word between braces, for one. */
function madeInFlow(node: unknown): string {
  const options = { version: '1.1', collectionStyle: 'flow', defaultKeyType: 'PLAIN', lineWidth: 0 } as const
  const bare = isScalar(node) ? stringify(node, options).trimEnd() : ''
  return /^[\w./-]+$/.test(bare) ? bare : stringify(node, { ...options, defaultStringType: 'QUOTE_DOUBLE' }).trimEnd()
}

/** @returns undefined where lines or comments make it more than a matter of spaces */
function flowText(node: unknown, source: string, touched: ReadonlySet<unknown>): string | undefined {
  const range = isNode(node) ? node.range : undefined
  const own = range ? source.slice(range[0], range[1]) : undefined
  if (own !== undefined && !touched.has(node)) return own
  if (own === undefined || !(isMap(node) || isSeq(node))) return madeInFlow(node)
  if (/[\n#]/.test(own)) return undefined
  const space = /^.\s/.test(own) || node.items.length === 0 ? ' ' : ''
  const items = node.items.map((item) => (isPair(item) ? pairText(item, source, touched) : flowText(item, source, touched)))
  if (items.includes(undefined)) return undefined
  const [open, close] = isMap(node) ? '{}' : '[]'
  return items.length === 0 ? `${open}${close}` : `${open}${space}${items.join(', ')}${space}${close}`
}

function pairText({ key, value }: Pair, source: string, touched: ReadonlySet<unknown>): string | undefined {
  const text = flowText(value, source, touched)
  return text === undefined ? undefined : `${flowText(key, source, touched)}: ${text}`
}

/** Prints a document in the style of its source. */
function print(document: Document.Parsed, source: string): string {
  const indent = /^[^\s#-][^\n]*:[ ]*(?:#[^\n]*)?\n( +)[^\s#]/m.exec(source)?.[1]?.length
  return document.toString({
    lineWidth: 0,
    indent: indent !== undefined && indent <= 8 ? indent : 2,
    // "- " under its key without indentation, as kubectl prints it.
    indentSeq: !/^( *)(?:- )?[^\s#-][^\n]*:[ ]*(?:#[^\n]*)?\n\1- /m.test(source),
  })
}
