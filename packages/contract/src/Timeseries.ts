import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiError, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authentication, RequestDecoding } from "./Identity.ts"
import { bodyProblems, problemMembers, problemPrefix, storeProblems } from "./Problems.ts"
import { strictRequests } from "./Wire.ts"

const Name = Schema.String.check(Schema.isBetweenLength(1, 256))

/**
 * A moment: RFC 3339 with up to nine digits of a second, integer nanoseconds since 1970 as a string, `now`, or a duration
 * before or after now such as `-1h` or `+5m` (units ns us ms s m h d w).
 */
export const Moment = Schema.NonEmptyString

/** A length of time: an integer and one of ns us ms s m h d w, such as `5m`. */
export const Window = Schema.String.check(
  Schema.isPattern(/^[1-9][0-9]{0,17}(ns|us|ms|s|m|h|d|w)$/, { expected: "a duration such as 30s, 5m or 1h" })
)

export const Aggregate = Schema.Literals(["mean", "sum", "min", "max", "count", "first", "last"])
export type Aggregate = typeof Aggregate.Type

/** A column of the answer: a field as it is, or an aggregate of it. `as` names the column. */
export const Selection = Schema.Struct({
  field: Name,
  aggregate: Schema.optionalKey(Aggregate),
  as: Schema.optionalKey(Name)
})
export type Selection = typeof Selection.Type

/** One tag's condition. `in` takes an array. A series without the tag has the empty string as its value. */
export const TagCondition = Schema.Union([
  Schema.Struct({ tag: Name, op: Schema.Literal("="), value: Schema.String }),
  Schema.Struct({ tag: Name, op: Schema.Literal("in"), value: Schema.Array(Schema.String) })
])

/** Short form: all of these tags have this value, or one of these values. */
export const TagValues = Schema.Record(Name, Schema.Union([Schema.String, Schema.Array(Schema.String)]))

export const Where = Schema.Union([TagCondition, TagValues])
export type Where = typeof Where.Type

/**
 * A question about one measurement. `from` is inside and an hour ago when absent, `to` is outside and now when absent.
 * With `every` there is a row a window of that length, aligned to 1970; without it, a row a series. Plain fields return
 * points as they are and may not be mixed with aggregates. Without `groupBy`, aggregates run over all series together,
 * and plain fields come a series apart. `limit` bounds the rows of each series.
 */
export const Query = Schema.Struct({
  measurement: Name,
  select: Schema.NonEmptyArray(Selection),
  where: Schema.optionalKey(Where),
  from: Schema.optionalKey(Moment),
  to: Schema.optionalKey(Moment),
  every: Schema.optionalKey(Window),
  groupBy: Schema.optionalKey(Schema.Array(Name)),
  /** What stands in a window without points: `none` is that there is no row. */
  fill: Schema.optionalKey(Schema.Literal("none")),
  order: Schema.optionalKey(Schema.Literals(["asc", "desc"])),
  limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 })))
})
export type Query = typeof Query.Type

/** A field's value. An integer that a double cannot hold exactly comes as a string of its digits. */
export const Value = Schema.Union([Schema.Finite, Schema.String, Schema.Boolean, Schema.Null])

/** `columns` starts with `time`, whose values are RFC 3339 in UTC with up to nine digits of a second. */
export const Series = Schema.Struct({
  measurement: Schema.String,
  tags: Schema.Record(Schema.String, Schema.String),
  columns: Schema.Array(Schema.String),
  rows: Schema.Array(Schema.Array(Value))
})
export type Series = typeof Series.Type

export const QueryResult = Schema.Struct({ series: Schema.Array(Series) })
export type QueryResult = typeof QueryResult.Type

export const FieldType = Schema.Literals(["float", "integer", "unsigned", "string", "boolean"])
export type FieldType = typeof FieldType.Type

/** What can be asked for. */
export const Measurement = Schema.Struct({
  name: Schema.String,
  fields: Schema.Array(Schema.Struct({ name: Schema.String, type: FieldType })),
  tags: Schema.Array(Schema.String),
  seriesCount: Schema.Int
})
export type Measurement = typeof Measurement.Type

