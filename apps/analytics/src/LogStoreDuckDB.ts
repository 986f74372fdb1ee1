import { Columnar, type Value, type Writer } from "@opsbuddy/columnar/Columnar"
import type { ColumnarError } from "@opsbuddy/columnar/ColumnarError"
import { problems } from "@opsbuddy/columnar/StoreProblems"
import { type LogEntry, type LogInput, LogLevel } from "@opsbuddy/contract/Analytics"
import type { RequestId } from "@opsbuddy/contract/Problems"
import { DateTime, Effect, Layer } from "effect"
import { type LogQuestion, LogStore } from "./LogStore.ts"
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
  readonly entries: ReadonlyArray<LogInput>
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

    return LogStore.of({
      append: Effect.fn("LogStoreDuckDB.append")((entries, arrival) =>
        entries.length === 0 ? Effect.void : problems(commit({ entries, arrival }))
      ),
      list: Effect.fn("LogStoreDuckDB.list")(function* (question) {
        const { condition, parameters } = where(question)
        const sql = `SELECT ${columns} FROM logs ${condition} ORDER BY ts DESC, seq DESC LIMIT ${question.limit + 1}`
        const rows = yield* problems(columnar.query<Row>(sql, parameters))
        const items = rows.slice(0, question.limit)
        const oldest = items.at(-1)
        return {
          items: items.map(toEntry),
          ...(rows.length > items.length && oldest !== undefined
            ? { next: { millis: Number(oldest.ts), sequence: Number(oldest.seq) } }
            : {})
        }
      }),
      ofRequest: Effect.fn("LogStoreDuckDB.ofRequest")(function* (id, limit) {
        const sql = `SELECT ${columns} FROM logs WHERE request_id = $1 ORDER BY ts, seq LIMIT ${limit}`
        const rows = yield* problems(columnar.query<Row>(sql, [id]))
        return rows.map(toEntry)
      })
    })
  })
)

const toRow = (entry: LogInput, arrival: DateTime.Utc, sequence: bigint): ReadonlyArray<Value> => [
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
  entry.data === undefined ? null : JSON.stringify(entry.data)
]

const toEntry = ({ ts, seq: _, data, ...row }: Row): LogEntry => ({
  timestamp: DateTime.makeUnsafe(Number(ts)),
  ...present(row),
  ...(data === null ? {} : { data: JSON.parse(data) })
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
