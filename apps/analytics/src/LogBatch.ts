import { logLimits } from "@opsbuddy/contract/Analytics"
import type { BodyTooLarge, InvalidRequest, Issue } from "@opsbuddy/contract/Problems"
import { maxBodyInMemory } from "@opsbuddy/runtime/HttpRequests"
import { Effect, Result, type Stream } from "effect"
import * as Body from "./Body.ts"
import * as JsonArray from "./JsonArray.ts"
import * as LogText from "./LogText.ts"
import { refusal } from "./Refusal.ts"

/** More faults than these are not looked for. */
const mostIssues = 100

type Refused = InvalidRequest | BodyTooLarge

/** The entries of a request, or all that is wrong with them. Entries have an index, lines a number from 1 on. */
const make = (what: "entry" | "line") => {
  const entries: Array<LogText.NewLog> = []
  const issues: Array<Issue> = []
  let large: BodyTooLarge | undefined

  const invalid = Effect.suspend(() => {
    const [first = tooMany, ...more] = issues.slice(0, mostIssues)
    return Effect.fail(refusal(first, ...more))
  })

  return {
    add: (bytes: Uint8Array, number: number) => {
      if (large !== undefined || issues.length >= mostIssues || entries.length > logLimits.entries) return
      if (bytes.length > logLimits.lineBytes) {
        large = Body.tooLarge(`${what} ${number}`, logLimits.lineBytes)
        return
      }
      const result = LogText.decode(bytes)
      if (Result.isSuccess(result)) entries.push(result.success)
      else {
        for (const { message, path } of result.failure) {
          issues.push({
            path: ["payload", number, ...path],
            message: what === "line" ? `line ${number}: ${message}` : message
          })
        }
      }
    },
    check: Effect.suspend((): Effect.Effect<void, Refused> => {
      if (large !== undefined) return Effect.fail(large)
      if (entries.length > logLimits.entries) return Effect.fail(refusal(tooMany))
      return issues.length < mostIssues ? Effect.void : invalid
    }),
    /** Fails with this beside all that was wrong before. */
    refuse: (issue: Issue) => {
      issues.push(issue)
      return invalid
    },
    result: Effect.suspend(() => (issues.length === 0 ? Effect.succeed(entries) : invalid))
  }
}

const tooMany: Issue = { path: ["payload"], message: `Expected at most ${logLimits.entries} entries` }

/** Reads a JSON array to its end, since all of it must be valid before any of it is stored. */
export const readArray = Effect.fnUntraced(function* <E>(
  body: Stream.Stream<Uint8Array, E>
): Effect.fn.Return<ReadonlyArray<LogText.NewLog>, Refused | E> {
  const batch = make("entry")
  const array = JsonArray.make(batch.add)
  const structure = Effect.suspend((): Effect.Effect<void, Refused> => {
    const misfit = array.misfit()
    if (misfit !== undefined) return batch.refuse(JsonArray.issue(misfit))
    const { bytes, index } = array.unfinished()
    return bytes > logLimits.lineBytes ? Effect.fail(Body.tooLarge(`entry ${index}`, logLimits.lineBytes)) : Effect.void
  })
  const check = Effect.andThen(batch.check, structure)
  yield* Body.forEachSlice(body, Number(maxBodyInMemory), array.push, check)
  array.end()
  yield* check
  return yield* batch.result
})

/** Reads NDJSON to its end. Blank lines are left out, but counted. */
export const readLines = Effect.fnUntraced(function* <E>(
  body: Stream.Stream<Uint8Array, E>
): Effect.fn.Return<ReadonlyArray<LogText.NewLog>, Refused | E> {
  const batch = make("line")
  const pending = Body.pieces()
  let line = 1

  const add = (end: Uint8Array) => {
    const whole = pending.finish(end)
    const bytes = line === 1 ? Body.withoutMark(whole) : whole
    if (!isBlank(bytes)) batch.add(bytes, line)
    line++
  }
  const push = (slice: Uint8Array) => {
    let start = 0
    for (let end = slice.indexOf(newline); end !== -1; end = slice.indexOf(newline, start)) {
      add(slice.subarray(start, end))
      start = end + 1
    }
    if (start < slice.length) pending.keep(slice.subarray(start))
  }
  const length = Effect.suspend(() =>
    pending.size() > logLimits.lineBytes ? Effect.fail(Body.tooLarge(`line ${line}`, logLimits.lineBytes)) : Effect.void
  )

  yield* Body.forEachSlice(body, logLimits.bytes, push, Effect.andThen(batch.check, length))
  add(new Uint8Array())
  yield* batch.check
  return yield* batch.result
})

const newline = 0x0a

const isBlank = (bytes: Uint8Array) => bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d)
