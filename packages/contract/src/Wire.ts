import { Context, Schema } from "effect"
import { HttpApi } from "effect/http-api"

/** The five programs, in the order in which they are listed everywhere. */
export const serviceNames = ["gateway", "files", "utility", "analytics", "timeseries"] as const
export const ServiceName = Schema.Literals(serviceNames)
export type ServiceName = typeof ServiceName.Type

/** The port of each program when nothing else is configured. */
export const defaultPorts: Record<ServiceName, number> = {
  gateway: 8000,
  files: 8001,
  utility: 8002,
  analytics: 8003,
  timeseries: 8004
}

export { Timestamp } from "./Timestamp.ts"

/** How many items a list gives at the most: 1 to 1000. */
export const Limit = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 }))

/** Where a list goes on: an opaque value from `nextCursor` of the page before. */
export const Cursor = Schema.NonEmptyString

/** The query parameters that every list takes. `limit` is 100 when absent. */
export const paging = { limit: Schema.optionalKey(Limit), cursor: Schema.optionalKey(Cursor) }

/** A page of a list; `nextCursor` is there as long as more may follow. */
export const page = <S extends Schema.Constraint>(item: S) =>
  Schema.Struct({ items: Schema.Array(item), nextCursor: Schema.optionalKey(Schema.String) })

/** Reads strictly: all that is wrong is reported at once, and a misspelt field is an error, not ignored. */
export const strict = { errors: "all", onExcessProperty: "error" } as const

/** Reads requests as `strict` says. */
export const strictRequests = Context.empty().pipe(
  Context.add(HttpApi.PayloadParseOptions, strict),
  Context.add(HttpApi.QueryParseOptions, strict)
)

/** Annotates an endpoint that ignores query parameters it does not know; everywhere else they are refused. */
export class AnyQuery extends Context.Reference<boolean>("@opsbuddy/contract/AnyQuery", {
  defaultValue: () => false
}) {}

/** Annotates an endpoint with the content encodings that it reads, such as `gzip`; without it a body has to come as it is. */
export class ContentEncodings extends Context.Reference<ReadonlyArray<string>>("@opsbuddy/contract/ContentEncodings", {
  defaultValue: () => []
}) {}
