import { isUtf8 } from "node:buffer"
import type { Issue } from "@opsbuddy/contract/Problems"
import { isTooDeep, message as tooDeep } from "@opsbuddy/runtime/JsonDepth"
import { Result, type Schema, SchemaIssue } from "effect"

const format = SchemaIssue.makeFormatterStandardSchemaV1()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

const misfit = (message: string) => Result.fail([{ path: [], message }])

/** The text of one element of a body; what is wrong with it has a path that begins in it. */
export const text = (bytes: Uint8Array): Result.Result<string, ReadonlyArray<Issue>> => {
  if (!isUtf8(bytes)) return misfit("Expected UTF-8")
  const text = decoder.decode(bytes)
  return isTooDeep(text) ? misfit(tooDeep) : Result.succeed(text)
}

export const parseText = (text: string): Result.Result<unknown, ReadonlyArray<Issue>> => {
  try {
    return Result.succeed(JSON.parse(text))
  } catch {
    return misfit("Expected valid JSON")
  }
}

export const parse = (bytes: Uint8Array) => Result.flatMap(text(bytes), parseText)

export const issues = (error: Schema.SchemaError): ReadonlyArray<Issue> =>
  format(error.issue).issues.map(({ message, path = [] }) => ({ path: path.map(segment), message }))

const segment = (part: PropertyKey | { readonly key: PropertyKey }) => {
  const key = typeof part === "object" ? part.key : part
  return typeof key === "number" ? key : String(key)
}
