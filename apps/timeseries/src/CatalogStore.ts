import type { Columnar, Value, Writer } from "@opsbuddy/columnar/Columnar"
import type { FieldType } from "@opsbuddy/contract/Timeseries"
import { Effect, Stream } from "effect"
import { type Catalog, type MeasurementEntry, makeCatalog, makeMeasurement } from "./Catalog.ts"
import { emptyRange, type FloatRange } from "./FloatRange.ts"
import { columnOf, maxColumns, ownTable } from "./OwnTable.ts"
import { never } from "./SeriesTable.ts"
import { columnTypes, createSharedTables, sharedTable, sharedTypes } from "./SharedTables.ts"
import type { WriteBatch } from "./WriteBatch.ts"

type Store = Columnar["Service"]

/**
 * `tags` is a JSON array of pairs. Until the second migration each measurement had all of its values in a table of its own, which
 * is what `own_after` before all times says.
 */
export const migrations = {
  "0001 catalog": `
    CREATE TABLE measurements (id INTEGER NOT NULL, name VARCHAR NOT NULL);
    CREATE TABLE fields (measurement INTEGER NOT NULL, position INTEGER NOT NULL, name VARCHAR NOT NULL, type VARCHAR NOT NULL);
    CREATE TABLE series (sid INTEGER NOT NULL, measurement INTEGER NOT NULL, tags VARCHAR NOT NULL);
  `,
  "0002 shared tables": `
    ${createSharedTables}
    CREATE TABLE measurements_2 AS SELECT id, name, CAST(${never} AS BIGINT) AS own_after FROM measurements;
    DROP TABLE measurements;
    ALTER TABLE measurements_2 RENAME TO measurements;
    CREATE TABLE fields_2 AS
      SELECT row_number() OVER (ORDER BY measurement, position)::INTEGER AS id, measurement, position, name, type, true AS in_table
      FROM fields;
    DROP TABLE fields;
    ALTER TABLE fields_2 RENAME TO fields;
    CREATE TABLE tag_names (measurement INTEGER NOT NULL, name VARCHAR NOT NULL);
    CREATE TABLE float_ranges (fid INTEGER NOT NULL, lowest SMALLINT NOT NULL, highest SMALLINT NOT NULL);
  `
}

/** Reads the whole catalog, with the latest time of each series. */
export const load = Effect.fnUntraced(function* (columnar: Store) {
  const catalog = makeCatalog()
  const byId = yield* loadMeasurements(columnar, catalog)
  const places = yield* loadSeries(columnar, catalog, byId)
  const tables = [...byId.values()].filter(({ table }) => table !== undefined).map(ownTable)
  for (const table of [...sharedTypes.map(sharedTable), ...tables]) {
    const newest = columnar.streamChunks(`SELECT sid, max(ts) AS newest FROM ${table} GROUP BY sid`)
    yield* Stream.runForEach(newest, ({ columns: [sids = [], times = []], rowCount }) =>
      Effect.sync(() => {
        for (let row = 0; row < rowCount; row++) {
          const sid = Number(sids[row])
          const time = times[row]
          if (typeof time === "bigint") places.entries[sid]?.series.advance(places.indexes[sid] ?? 0, time)
        }
      })
    )
  }
  return catalog
})

const loadMeasurements = Effect.fnUntraced(function* (columnar: Store, catalog: Catalog) {
  const byId = new Map<number, MeasurementEntry>()
  const rows = yield* columnar.query<{ readonly id: number; readonly name: string; readonly own_after: bigint | null }>(
    "SELECT id, name, own_after FROM measurements"
  )
  for (const { id, name, own_after } of rows) {
    const entry = makeMeasurement(id, name)
    if (own_after !== null) {
      entry.table = { after: own_after }
      catalog.ownColumns += 2
    }
    byId.set(id, entry)
    catalog.measurements.set(name, entry)
    catalog.nextMeasurement = Math.max(catalog.nextMeasurement, id + 1)
  }
  const fields = yield* columnar.query<FieldRow>(
    `SELECT id, measurement, position, name, type, in_table AS "inTable" FROM fields ORDER BY measurement, position`
  )
  const tags = yield* columnar.query<{ readonly measurement: number; readonly name: string }>(
    "SELECT measurement, name FROM tag_names"
  )
  for (const { measurement, name } of tags) byId.get(measurement)?.tagNames.add(name)
  const ranges = yield* columnar.query<Omit<FloatRange, "changed"> & { readonly fid: number }>(
    "SELECT fid, min(lowest) AS lowest, max(highest) AS highest FROM float_ranges GROUP BY fid"
  )
  const rangeOf = new Map(ranges.map(({ fid, ...range }) => [fid, { ...range, changed: false }]))
  for (const { measurement, ...field } of fields) {
    const range = rangeOf.get(field.id) ?? emptyRange()
    byId.get(measurement)?.fields.set(field.name, { ...field, range })
    if (field.inTable) catalog.ownColumns++
    catalog.nextField = Math.max(catalog.nextField, field.id + 1)
  }
  return byId
})

