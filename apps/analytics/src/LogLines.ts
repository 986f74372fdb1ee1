import { isUtf8 } from "node:buffer"
import { LogInput, logLimits } from "@opsbuddy/contract/Analytics"
import { BodyTooLarge, type InvalidRequest, type Issue } from "@opsbuddy/contract/Problems"
import { strict } from "@opsbuddy/contract/Wire"
import { Effect, Result, Schema, SchemaIssue, Stream } from "effect"
import { refusal } from "./Refusal.ts"

/** More faults than these are not looked for. */
const mostIssues = 100

const decodeLine = Schema.decodeUnknownResult(Schema.fromJsonString(LogInput), strict)
const format = SchemaIssue.makeFormatterStandardSchemaV1()
const decoder = new TextDecoder()

/**
 * Reads NDJSON to its end, since all of it must be valid before any of it is stored. Fails with every fault, each with the
 * number of its line: effect's own decoding of NDJSON does not tell the line. Blank lines are left out.
 */
export const read = Effect.fnUntraced(function* <E, R>(
  body: Stream.Stream<Uint8Array, E, R>
): Effect.fn.Return<ReadonlyArray<LogInput>, InvalidRequest | BodyTooLarge | E, R> {
  const entries: Array<LogInput> = []
  const issues: Array<Issue> = []
  let bytes = 0
  let line = 0
  let pending: Array<Uint8Array> = []
  let pendingBytes = 0
  let longest = 0

  const check = Effect.suspend((): Effect.Effect<void, InvalidRequest | BodyTooLarge> => {
    if (bytes > logLimits.bytes) return Effect.fail(tooLarge("the body", logLimits.bytes))
    if (Math.max(longest, pendingBytes) > logLimits.lineBytes) {
      return Effect.fail(tooLarge("a line", logLimits.lineBytes))
    }
    if (entries.length > logLimits.entries) return Effect.fail(refusal(tooMany))
    return issues.length < mostIssues ? Effect.void : invalid(issues)
  })

  const add = (end: Uint8Array) => {
    line++
    const whole = pending.length === 0 ? end : Buffer.concat([...pending, end])
    pending = []
    pendingBytes = 0
    longest = Math.max(longest, whole.length)
    const result = decode(whole, line)
    if (Result.isFailure(result)) issues.push(...result.failure)
    else if (result.success !== undefined) entries.push(result.success)
  }

  const addAll = (chunk: Uint8Array) => {
    bytes += chunk.length
    let start = 0
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      add(chunk.subarray(start, end))
      start = end + 1
    }
    if (start === chunk.length) return
    // A copy, because the chunk may be used again for what comes next.
    pending.push(chunk.slice(start))
    pendingBytes += chunk.length - start
  }

  yield* Stream.runForEach(body, (chunk) => {
    addAll(chunk)
    return check
  })
  add(new Uint8Array())
  yield* check
  return issues.length === 0 ? entries : yield* invalid(issues)
})

const newline = 0x0a

/** Answers nothing for a blank line. */
const decode = (bytes: Uint8Array, line: number): Result.Result<LogInput | undefined, ReadonlyArray<Issue>> => {
  if (!isUtf8(bytes)) return Result.fail([{ path: ["payload", line], message: `line ${line}: Expected UTF-8` }])
  const text = decoder.decode(bytes)
  if (text.trim() === "") return Result.succeed(undefined)
  return Result.mapError(decodeLine(text), (error) =>
    format(error.issue).issues.map(({ message, path = [] }) => ({
      path: ["payload", line, ...path.map(segment)],
      message: `line ${line}: ${message}`
    }))
  )
}

const segment = (part: PropertyKey | { readonly key: PropertyKey }) => {
  const key = typeof part === "object" ? part.key : part
  return typeof key === "number" ? key : String(key)
}

const tooMany: Issue = { path: ["payload"], message: `Expected at most ${logLimits.entries} entries` }

const tooLarge = (what: string, limit: number) =>
  new BodyTooLarge({ detail: `${what} has more than ${limit} bytes`, limit })

const invalid = (issues: ReadonlyArray<Issue>) => {
  const [first = tooMany, ...more] = issues.slice(0, mostIssues)
  return Effect.fail(refusal(first, ...more))
}
