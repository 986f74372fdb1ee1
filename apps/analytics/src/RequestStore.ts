import type { RequestRecord, RouteMetrics } from "@opsbuddy/contract/Analytics"
import type { RequestId, StoreProblem } from "@opsbuddy/contract/Problems"
import { Context, type DateTime, type Effect } from "effect"

/** The time from `from` (inside) to `to` (outside). */
export interface Range {
  readonly from: DateTime.Utc
  readonly to: DateTime.Utc
}

/** `more` is whether there are routes that are not among them. */
export interface Metrics {
  readonly items: ReadonlyArray<RouteMetrics>
  readonly more: boolean
}

/** Keeps what the gateway did with each request. Backend: `RequestStoreDuckDB`. */
export class RequestStore extends Context.Service<
  RequestStore,
  {
    /** Stores all records that are not there yet (same id and timestamp) or, failing, none; returns when they are on disk. */
    append(records: ReadonlyArray<RequestRecord>): Effect.Effect<void, StoreProblem>
    /** Answers the newest record with this id, because clients may use an id again. */
    newest(id: RequestId): Effect.Effect<RequestRecord | undefined, StoreProblem>
    /**
     * Sums up the records of a time by service and route, sorted by both in the order of their UTF-8 bytes. A percentile
     * between two durations is interpolated linearly: the percentile `p` of `n` sorted durations is at the index `p * (n - 1)`,
     * counted from 0, as in PostgreSQL's `percentile_cont`. The same records always give the same figures. Of more than `limit`
     * routes, those with the most requests are given.
     */
    metrics(range: Range, limit: number, service?: string): Effect.Effect<Metrics, StoreProblem>
  }
>()("@opsbuddy/analytics/RequestStore") {}
