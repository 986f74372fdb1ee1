import { mostRecords, RequestRecord, RequestRecords } from "@opsbuddy/contract/Analytics"
import {
  type BodyTooLarge,
  type InvalidRequest,
  type Issue,
  type RequestId,
  requestIdPattern
} from "@opsbuddy/contract/Problems"
import { parseTimestamp } from "@opsbuddy/contract/Timestamp"
import { strict } from "@opsbuddy/contract/Wire"
import { contentTypeOf } from "@opsbuddy/runtime/HttpProblems"
import { maxBodyInMemory } from "@opsbuddy/runtime/HttpRequests"
import { DateTime, Effect, Result, Schema, SchemaIssue, type Stream } from "effect"
import type { HttpServerRequest } from "effect/http"
import { HttpApiError } from "effect/http-api"
import * as Body from "./Body.ts"
import * as JsonArray from "./JsonArray.ts"
import * as JsonElement from "./JsonElement.ts"
import { refusal } from "./Refusal.ts"

export const isJson = (request: HttpServerRequest.HttpServerRequest) => (contentTypeOf(request) ?? json) === json

const json = "application/json"

/** A body of up to so many bytes, as gateways send them, is parsed at once, which takes a few milliseconds. */
const wholeBytes = 512 * 1024

/** The body of `writeRequests`, read and refused as effect does it for the schema. */
export const read = (request: HttpServerRequest.HttpServerRequest) =>
  Number(request.headers["content-length"] ?? Number.POSITIVE_INFINITY) <= wholeBytes
    ? readWhole(request)
    : readSlices(Body.of(request))

const readWhole = (request: HttpServerRequest.HttpServerRequest) =>
  Effect.flatMap(Effect.orDie(request.text), (text) =>
    HttpApiError.HttpApiSchemaError.wrap("Payload", decode(text)).pipe(Effect.orDie)
  )

const decode = (text: string): Effect.Effect<ReadonlyArray<RequestRecord>, Schema.SchemaError> => {
  try {
    const records: unknown = text === "" ? undefined : JSON.parse(text)
    const usual = decodeUsual(records)
    return usual === undefined ? decodeAny(records) : Effect.succeed(usual)
  } catch {
    return Effect.fail(new Schema.SchemaError(new SchemaIssue.InvalidValue({ message: "Expected a valid JSON body" })))
  }
}

const decodeAny = Schema.decodeUnknownEffect(RequestRecords, strict)

/** More faults than these are not looked for. */
const mostIssues = 100

const readSlices = Effect.fnUntraced(function* <E>(
  body: Stream.Stream<Uint8Array, E>
): Effect.fn.Return<ReadonlyArray<RequestRecord>, InvalidRequest | BodyTooLarge | E> {
  const records: Array<RequestRecord> = []
  const issues: Array<Issue> = []
  const array = JsonArray.make((bytes, index) => {
    if (issues.length >= mostIssues || index >= mostRecords) return
    const record = decodeOne(bytes)
    if (Result.isSuccess(record)) records.push(record.success)
    else issues.push(...record.failure.map(({ message, path }) => ({ path: ["payload", index, ...path], message })))
  })
  const check = Effect.suspend((): Effect.Effect<void, InvalidRequest | BodyTooLarge> => {
    const misfit = array.misfit()
    const { bytes, index } = array.unfinished()
    if (bytes > wholeBytes) return Effect.fail(Body.tooLarge(`record ${index}`, wholeBytes))
    if (index > mostRecords) issues.unshift({ path: ["payload"], message: `Expected at most ${mostRecords} records` })
    if (misfit !== undefined) issues.push(JsonArray.issue(misfit))
    const [first, ...more] = issues
    const isOver = misfit !== undefined || index > mostRecords || issues.length >= mostIssues
    return isOver && first !== undefined ? Effect.fail(refusal(first, ...more.slice(0, mostIssues - 1))) : Effect.void
  })
  yield* Body.forEachSlice(body, Number(maxBodyInMemory), array.push, check)
  array.end()
  yield* check
  const [first, ...more] = issues
  return first === undefined ? records : yield* refusal(first, ...more)
})

const decodeOne = (bytes: Uint8Array): Result.Result<RequestRecord, ReadonlyArray<Issue>> =>
  Result.flatMap(JsonElement.parse(bytes), (json) => {
    const [usual] = decodeUsual([json]) ?? []
    return usual === undefined
      ? Result.mapError(decodeRecord(json), (error) => JsonElement.issues(error))
      : Result.succeed(usual)
  })

const decodeRecord = Schema.decodeUnknownResult(RequestRecord, strict)

/**
 * Decodes records as the schema does, or gives `undefined` when one of them is not as gateways write it: whatever may be
 * wrong then is the schema's to say. The schema takes longer for a record than all that comes after.
 */
export const decodeUsual = (records: unknown): ReadonlyArray<RequestRecord> | undefined => {
  if (!Array.isArray(records) || records.length > mostRecords) return undefined
  const decoded: Array<RequestRecord> = []
  for (const record of records) {
    if (!isUsual(record)) return undefined
    decoded.push({ ...record, timestamp: DateTime.makeUnsafe(Date.parse(record.timestamp)) })
  }
  return decoded
}

const isUsual = (record: unknown): record is typeof RequestRecord.Encoded & { readonly requestId: RequestId } => {
  if (!isObject(record)) return false
  for (const name in record) if (memberTests.get(name)?.(record[name]) !== true) return false
  return required.every((name) => name in record)
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null

const isText = (value: unknown) => typeof value === "string" && value.isWellFormed()

const members: Record<keyof RequestRecord, (value: unknown) => boolean> = {
  requestId: (value) => typeof value === "string" && requestIdPattern.test(value),
  timestamp: (value) => typeof value === "string" && usualTime.test(value) && isDay(value),
  method: isText,
  path: isText,
  route: isText,
  service: isText,
  target: isText,
  status: Number.isSafeInteger,
  cause: isText,
  requestBytes: Number.isSafeInteger,
  responseBytes: Number.isSafeInteger,
  durationMillis: Number.isFinite,
  upstreamMillis: Number.isFinite,
  client: isText,
  traceId: isText
}
const memberTests = new Map(Object.entries(members))

/** As `Date.prototype.toISOString` writes it. */
const usualTime = /^\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/

/** `Date.parse` takes a day that a month does not have for one of the next month; up to the 28th it is right, and faster. */
const isDay = (time: string) =>
  time.slice(8, 10) <= "28" ? !Number.isNaN(Date.parse(time)) : parseTimestamp(time) !== undefined

const required = Object.entries(RequestRecord.fields).flatMap(([name, field]) =>
  field.ast.context?.isOptional === true ? [] : [name]
)
