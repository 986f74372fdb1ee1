import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  Parser
} from "yaml"
import { type Entry, type Located, type Origin, type Path, showPath } from "./Located.ts"
import { limit, type Mistake } from "./Mistake.ts"

/** The text of a file, and the name that mistakes show it under. */
export interface Source {
  readonly text: string
  readonly file: string
}

export const maxBytes = 1024 * 1024
export const tooLarge = `is larger than ${maxBytes / 1024 / 1024} MiB`

/** Mappings and lists in each other. The deepest setting lies under six. */
const maxDepth = 32
/** Aliases that are followed, counted each time, so that aliases of aliases cannot multiply. */
const maxAliases = 100

/** `root` is `undefined` when nothing more can be said about the file than that its notation is wrong. */
export interface Parsed {
  readonly root: Located | undefined
  readonly mistakes: ReadonlyArray<Mistake>
}

/**
 * Reads YAML 1.2, with the place of every part, in the `core` schema: `off` and `no` are text. Anchors and aliases are
 * known, merge keys and tags are not. An empty file is an empty mapping.
 */
export const parse = ({ file, text: whole }: Source): Parsed => {
  const text = whole.startsWith("\uFEFF") ? whole.slice(1) : whole
  const lines = new LineCounter()
  for (let start = 0; start !== 0 || lines.lineStarts.length === 0; start = text.indexOf("\n", start) + 1) {
    lines.addNewLine(start)
  }
  const origin = (offset: number): Origin & { from: "file" } => {
    const { col, line } = lines.linePos(Math.min(Math.max(offset, 0), text.length))
    return { from: "file", line, column: col }
  }
  const mistakes: Array<Mistake> = []
  const report = (offset: number, reason: string, path: Path = []) => {
    if (mistakes.length === limit) return
    const { column, line } = origin(offset)
    mistakes.push({ file, line, column, path: showPath(path), reason })
  }

  if (Buffer.byteLength(text) > maxBytes) {
    report(0, tooLarge)
    return { root: undefined, mistakes }
  }
  const document = compose(text, report)
  if (document === undefined || mistakes.length > 0) return { root: undefined, mistakes }
  const root = locate(document.contents, { origin, report })
  return { root, mistakes }
}

type Report = (offset: number, reason: string, path?: Path) => void

const compose = (text: string, report: Report): Document.Parsed | undefined => {
  const tokens = tokenize(text, report)
  if (tokens === undefined) return undefined
  // Keys are checked in `locate`, where that takes no time that grows with the square of their number.
  const composer = new Composer({ uniqueKeys: false, prettyErrors: false, resolveKnownTags: false })
  const [document, second] = composer.compose(tokens, true, text.length)
  if (second !== undefined) report(second.range[0], "is a second document: a file holds one")
  for (const { message, pos } of [...(document?.errors ?? []), ...(document?.warnings ?? [])].slice(0, limit)) {
    report(pos[0], `is not YAML: ${message}`)
  }
  return document
}

/** Stops where the nesting is too deep, before anything that calls itself for each level is run. */
const tokenize = (text: string, report: Report): Array<CST.Token> | undefined => {
  const parser = new Parser()
  const tokens: Array<CST.Token> = []
  for (const lexeme of new Lexer().lex(text)) {
    tokens.push(...parser.next(lexeme))
    if (parser.stack.length <= maxDepth) continue
    report(parser.offset, `is nested in more than ${maxDepth} levels`)
    return undefined
  }
  tokens.push(...parser.end())
  return tokens
}

interface Walk {
  readonly origin: (offset: number) => Origin
  readonly report: Report
}

/** `undefined` where an alias stands for nothing: the same would be told again as a missing value. */
const locate = (contents: Node | null, { origin, report }: Walk): Located | undefined => {
  const anchors = new Map<string, Node>()
  const open = new Set<Node>()
  let aliases = 0
  let isComplete = true

  const visit = (node: unknown, path: Path, offset: number): Located => {
    if (isAlias(node)) return follow(node, path)
    if (!isScalar(node) && !isMap(node) && !isSeq(node)) {
      return { kind: "scalar", value: null, at: origin(offset) }
    }
    const start = node.range?.[0] ?? offset
    const at = origin(start)
    if (node.anchor !== undefined) anchors.set(node.anchor, node)
    if (isScalar(node)) return { kind: "scalar", value: scalar(node.value), at }
    open.add(node)
    const value: Located = isSeq(node)
      ? { kind: "list", items: node.items.map((item, index) => visit(item, [...path, index], start)), at }
      : { kind: "map", entries: entries(node.items, path, start), at }
    open.delete(node)
    return value
  }

  const follow = (node: Node & { readonly source: string }, path: Path): Located => {
    const start = node.range?.[0] ?? 0
    const target = anchors.get(node.source)
    if (target !== undefined && !open.has(target) && ++aliases <= maxAliases) return visit(target, path, start)
    isComplete = false
    if (target === undefined) report(start, `has no anchor &${node.source} before it`, path)
    else if (open.has(target)) report(start, "is an alias of what it is a part of", path)
    else if (aliases === maxAliases + 1) report(start, `is one of more than ${maxAliases} aliases`, path)
    return { kind: "scalar", value: null, at: origin(start) }
  }

  const entries = (
    pairs: ReadonlyArray<{ readonly key: unknown; readonly value: unknown }>,
    path: Path,
    offset: number
  ): ReadonlyMap<string, Entry> => {
    const found = new Map<string, Entry>()
    for (const { key, value } of pairs) {
      const start = (isScalar(key) || isMap(key) || isSeq(key) || isAlias(key) ? key.range?.[0] : undefined) ?? offset
      if (!isScalar(key) || typeof key.value !== "string") {
        report(start, "has a key that is not text: put it in quotes", path)
        continue
      }
      const here = [...path, key.value]
      const before = found.get(key.value)
      if (key.value === "<<" && key.type === "PLAIN") {
        report(start, "is a merge key, which is not known here: an alias stands for a whole value", here)
      } else if (before?.key.from === "file") {
        report(start, `is there already, in line ${before.key.line}`, here)
      } else {
        found.set(key.value, { key: origin(start), value: visit(value, here, start) })
      }
    }
    return found
  }

  if (contents === null || (isScalar(contents) && contents.value === null && contents.source === "")) {
    return { kind: "map", entries: new Map(), at: origin(0) }
  }
  const root = visit(contents, [], 0)
  return isComplete ? root : undefined
}

/** Without tags the core schema gives nothing else. */
const scalar = (value: unknown) =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : null