interface FieldRow {
  readonly id: number
  readonly measurement: number
  readonly position: number
  readonly name: string
  readonly type: FieldType
  readonly inTable: boolean
}

/** Where each series is, by its id: millions of them, so not an object each. */
interface Places {
  readonly entries: Array<MeasurementEntry | undefined>
  readonly indexes: Array<number>
}

const loadSeries = Effect.fnUntraced(function* (
  columnar: Store,
  catalog: Catalog,
  byId: ReadonlyMap<number, MeasurementEntry>
) {
  const places: Places = { entries: [], indexes: [] }
  const rows = columnar.streamChunks("SELECT sid, measurement, tags FROM series")
  yield* Stream.runForEach(rows, ({ columns: [sids = [], measurements = [], keys = []], rowCount }) =>
    Effect.sync(() => {
      for (let row = 0; row < rowCount; row++) {
        const sid = Number(sids[row])
        const entry = byId.get(Number(measurements[row]))
        if (entry === undefined) continue
        places.entries[sid] = entry
        places.indexes[sid] = entry.series.add(String(keys[row]), sid)
        catalog.nextSid = Math.max(catalog.nextSid, sid + 1)
        catalog.seriesCount++
      }
    })
  )
  return places
})

/** Writes what the batch adds to the catalog, with the tables and columns that it needs. */
export const save = Effect.fnUntraced(function* (writer: Writer, batch: WriteBatch) {
  const measurements: Array<ReadonlyArray<Value>> = []
  const fields: Array<ReadonlyArray<Value>> = []
  const tagNames: Array<ReadonlyArray<Value>> = []
  const sids: Array<number> = []
  const measurementIds: Array<number> = []
  const keys: Array<string> = []
  for (const { entry, fresh, newFields, newKeys, newTable, newTagNames, table } of batch.measurements.values()) {
    if (fresh) measurements.push([entry.id, entry.name, null])
    for (const { id, inTable, name, position, type } of newFields) {
      fields.push([id, entry.id, position, name, type, inTable])
    }
    for (const name of newTagNames) tagNames.push([entry.id, name])
    for (const key of newKeys) {
      sids.push(entry.series.sid(entry.series.indexOf(key) ?? -1))
      measurementIds.push(entry.id)
      keys.push(key)
    }
    if (newTable) {
      const columns = [...entry.fields.values(), ...newFields].filter(({ position }) => position < maxColumns)
      yield* writer.run(
        `CREATE TABLE ${ownTable(entry)} (ts BIGINT, sid INTEGER, ${columns.map(definition).join(", ")})`
      )
      yield* writer.run("UPDATE measurements SET own_after = $1 WHERE id = $2", [table?.after ?? null, entry.id])
      yield* writer.run("UPDATE fields SET in_table = position < $1 WHERE measurement = $2", [maxColumns, entry.id])
    } else {
      for (const field of newFields) {
        if (field.inTable) yield* writer.run(`ALTER TABLE ${ownTable(entry)} ADD COLUMN ${definition(field)}`)
      }
    }
  }
  if (measurements.length > 0) yield* writer.append("measurements", measurements)
  if (fields.length > 0) yield* writer.append("fields", fields)
  if (tagNames.length > 0) yield* writer.append("tag_names", tagNames)
  if (batch.widened.size > 0) {
    // All that a field ever had, the widest counts: a range changes rarely, and an update would cost more than a row.
    const rows = Array.from(batch.widened, ({ id, range }) => [id, range.lowest, range.highest])
    yield* writer.append("float_ranges", rows)
  }
  if (sids.length > 0) yield* writer.appendColumns("series", [sids, measurementIds, keys], sids.length)
})

const definition = (field: { readonly position: number; readonly type: FieldType }) =>
  `${columnOf(field)} ${columnTypes[field.type]}`
