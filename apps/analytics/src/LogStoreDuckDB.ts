import { Columnar, type Value, type Writer } from "@opsbuddy/columnar/Columnar"
import type { ColumnarError } from "@opsbuddy/columnar/ColumnarError"
import { problems } from "@opsbuddy/columnar/StoreProblems"
import { LogLevel } from "@opsbuddy/contract/Analytics"
import type { RequestId } from "@opsbuddy/contract/Problems"
import { DateTime, Effect, Layer } from "effect"
import { type LogQuestion, LogStore } from "./LogStore.ts"
import type { NewLog, StoredLog } from "./LogText.ts"
import { present } from "./Row.ts"

/** `ts` is in milliseconds since 1970, `seq` counts entries in the order of arrival, `data` is JSON. */
export const migrations = {
  "0001 logs": `
    CREATE TABLE logs (
      ts BIGINT NOT NULL,
      seq BIGINT NOT NULL,
      level VARCHAR NOT NULL,
      service VARCHAR NOT NULL,
      message VARCHAR NOT NULL,
      logger VARCHAR,
      operation VARCHAR,
      request_id VARCHAR,
      trace_id VARCHAR,
      span_id VARCHAR,
      data VARCHAR
    )
  `
}

const columns = `ts, seq, level, service, message, logger, operation, request_id AS "requestId", trace_id AS "traceId",
  span_id AS "spanId", data`

interface Row {
  readonly ts: bigint
  readonly seq: bigint
  readonly level: LogLevel
  readonly service: string
  readonly message: string
  readonly logger: string | null
  readonly operation: string | null
  readonly requestId: RequestId | null
  readonly traceId: string | null
  readonly spanId: string | null
  readonly data: string | null
}

interface Batch {
  readonly entries: ReadonlyArray<NewLog>
  readonly arrival: DateTime.Utc
}

/** Rows that are appended in one go; in between, other work gets its turn. */
const rowsAtOnce = 4096

/** Keeps log entries in the columnar store, whose migrations must have this module's. */
export const layer: Layer.Layer<LogStore, ColumnarError, Columnar> = Layer.effect(
  LogStore,
  Effect.gen(function* () {
    const columnar = yield* Columnar
    const [last] = yield* columnar.query<{ readonly seq: bigint | null }>("SELECT max(seq) AS seq FROM logs")
    // A flush that is run again leaves a gap, which does no harm.
    let nextSequence = (last?.seq ?? 0n) + 1n

    const commit = yield* columnar.grouped(
      Effect.fnUntraced(function* (batches: ReadonlyArray<Batch>, writer: Writer) {
        let rows: Array<ReadonlyArray<Value>> = []
        for (const { arrival, entries } of batches) {
          for (const entry of entries) {
            if (rows.push(toRow(entry, arrival, nextSequence++)) < rowsAtOnce) continue
            yield* Effect.andThen(writer.append("logs", rows), Effect.yieldNow)
            rows = []
          }
        }
        if (rows.length > 0) yield* writer.append("logs", rows)
      })
    )

    /** The entries at the first of these places whose texts fit into a page; in the order of the places. */
    const entriesAt = Effect.fnUntraced(function* (places: ReadonlyArray<Place>) {
      if (places.length === 0) return []
      const seqs = places.map(({ seq }) => seq).sort((a, b) => (a < b ? -1 : 1))
      const condition = `seq BETWEEN ${seqs.at(0)} AND ${seqs.at(-1)} AND seq IN (${seqs.join(", ")})`
      const sizes = yield* columnar.query<{ readonly seq: bigint; readonly bytes: bigint }>(
        `SELECT seq, (strlen(message) + coalesce(strlen(data), 0))::BIGINT AS bytes FROM logs WHERE ${condition}`
      )
      const bytesOf = new Map(sizes.map(({ bytes, seq }) => [seq, Number(bytes)]))
      let bytes = 0
      const fitting = places.filter(({ seq }, index) => {
        bytes += bytesOf.get(seq) ?? 0
        return index === 0 || bytes <= pageBytes
      })
      const first = new Set(fitting.map(({ seq }) => seq))
      const rows = yield* columnar.query<Row>(
        `SELECT ${columns} FROM logs WHERE ${condition}${first.size === seqs.length ? "" : ` AND seq IN (${[...first].join(", ")})`}`
      )
      const rowOf = new Map(rows.map((row) => [row.seq, row]))
      return fitting.flatMap(({ seq }) => rowOf.get(seq) ?? [])
    })

    return LogStore.of({
      append: Effect.fn("LogStoreDuckDB.append")((entries, arrival) =>
        entries.length === 0 ? Effect.void : problems(commit({ entries, arrival }))
      ),
      list: Effect.fn("LogStoreDuckDB.list")(function* (question) {
        const { condition, parameters } = where(question)
        const sql = `SELECT ts, seq FROM logs ${condition} ORDER BY ts DESC, seq DESC LIMIT ${question.limit + 1}`
        const places = yield* columnar.query<Place>(sql, parameters)
        const rows = yield* entriesAt(places.slice(0, question.limit))
        const oldest = rows.at(-1)
        return {
          items: rows.map(toEntry),
          ...(places.length > rows.length && oldest !== undefined
            ? { next: { millis: Number(oldest.ts), sequence: Number(oldest.seq) } }
            : {})
        }
      }, problems),
      ofRequest: Effect.fn("LogStoreDuckDB.ofRequest")(function* (id, limit) {
        const sql = `SELECT ts, seq FROM logs WHERE request_id = $1 ORDER BY ts, seq LIMIT ${limit + 1}`
        const places = yield* columnar.query<Place>(sql, [id])
        const rows = yield* entriesAt(places.slice(0, limit))
        return { items: rows.map(toEntry), more: places.length > rows.length }
      }, problems)
    })
  })
)

