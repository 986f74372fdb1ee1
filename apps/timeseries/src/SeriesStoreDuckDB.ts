import { Columnar, type Value, type Writer } from "@opsbuddy/columnar/Columnar"
import type { ColumnarError } from "@opsbuddy/columnar/ColumnarError"
import { StoreUnavailable } from "@opsbuddy/contract/Problems"
import { type FieldType, InvalidLines, InvalidQuery } from "@opsbuddy/contract/Timeseries"
import { Effect, Layer, Stream } from "effect"
import { type Catalog, columnOf, describe, type FieldColumn, type MeasurementEntry, table } from "./Catalog.ts"
import { Draft, type MeasurementDraft, type Row } from "./Draft.ts"
import * as Moment from "./Moment.ts"
import type { InvalidLine, Point, Tags } from "./Point.ts"
import * as QuerySql from "./QuerySql.ts"
import { SeriesStore } from "./SeriesStore.ts"

/** `tags` is a JSON array of pairs. A measurement's values are in the table `m<id>`, a field's in its column `f<position>`. */
export const migrations = {
  "0001 catalog": `
    CREATE TABLE measurements (id INTEGER NOT NULL, name VARCHAR NOT NULL);
    CREATE TABLE fields (measurement INTEGER NOT NULL, position INTEGER NOT NULL, name VARCHAR NOT NULL, type VARCHAR NOT NULL);
    CREATE TABLE series (sid INTEGER NOT NULL, measurement INTEGER NOT NULL, tags VARCHAR NOT NULL);
  `
}

const columnTypes: Record<FieldType, string> = {
  float: "DOUBLE",
  integer: "BIGINT",
  unsigned: "UBIGINT",
  string: "VARCHAR",
  boolean: "BOOLEAN"
}

/** An answer has at most this many rows, over all of its series. */
const mostRows = 1_000_000

/** A batch that waits to be written, and, after that, what was wrong with it. */
interface Batch {
  readonly points: ReadonlyArray<Point>
  invalid: ReadonlyArray<InvalidLine>
}

/** Keeps points in the columnar store, whose migrations must be this module's. */
export const layer: Layer.Layer<SeriesStore, ColumnarError, Columnar> = Layer.effect(
  SeriesStore,
  Effect.gen(function* () {
    const columnar = yield* Columnar
    const catalog = yield* loadCatalog(columnar)

    const commit = yield* columnar.grouped(
      Effect.fnUntraced(function* (batches: ReadonlyArray<Batch>, writer: Writer) {
        const draft = new Draft(catalog)
        for (const batch of batches) batch.invalid = draft.add(batch.points)
        for (const measurement of draft.measurements.values()) yield* writeMeasurement(writer, measurement)
        writer.afterCommit(() => draft.apply())
      })
    )

    return SeriesStore.of({
      write: Effect.fn("SeriesStoreDuckDB.write")(function* (points) {
        const batch: Batch = { points, invalid: [] }
        yield* unavailable(commit(batch))
        const [first] = batch.invalid
        if (first === undefined) return
        return yield* new InvalidLines({ lines: batch.invalid, detail: `line ${first.line}: ${first.message}` })
      }),
      query: Effect.fn("SeriesStoreDuckDB.query")(function* (question) {
        const statement = yield* QuerySql.compile(question, catalog)
        if (statement === undefined) return []
        const rows = columnar.stream<QuerySql.Answer>(statement.sql, statement.parameters)
        const answer = yield* unavailable(Stream.runCollect(Stream.take(rows, mostRows + 1)))
        if (answer.length > mostRows) {
          const detail = `limit: the answer has more than ${mostRows} rows; set a limit, a shorter range or longer windows`
          return yield* new InvalidQuery({ field: "limit", detail })
        }
        return QuerySql.read(question, statement, answer)
      }),
      measurements: Effect.sync(() => describe(catalog))
    })
  })
)

/** What went wrong is for the log; the caller learns that the store did not do it. */
const unavailable = <A>(effect: Effect.Effect<A, ColumnarError>) =>
  Effect.catch(effect, (error) =>
    Effect.andThen(
      Effect.logError("series store failed", { reason: error.reason, error: error.message }),
      Effect.fail(new StoreUnavailable({ applied: "no" }))
    )
  )

