import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiError, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authentication, RequestDecoding } from "./Identity.ts"
import { bodyProblems, problemMembers, problemPrefix, RequestId, storeProblems } from "./Problems.ts"
import { ConfigValue } from "./Utility.ts"
import { page, paging, strictRequests, Timestamp } from "./Wire.ts"

/** From the least to the most severe. */
export const LogLevel = Schema.Literals(["trace", "debug", "info", "warn", "error", "fatal"])
export type LogLevel = typeof LogLevel.Type

/** Half of a surrogate pair, which JSON can write as an escape, is no character: UTF-8 cannot hold it. */
const Text = Schema.String.check(
  Schema.makeFilter((value) => value.isWellFormed(), { expected: "text without half of a surrogate pair" })
)

const text = (maximum: number) => Text.check(Schema.isMaxLength(maximum))

const logFields = {
  level: LogLevel,
  service: text(256).check(Schema.isMinLength(1)),
  message: text(65_536),
  logger: Schema.optionalKey(text(256)),
  operation: Schema.optionalKey(text(256)),
  requestId: Schema.optionalKey(RequestId),
  traceId: Schema.optionalKey(text(64)),
  spanId: Schema.optionalKey(text(64)),
  /** Any JSON beside the message, bounded as a configuration is. Comes back character by character as it was sent. */
  data: Schema.optionalKey(ConfigValue)
}

/**
 * A line of a log as it is sent; without `timestamp` the time of arrival is taken. A time is RFC 3339 and kept to the millisecond:
 * digits beyond it are cut.
 */
export const LogInput = Schema.Struct({ timestamp: Schema.optionalKey(Timestamp), ...logFields })
export type LogInput = typeof LogInput.Type

/** What one request to `writeLogs` may bring. An entry, or line of NDJSON, has at most as many bytes as `lineBytes`. */
export const logLimits = { entries: 50_000, bytes: 64 * 1024 * 1024, lineBytes: 1024 * 1024 } as const

/** A line of a log as it is kept. */
export const LogEntry = Schema.Struct({ timestamp: Timestamp, ...logFields })
export type LogEntry = typeof LogEntry.Type

/**
 * What the gateway did with one request. Durations are in milliseconds, bytes count bodies alone, and `status` is what
 * the client got. `cause` is there when the gateway answered itself, and is the name of the problem.
 */
export const RequestRecord = Schema.Struct({
  requestId: RequestId,
  timestamp: Timestamp,
  method: Text,
  path: Text,
  /** The name of the gateway's route, or `none`. */
  route: Text,
  /** The upstream that the route leads to; the gateway itself where it leads to none. */
  service: Text,
  target: Schema.optionalKey(Text),
  status: Schema.Int,
  cause: Schema.optionalKey(Text),
  requestBytes: Schema.optionalKey(Schema.Int),
  responseBytes: Schema.optionalKey(Schema.Int),
  durationMillis: Schema.Finite,
  upstreamMillis: Schema.optionalKey(Schema.Finite),
  client: Schema.optionalKey(Text),
  traceId: Schema.optionalKey(Text)
})
export type RequestRecord = typeof RequestRecord.Type

/** As many records as one request to `writeRequests` may bring. */
export const mostRecords = 50_000

/** As many routes as `metrics` tells of. */
export const mostRoutes = 5000

/** What a request to `writeRequests` brings. */
export const RequestRecords = Schema.Array(RequestRecord).check(Schema.isMaxLength(mostRecords))

/**
 * Everything known about one request. Logs are oldest first, at most 1000 and at most some 4 MiB of text; where the request has more
 * of them, `truncated` is true, and `GET /logs` with `requestId` lists all.
 */
export const RequestStory = Schema.Struct({
  request: RequestRecord,
  logs: Schema.Array(LogEntry),
  truncated: Schema.optionalKey(Schema.Boolean)
})
export type RequestStory = typeof RequestStory.Type

/** Figures of one route of one service. Percentiles are of the duration, in milliseconds; errors are answers of 500 and above. */
export const RouteMetrics = Schema.Struct({
  service: Schema.String,
  route: Schema.String,
  requests: Schema.Int,
  errors: Schema.Int,
  p50: Schema.Finite,
  p95: Schema.Finite,
  p99: Schema.Finite
})
export type RouteMetrics = typeof RouteMetrics.Type

export const Accepted = Schema.Struct({ accepted: Schema.Int })

export class RequestNotFound extends HttpApiError.Problem<RequestNotFound>()(
  "RequestNotFound",
  { type: `${problemPrefix}request-not-found`, status: 404, title: "No record of this request" },
  { ...problemMembers, id: RequestId }
) {}

/** The time that a question is about: `from` is inside, `to` is outside. */
const range = { from: Schema.optionalKey(Timestamp), to: Schema.optionalKey(Timestamp) }

export class AnalyticsApi extends HttpApiGroup.make("analytics")
  .add(
    /**
     * Stores all entries or, when one of them is not valid, none; acknowledged when they are on disk. What is wrong is named by
     * `payload`, the index of the entry (NDJSON: the number of the line, from 1, blank lines counted) and the field.
     */
    HttpApiEndpoint.post("writeLogs", "/logs", {
      payload: [
        Schema.Array(LogInput).check(Schema.isMaxLength(logLimits.entries)),
        HttpApiSchema.StreamNdjson({
          schema: LogInput,
          contentType: ["application/x-ndjson", "application/jsonl"],
          maxBytes: logLimits.bytes,
          maxElementBytes: logLimits.lineBytes
        })
      ],
      success: Accepted,
      error: [...bodyProblems, ...storeProblems]
    }),
    /** Newest first. A page has `limit` entries, or fewer where they are large: some 4 MiB of text, and at least one entry. */
    HttpApiEndpoint.get("listLogs", "/logs", {
      query: {
        ...paging,
        ...range,
        /** This level and all more severe ones. */
        level: Schema.optionalKey(LogLevel),
        service: Schema.optionalKey(Schema.String),
        /** Part of the message, case-insensitive. */
        text: Schema.optionalKey(Schema.String),
        requestId: Schema.optionalKey(RequestId)
      },
      success: page(LogEntry),
      error: storeProblems
    }),
    /** Takes the gateway's records; one that is already there (same id and time) is not stored twice. */
    HttpApiEndpoint.post("writeRequests", "/requests", {
      payload: RequestRecords,
      success: Accepted,
      error: [...bodyProblems, ...storeProblems]
    }),
    HttpApiEndpoint.get("request", "/requests/:id", {
      params: { id: RequestId },
      success: RequestStory,
      error: [RequestNotFound, ...storeProblems]
    }),
    /**
     * Without `from` the last hour up to `to`; without `to` up to now. Sorted by service and route. Where there are more than 5000
     * of them, these are the ones with the most requests, and `truncated` is true.
     */
    HttpApiEndpoint.get("metrics", "/metrics", {
      query: { ...range, service: Schema.optionalKey(Schema.String) },
      success: Schema.Struct({
        from: Timestamp,
        to: Timestamp,
        items: Schema.Array(RouteMetrics),
        truncated: Schema.optionalKey(Schema.Boolean)
      }),
      error: storeProblems
    })
  )
  .prefix("/api/analytics")
  .middleware(Authentication)
  .middleware(RequestDecoding)
  .annotateMerge(strictRequests)
  .annotateMerge(OpenApi.annotations({ title: "Analytics", description: "Logs, request records and metrics" })) {}