/** Where an entry is in the order of all. */
type Place = Pick<Row, "ts" | "seq">

/** As much text as a page may have, unless it is of one entry. */
const pageBytes = 4 * 1024 * 1024

const toRow = (entry: NewLog, arrival: DateTime.Utc, sequence: bigint): ReadonlyArray<Value> => [
  BigInt((entry.timestamp ?? arrival).epochMilliseconds),
  sequence,
  entry.level,
  entry.service,
  entry.message,
  entry.logger ?? null,
  entry.operation ?? null,
  entry.requestId ?? null,
  entry.traceId ?? null,
  entry.spanId ?? null,
  entry.data ?? null
]

const toEntry = ({ ts, seq: _, ...row }: Row): StoredLog => ({
  timestamp: DateTime.makeUnsafe(Number(ts)),
  ...present(row)
})

const where = (question: LogQuestion) => {
  const parameters: Array<Value> = []
  const parameter = (value: Value) => `$${parameters.push(value)}`
  const conditions: Array<string> = []
  if (question.from !== undefined) conditions.push(`ts >= ${parameter(question.from.epochMilliseconds)}`)
  if (question.to !== undefined) conditions.push(`ts < ${parameter(question.to.epochMilliseconds)}`)
  if (question.level !== undefined) {
    const levels = LogLevel.literals.slice(LogLevel.literals.indexOf(question.level))
    conditions.push(`level IN (${levels.map(parameter).join(", ")})`)
  }
  if (question.service !== undefined) conditions.push(`service = ${parameter(question.service)}`)
  if (question.text !== undefined) conditions.push(`contains(lower(message), lower(${parameter(question.text)}))`)
  if (question.requestId !== undefined) conditions.push(`request_id = ${parameter(question.requestId)}`)
  if (question.before !== undefined) {
    const millis = parameter(question.before.millis)
    // The first half is what lets the engine skip row groups.
    conditions.push(`ts <= ${millis} AND (ts < ${millis} OR seq < ${parameter(question.before.sequence)})`)
  }
  return { condition: conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`, parameters }
}