const loadCatalog = Effect.fnUntraced(function* (columnar: Columnar["Service"]) {
  const catalog: Catalog = { measurements: new Map(), nextMeasurement: 1, nextSid: 1 }
  const byId = new Map<number, MeasurementEntry>()
  const rows = yield* columnar.query<{ readonly id: number; readonly name: string }>(
    "SELECT id, name FROM measurements"
  )
  for (const { id, name } of rows) {
    const entry: MeasurementEntry = { id, name, fields: new Map(), series: new Map() }
    byId.set(id, entry)
    catalog.measurements.set(name, entry)
    catalog.nextMeasurement = Math.max(catalog.nextMeasurement, id + 1)
  }
  const fields = yield* columnar.query<FieldColumn & { readonly measurement: number }>(
    "SELECT measurement, position, name, type FROM fields ORDER BY position"
  )
  for (const { measurement, ...field } of fields) byId.get(measurement)?.fields.set(field.name, field)
  for (const entry of byId.values()) yield* loadSeries(columnar, catalog, entry)
  return catalog
})

const loadSeries = Effect.fnUntraced(function* (
  columnar: Columnar["Service"],
  catalog: Catalog,
  entry: MeasurementEntry
) {
  const rows = columnar.stream<{ readonly sid: number; readonly tags: string; readonly newest: bigint }>(
    `SELECT sid, tags, newest FROM series JOIN (SELECT sid, max(ts) AS newest FROM ${table(entry)} GROUP BY sid) USING (sid) ORDER BY sid`
  )
  yield* Stream.runForEach(rows, ({ newest, sid, tags: key }) =>
    Effect.sync(() => {
      // This module has written the key, as the JSON of pairs.
      const entries = JSON.parse(key) as Tags["entries"]
      entry.series.set(key, { sid, tags: { key, entries }, newest })
      catalog.nextSid = Math.max(catalog.nextSid, sid + 1)
    })
  )
})

const writeMeasurement = Effect.fnUntraced(function* (writer: Writer, draft: MeasurementDraft) {
  const { entry, newFields } = draft
  const name = table(entry)
  const definitions = newFields.map((field) => `${columnOf(field)} ${columnTypes[field.type]}`)
  if (draft.fresh) {
    yield* writer.append("measurements", [[entry.id, entry.name]])
    yield* writer.run(`CREATE TABLE ${name} (ts BIGINT, sid INTEGER, ${definitions.join(", ")})`)
  } else {
    for (const definition of definitions) yield* writer.run(`ALTER TABLE ${name} ADD COLUMN ${definition}`)
  }
  if (newFields.length > 0) {
    yield* writer.append(
      "fields",
      newFields.map((field) => [entry.id, field.position, field.name, field.type])
    )
  }
  if (draft.newSeries.size > 0) {
    yield* writer.append(
      "series",
      Array.from(draft.newSeries.values(), (series) => [series.sid, entry.id, series.tags.key])
    )
  }
  const width = draft.fields.size + 2
  if (draft.rows.length > 0) yield* writer.append(name, padded(draft.rows, width))
  if (draft.late.size > 0) yield* merge(writer, draft, padded([...draft.late.values()], width))
})

const padded = (rows: ReadonlyArray<Row>, width: number): ReadonlyArray<ReadonlyArray<Value>> => {
  for (const row of rows) while (row.length < width) row.push(null)
  return rows
}

/** Unites rows with those of the same series and time; the bounds on time keep the engine from reading the whole table. */
const merge = Effect.fnUntraced(function* (
  writer: Writer,
  draft: MeasurementDraft,
  rows: ReadonlyArray<ReadonlyArray<Value>>
) {
  const name = table(draft.entry)
  let [first, last] = [Moment.latest, Moment.earliest]
  for (const point of rows) {
    const time = BigInt(point[0] ?? 0)
    if (time < first) first = time
    if (time > last) last = time
  }
  const set = [...draft.fields.values()]
    .filter((field) => rows.some((row) => row[field.position + 2] !== null))
    .map(columnOf)
    .map((column) => `${column} = coalesce(late.${column}, ${name}.${column})`)
  yield* writer.run(`CREATE TEMP TABLE late AS FROM ${name} LIMIT 0`)
  yield* writer.append("late", rows)
  yield* writer.run(`
    MERGE INTO ${name} USING late
    ON ${name}.sid = late.sid AND ${name}.ts = late.ts AND ${name}.ts BETWEEN ${first} AND ${last}
    WHEN MATCHED THEN UPDATE SET ${set.join(", ")}
    WHEN NOT MATCHED THEN INSERT BY NAME`)
  yield* writer.run("DROP TABLE late")
})