/** The answer to a question without parameters: how to ask, and what about. */
export const Measurements = Schema.Struct({ usage: Schema.String, measurements: Schema.Array(Measurement) })

/** Lines that could not be stored, at most 100 of them; nothing of the batch was. `line` counts from 1. */
export class InvalidLines extends HttpApiError.Problem<InvalidLines>()(
  "InvalidLines",
  { type: `${problemPrefix}invalid-lines`, status: 400, title: "The line protocol is not valid" },
  { ...problemMembers, lines: Schema.Array(Schema.Struct({ line: Schema.Int, message: Schema.String })) }
) {}

/**
 * The points would pass a limit of the store: `series` of all measurements together, or `fields` of one. Nothing of the batch was
 * stored; what is known already can still be written.
 */
export class LimitReached extends HttpApiError.Problem<LimitReached>()(
  "LimitReached",
  { type: `${problemPrefix}limit-reached`, status: 422, title: "The store takes no more of these" },
  { ...problemMembers, limit: Schema.Literals(["series", "fields"]), maximum: Schema.Int }
) {}

/** The query can be read and makes no sense; `field` is the part of the query that is wrong. */
export class InvalidQuery extends HttpApiError.Problem<InvalidQuery>()(
  "InvalidQuery",
  { type: `${problemPrefix}invalid-query`, status: 400, title: "The query is not valid" },
  { ...problemMembers, field: Schema.String }
) {}

export class MeasurementNotFound extends HttpApiError.Problem<MeasurementNotFound>()(
  "MeasurementNotFound",
  { type: `${problemPrefix}measurement-not-found`, status: 404, title: "No such measurement" },
  { ...problemMembers, measurement: Schema.String }
) {}

const text = (contentType: string) => Schema.String.pipe(HttpApiSchema.asText({ contentType }))
const queryErrors = [InvalidQuery, MeasurementNotFound, ...storeProblems] as const

export class TimeseriesApi extends HttpApiGroup.make("timeseries")
  .add(
    /**
     * Stores every point of the batch or, when a line is not valid, none; acknowledged when they are on disk. The content
     * type of a form is taken for text, because that is what `curl --data-binary` sends.
     */
    HttpApiEndpoint.post("write", "/write", {
      query: { precision: Schema.optionalKey(Schema.Literals(["ns", "us", "ms", "s"])) },
      payload: [text("text/plain"), text("application/octet-stream"), text("application/x-www-form-urlencoded")],
      success: Schema.Struct({ points: Schema.Int }),
      error: [InvalidLines, LimitReached, ...bodyProblems, ...storeProblems]
    }),
    HttpApiEndpoint.post("query", "/query", {
      payload: Query,
      success: QueryResult,
      error: [...queryErrors, ...bodyProblems]
    }),
    /**
     * The same as parameters: `select=mean(usage_user)` or `select=usage_user`, `where=host:a`, `groupBy=host`, each repeated
     * for more. Without parameters it lists the measurements.
     */
    HttpApiEndpoint.get("explore", "/query", {
      query: {
        measurement: Schema.optionalKey(Name),
        select: Schema.optionalKey(Schema.Array(Schema.NonEmptyString)),
        where: Schema.optionalKey(Schema.Array(Schema.NonEmptyString)),
        from: Schema.optionalKey(Moment),
        to: Schema.optionalKey(Moment),
        every: Schema.optionalKey(Window),
        groupBy: Schema.optionalKey(Schema.Array(Name)),
        fill: Query.fields.fill,
        order: Query.fields.order,
        limit: Query.fields.limit
      },
      success: Schema.Union([QueryResult, Measurements]),
      error: queryErrors
    })
  )
  .prefix("/api/timeseries")
  .middleware(Authentication)
  .middleware(RequestDecoding)
  .annotateMerge(strictRequests)
  .annotateMerge(OpenApi.annotations({ title: "Timeseries", description: "Write, query and explore time series" })) {}
