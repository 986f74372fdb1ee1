import { SchemaAST, type SchemaIssue } from "effect"
import { find, type Located, type Origin, type Path, showPath } from "./Located.ts"

/** What is wrong in a configuration file, and where. `line` and `column` count from 1, `path` is empty for all of it. */
export interface Mistake {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly path: string
  readonly reason: string
}

/** More than this many are not told. */
export const limit = 100

/** One mistake as a line, in the form that editors jump to. */
export const show = ({ column, file, line, path, reason }: Mistake) =>
  `${file}:${line}:${column} ${path === "" ? "" : `${path}: `}${reason}`

/** What is wrong at a path of a document. `at` is the value, or the key where the setting itself is the mistake. */
export interface Fault {
  readonly from: "built-in" | "file"
  readonly path: Path
  readonly at: "value" | "key"
  readonly reason: string
}

/** Gives faults their places. */
export const place = (
  faults: ReadonlyArray<Fault>,
  roots: Readonly<Record<Fault["from"], Located>>,
  file: string
): ReadonlyArray<Mistake> =>
  faults.map(({ at, from, path, reason }) => {
    const found = find(roots[from], path)
    const name = from === "file" ? file : "built-in"
    return { file: name, ...position(at === "key" ? found.key : found.at), path: showPath(path), reason }
  })

/** In the order of the file, each once, and not more than the limit. */
export const ordered = (mistakes: ReadonlyArray<Mistake>): ReadonlyArray<Mistake> => {
  const distinct = new Map(mistakes.map((mistake) => [show(mistake), mistake]))
  return [...distinct.values()].sort((a, b) => a.line - b.line || a.column - b.column).slice(0, limit)
}

/** What was not read from a file has no place in it: the first is shown. */
const position = (origin: Origin) =>
  origin.from === "file" ? { line: origin.line, column: origin.column } : { line: 1, column: 1 }

/** Says what an issue of a schema means to someone who writes the file. `root` is what was decoded. */
export const faultsOf = (issue: SchemaIssue.Issue, root: Located, from: Fault["from"]): ReadonlyArray<Fault> => {
  const visit = (issue: SchemaIssue.Issue, path: Path): ReadonlyArray<Fault> => {
    const fault = (reason: string, at: Fault["at"] = "value") => [{ from, path, at, reason }]
    switch (issue._tag) {
      case "Pointer":
        return visit(issue.issue, [
          ...path,
          ...issue.path.map((step) => (typeof step === "number" ? step : String(step)))
        ])
      case "Composite":
        // What fails one check of a value usually fails others too.
        return issue.issues[0]._tag === "Filter"
          ? visit(issue.issues[0], path)
          : issue.issues.flatMap((inner) => visit(inner, path))
      case "Encoding":
        return visit(issue.issue, path)
      case "AnyOf": {
        // Only the alternatives of the value's own type are there.
        const [only, ...others] = issue.issues
        if (only !== undefined && others.length === 0) return visit(only, path)
        return wrongType(issue.ast, root, path, fault)
      }
      case "InvalidType":
        return wrongType(issue.ast, root, path, fault)
      case "Filter":
        return fault(messageOf(issue))
      case "MissingKey":
        return fault("is required")
      case "UnexpectedKey":
        return fault(unknownKey(issue.ast, String(path.at(-1))), "key")
      case "InvalidValue":
      case "Forbidden":
      case "OneOf":
        return fault("is not valid")
    }
  }
  return visit(issue, [])
}

const messageOf = ({ filter, issue }: SchemaIssue.Filter) => {
  const said = issue._tag === "InvalidValue" ? issue.annotations?.message : undefined
  if (typeof said === "string") return said
  const expected = filter.annotations?.expected
  return typeof expected === "string" ? `must be ${expected.replace(/^a value /, "")}` : "is not valid"
}

const wrongType = (
  ast: SchemaAST.AST,
  root: Located,
  path: Path,
  fault: (reason: string, at?: Fault["at"]) => ReadonlyArray<Fault>
) => {
  const { value } = find(root, path)
  const expected = `must be ${expectedOf(ast)}`
  if (value?.kind !== "scalar") return fault(value === undefined ? expected : `${expected}, not ${kindOf(value)}`)
  if (value.value === null) return fault("has no value: give it one, or leave the setting out", "key")
  const isPlain = typeof value.value !== "string"
  return fault(
    isPlain && SchemaAST.isString(ast)
      ? `${expected}: put ${value.value} in quotes`
      : `${expected}, not ${kindOf(value)}`
  )
}

const kindOf = (value: Located) => {
  if (value.kind === "list") return "a list"
  if (value.kind === "map") return "a mapping"
  if (typeof value.value === "string") return JSON.stringify(value.value.slice(0, 60))
  return String(value.value)
}

const expectedOf = (ast: SchemaAST.AST): string => {
  if (SchemaAST.isString(ast)) return "text"
  if (SchemaAST.isNumber(ast)) return "a number"
  if (SchemaAST.isBoolean(ast)) return "true or false"
  if (SchemaAST.isLiteral(ast)) return String(ast.literal)
  if (SchemaAST.isArrays(ast)) return "a list"
  if (SchemaAST.isObjects(ast)) return "a mapping"
  if (!SchemaAST.isUnion(ast)) return "something else"
  const expected = [...new Set(ast.types.map(expectedOf))]
  return expected.length === 1
    ? String(expected[0])
    : `${expected.slice(0, -1).join(", ")} or ${String(expected.at(-1))}`
}

const unknownKey = (ast: SchemaAST.AST, key: string) => {
  if (!SchemaAST.isObjects(ast)) return "is not known"
  const [index] = ast.indexSignatures
  const expected = index?.parameter.checks?.[0].annotations?.expected
  if (index !== undefined) return `must be called by ${typeof expected === "string" ? expected : "another name"}`
  const known = ast.propertySignatures.map(({ name }) => String(name))
  return `is not a setting; ${suggest(key, known, "here are")}`
}

/** What a misspelt name was probably meant to be, or some of those that there are. */
export const suggest = (name: string, known: ReadonlyArray<string>, introduction: string) => {
  const [closest] = known
    .slice(0, 500)
    .map((candidate) => ({ candidate, letters: distance(candidate.toLowerCase(), name.toLowerCase()) }))
    .filter(({ candidate, letters }) => letters <= Math.max(1, Math.floor(candidate.length / 3)))
    .sort((a, b) => a.letters - b.letters)
  if (closest !== undefined) return `did you mean ${closest.candidate}?`
  return `${introduction} ${known.slice(0, 20).join(", ")}${known.length > 20 ? ", ..." : ""}`
}

/** Letters to insert, delete or replace; names of settings are short. */
const distance = (from: string, to: string): number => {
  if (Math.abs(from.length - to.length) > 8) return Number.POSITIVE_INFINITY
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1]
    for (let j = 1; j <= to.length; j++) {
      const above = row[j] ?? 0
      const diagonal = row[j - 1] ?? 0
      next.push(Math.min(above + 1, (next[j - 1] ?? 0) + 1, diagonal + (letter === to[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
