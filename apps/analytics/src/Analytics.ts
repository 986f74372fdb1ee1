import { type LogLevel, mostRoutes, RequestNotFound, type RequestRecord } from "@opsbuddy/contract/Analytics"
import type { InvalidRequest, RequestId, StoreProblem } from "@opsbuddy/contract/Problems"
import { Context, DateTime, Effect, Layer } from "effect"
import * as LogCursor from "./LogCursor.ts"
import { LogStore } from "./LogStore.ts"
import type { NewLog, StoredLog } from "./LogText.ts"
import { refusal } from "./Refusal.ts"
import { type Metrics, type Range, RequestStore } from "./RequestStore.ts"

export interface LogQuery {
  readonly from?: DateTime.Utc
  readonly to?: DateTime.Utc
  readonly level?: LogLevel
  readonly service?: string
  readonly text?: string
  readonly requestId?: RequestId
  readonly limit?: number
  readonly cursor?: string
}

export interface MetricsQuery {
  readonly from?: DateTime.Utc
  readonly to?: DateTime.Utc
  readonly service?: string
}

/** What is known about a request; `truncated` where it has more logs than are told. */
export interface Story {
  readonly request: RequestRecord
  readonly logs: ReadonlyArray<StoredLog>
  readonly truncated: boolean
}

type Accepted = { readonly accepted: number }

/** Logs, request records and metrics as the contract has them, over a `LogStore` and a `RequestStore`. */
export class Analytics extends Context.Service<
  Analytics,
  {
    /** Stores all entries or, failing, none. Entries without a time are at now. */
    writeLogs(entries: ReadonlyArray<NewLog>): Effect.Effect<Accepted, StoreProblem>
    listLogs(
      query: LogQuery
    ): Effect.Effect<
      { readonly items: ReadonlyArray<StoredLog>; readonly nextCursor?: string },
      InvalidRequest | StoreProblem
    >
    /** Stores all records that are not there yet or, failing, none; all count as accepted. */
    writeRequests(records: ReadonlyArray<RequestRecord>): Effect.Effect<Accepted, StoreProblem>
    /** Tells what is known about the newest request with this id. */
    request(id: RequestId): Effect.Effect<Story, RequestNotFound | StoreProblem>
    metrics(query: MetricsQuery): Effect.Effect<Range & Metrics, InvalidRequest | StoreProblem>
  }
>()("@opsbuddy/analytics/Analytics") {
  static readonly layer: Layer.Layer<Analytics, never, LogStore | RequestStore> = Layer.effect(
    Analytics,
    Effect.gen(function* () {
      const logs = yield* LogStore
      const requests = yield* RequestStore
      return Analytics.of({
        writeLogs: Effect.fn("Analytics.writeLogs")(function* (entries) {
          yield* logs.append(entries, yield* DateTime.now)
          return { accepted: entries.length }
        }),
        listLogs: Effect.fn("Analytics.listLogs")(function* ({ cursor, limit = 100, ...query }) {
          if (query.from !== undefined && query.to !== undefined) yield* checkRange({ from: query.from, to: query.to })
          const before = cursor === undefined ? {} : { before: yield* LogCursor.decode(cursor) }
          const { items, next } = yield* logs.list({ ...query, ...before, limit })
          return next === undefined ? { items } : { items, nextCursor: LogCursor.encode(next) }
        }),
        writeRequests: Effect.fn("Analytics.writeRequests")(function* (records) {
          yield* requests.append(records)
          return { accepted: records.length }
        }),
        request: Effect.fn("Analytics.request")(function* (id) {
          const request = yield* requests.newest(id)
          if (request === undefined) return yield* new RequestNotFound({ id })
          const { items, more } = yield* logs.ofRequest(id, mostLogs)
          return { request, logs: items, truncated: more }
        }),
        metrics: Effect.fn("Analytics.metrics")(function* (query) {
          const to = query.to ?? (yield* DateTime.now)
          const range = { from: query.from ?? hourBefore(to), to }
          yield* checkRange(range)
          return { ...range, ...(yield* requests.metrics(range, mostRoutes, query.service)) }
        })
      })
    })
  )
}

/** Entries of one request that its story tells. */
const mostLogs = 1000

/** The first millisecond that there is in ECMAScript: https://tc39.es/ecma262/#sec-time-values-and-time-range */
const firstMillis = -8_640_000_000_000_000

const hourBefore = (to: DateTime.Utc) => DateTime.makeUnsafe(Math.max(firstMillis, to.epochMilliseconds - 3_600_000))

const checkRange = ({ from, to }: Range) =>
  from.epochMilliseconds < to.epochMilliseconds
    ? Effect.void
    : Effect.fail(refusal({ path: ["query", "from"], message: `Expected a time before ${DateTime.formatIso(to)}` }))
