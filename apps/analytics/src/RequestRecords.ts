import { mostRecords, RequestRecord, RequestRecords } from "@opsbuddy/contract/Analytics"
import { type RequestId, requestIdPattern } from "@opsbuddy/contract/Problems"
import { strict } from "@opsbuddy/contract/Wire"
import { contentTypeOf } from "@opsbuddy/runtime/HttpProblems"
import { DateTime, Effect, Schema, SchemaIssue } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiError } from "effect/http-api"

/**
 * The body of `writeRequests`, read and answered as effect does it for the schema. Fails with the answer where the content
 * type is not JSON.
 */
export const read = Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest) {
  if ((contentTypeOf(request) ?? json) !== json) return yield* Effect.fail(HttpServerResponse.empty({ status: 415 }))
  const text = yield* Effect.orDie(request.text)
  return yield* HttpApiError.HttpApiSchemaError.wrap("Payload", decode(text)).pipe(Effect.orDie)
})

const json = "application/json"

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

const isText = (value: unknown) => typeof value === "string"

const members: Record<keyof RequestRecord, (value: unknown) => boolean> = {
  requestId: (value) => typeof value === "string" && requestIdPattern.test(value),
  timestamp: (value) => typeof value === "string" && usualTime.test(value) && !Number.isNaN(Date.parse(value)),
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
const usualTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

const required = Object.entries(RequestRecord.fields).flatMap(([name, field]) =>
  field.ast.context?.isOptional === true ? [] : [name]
)
