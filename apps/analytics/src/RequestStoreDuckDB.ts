import { Columnar, type Value, type Writer } from "@opsbuddy/columnar/Columnar"
import type { ColumnarError } from "@opsbuddy/columnar/ColumnarError"
import { problems } from "@opsbuddy/columnar/StoreProblems"
import type { RequestRecord } from "@opsbuddy/contract/Analytics"
import type { RequestId } from "@opsbuddy/contract/Problems"
import { DateTime, Effect, Layer } from "effect"
import * as RecentRecords from "./RecentRecords.ts"
import { RequestStore } from "./RequestStore.ts"
import { present } from "./Row.ts"

/** `ts` is in milliseconds since 1970, as durations are in milliseconds. */
export const migrations = {
  "0002 requests": `
    CREATE TABLE requests (
      ts BIGINT NOT NULL,
      request_id VARCHAR NOT NULL,
      method VARCHAR NOT NULL,
      path VARCHAR NOT NULL,
      route VARCHAR NOT NULL,
      service VARCHAR NOT NULL,
      target VARCHAR,
      status BIGINT NOT NULL,
      cause VARCHAR,
      request_bytes BIGINT,
      response_bytes BIGINT,
      duration DOUBLE NOT NULL,
      upstream DOUBLE,
      client VARCHAR,
      trace_id VARCHAR
    )
  `
}

/** Integers are read as DOUBLE, which holds all that the contract's integers can be. */
const columns = `ts::DOUBLE AS ts, request_id AS "requestId", method, path, route, service, target, status::DOUBLE AS status,
  cause, request_bytes::DOUBLE AS "requestBytes", response_bytes::DOUBLE AS "responseBytes", duration AS "durationMillis",
  upstream AS "upstreamMillis", client, trace_id AS "traceId"`

interface Row {
  readonly ts: number
  readonly requestId: RequestId
  readonly method: string
  readonly path: string
  readonly route: string
  readonly service: string
  readonly target: string | null
  readonly status: number
  readonly cause: string | null
  readonly requestBytes: number | null
  readonly responseBytes: number | null
  readonly durationMillis: number
  readonly upstreamMillis: number | null
  readonly client: string | null
  readonly traceId: string | null
}

interface Summary {
  readonly service: string
  readonly route: string
  readonly requests: bigint
  readonly errors: bigint
  readonly p50: number
  readonly p95: number
  readonly p99: number
  /** How many routes there are, whatever the limit. */
  readonly routes: bigint
}

/** Records that are taken in one go; in between, other work gets its turn. */
const recordsAtOnce = 2048

/** Keeps request records in the columnar store, whose migrations must have this module's. */
export const layer: Layer.Layer<RequestStore, ColumnarError, Columnar> = Layer.effect(
  RequestStore,
  Effect.gen(function* () {
    const columnar = yield* Columnar

    const [last] = yield* columnar.query<{ readonly ts: number | null }>("SELECT max(ts)::DOUBLE AS ts FROM requests")
    const recent = RecentRecords.make(last?.ts ?? Number.NEGATIVE_INFINITY)

    const commit = yield* columnar.grouped(
      Effect.fnUntraced(function* (batches: ReadonlyArray<ReadonlyArray<RequestRecord>>, writer: Writer) {
        const here = new Map<string, number>()
        for (const batch of batches) {
          for (let start = 0; start < batch.length; start += recordsAtOnce) {
            const { fresh, unknown } = recent.sort(batch.slice(start, start + recordsAtOnce), here)
            const records = unknown.length === 0 ? fresh : [...fresh, ...(yield* notStored(unknown, writer))]
            if (records.length === 0) continue
            yield* writer.append("requests", records.map(toRow))
            writer.afterCommit(() => recent.add(records))
            if (start + recordsAtOnce < batch.length) yield* Effect.yieldNow
          }
        }
      })
    )

    return RequestStore.of({
      append: Effect.fn("RequestStoreDuckDB.append")((records) =>
        records.length === 0 ? Effect.void : problems(commit(records))
      ),
      newest: Effect.fn("RequestStoreDuckDB.newest")(function* (id) {
        const sql = `SELECT ${columns} FROM requests WHERE request_id = $1 ORDER BY requests.ts DESC LIMIT 1`
        const [row] = yield* problems(columnar.query<Row>(sql, [id]))
        return row === undefined ? undefined : toRecord(row)
      }),
      metrics: Effect.fn("RequestStoreDuckDB.metrics")(function* (range, limit, service) {
        const sql = `
          SELECT service, route, requests, errors, p[1] AS p50, p[2] AS p95, p[3] AS p99, routes FROM (
            SELECT service, route, count(*) AS requests, count(*) FILTER (status >= 500) AS errors, count(*) OVER () AS routes,
              quantile_cont(duration, [0.5, 0.95, 0.99]) AS p
            FROM requests
            WHERE ts >= $1 AND ts < $2 ${service === undefined ? "" : "AND service = $3"}
            GROUP BY service, route
            ORDER BY requests DESC, service, route LIMIT ${limit}
          ) ORDER BY service, route`
        const bounds = [range.from.epochMilliseconds, range.to.epochMilliseconds]
        const parameters = service === undefined ? bounds : [...bounds, service]
        const rows = yield* problems(columnar.query<Summary>(sql, parameters))
        return {
          items: rows.map(({ routes: _, ...row }) => ({
            ...row,
            requests: Number(row.requests),
            errors: Number(row.errors)
          })),
          more: Number(rows[0]?.routes ?? 0) > rows.length
        }
      })
    })
  })
)

/** An id has no space in it. */
const keyOf = (record: RequestRecord) => `${record.requestId} ${record.timestamp.epochMilliseconds}`

/** Those of the records that are not stored yet, once each. */
const notStored = Effect.fnUntraced(function* (records: ReadonlyArray<RequestRecord>, writer: Writer) {
  const missing = new Map(records.map((record) => [keyOf(record), record]))
  for (const key of yield* stored([...missing.values()], writer)) missing.delete(key)
  return missing.values()
})

/** The keys of those records that are stored already. */
const stored = (records: ReadonlyArray<RequestRecord>, writer: Writer) => {
  let first = Number.POSITIVE_INFINITY
  let last = Number.NEGATIVE_INFINITY
  for (const { timestamp } of records) {
    first = Math.min(first, timestamp.epochMilliseconds)
    last = Math.max(last, timestamp.epochMilliseconds)
  }
  const sql = `
    SELECT request_id || ' ' || ts AS key FROM requests
    WHERE ts BETWEEN $1 AND $2 AND request_id IN (SELECT unnest(string_split($3, ' ')))`
  const ids = records.map((record) => record.requestId).join(" ")
  return writer
    .query<{ readonly key: string }>(sql, [first, last, ids])
    .pipe(Effect.map((rows) => rows.map((row) => row.key)))
}

const toRow = (record: RequestRecord): ReadonlyArray<Value> => [
  record.timestamp.epochMilliseconds,
  record.requestId,
  record.method,
  record.path,
  record.route,
  record.service,
  record.target ?? null,
  record.status,
  record.cause ?? null,
  record.requestBytes ?? null,
  record.responseBytes ?? null,
  record.durationMillis,
  record.upstreamMillis ?? null,
  record.client ?? null,
  record.traceId ?? null
]

const toRecord = ({ ts, ...row }: Row): RequestRecord => ({ timestamp: DateTime.makeUnsafe(ts), ...present(row) })
