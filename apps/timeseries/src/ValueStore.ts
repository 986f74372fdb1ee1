import type { Value, Writer } from "@opsbuddy/columnar/Columnar"
import type { FieldType } from "@opsbuddy/contract/Timeseries"
import { Effect } from "effect"
import * as Moment from "./Moment.ts"
import { columnOf, ownTable } from "./OwnTable.ts"
import { sharedTable } from "./SharedTables.ts"
import {
  addShared,
  hasColumn,
  isInTable,
  type MeasurementWrites,
  type OwnRow,
  type SharedRows,
  type WriteBatch
} from "./WriteBatch.ts"

/** Writes the values of the batch to where each of them belongs; the tables and columns must be there. */
export const save = Effect.fnUntraced(function* (writer: Writer, batch: WriteBatch) {
  for (const [type, { fid, sid, ts, v }] of batch.shared) {
    yield* writer.appendColumns(sharedTable(type), [ts, sid, fid, v], ts.length)
  }
  const lateShared = new Map<FieldType, SharedRows>()
  for (const writes of batch.measurements.values()) {
    const late = splitLate(writes, lateShared)
    const width = 2 + [...writes.fields.values()].filter((field) => hasColumn(writes, field)).length
    if (writes.rows.length > 0) yield* writer.append(ownTable(writes.entry), padded(writes.rows, width))
    if (late.length > 0) yield* mergeOwn(writer, writes, padded(late, width))
  }
  for (const [type, rows] of lateShared) yield* mergeShared(writer, type, rows)
})

/** Gives the late rows of the measurement's own table, and adds the other values to those of the shared tables. */
const splitLate = (writes: MeasurementWrites, shared: Map<FieldType, SharedRows>): Array<OwnRow> => {
  const rows: Array<OwnRow> = []
  for (const { sid, time, values } of writes.late.values()) {
    let row: OwnRow | undefined
    for (const [field, value] of values) {
      if (isInTable(writes, field, time)) {
        if (row === undefined) {
          row = [time, sid]
          rows.push(row)
        }
        while (row.length < field.position + 2) row.push(null)
        row[field.position + 2] = value
      } else addShared(shared, field, time, sid, value)
    }
  }
  return rows
}

const padded = (rows: ReadonlyArray<OwnRow>, width: number): ReadonlyArray<ReadonlyArray<Value>> => {
  for (const row of rows) while (row.length < width) row.push(null)
  return rows
}

/** Bounds on time keep the engine from reading the whole table. */
const boundsOf = (times: Iterable<bigint>) => {
  let [first, last] = [Moment.latest, Moment.earliest]
  for (const time of times) {
    if (time < first) first = time
    if (time > last) last = time
  }
  return `BETWEEN ${first} AND ${last}`
}

/** Unites rows with those of the same series and time. */
const mergeOwn = Effect.fnUntraced(function* (
  writer: Writer,
  writes: MeasurementWrites,
  rows: ReadonlyArray<ReadonlyArray<Value>>
) {
  const name = ownTable(writes.entry)
  const bounds = boundsOf(rows.map((row) => BigInt(row[0] ?? 0)))
  const set = [...writes.fields.values()]
    .filter((field) => hasColumn(writes, field) && rows.some((row) => row[field.position + 2] !== null))
    .map(columnOf)
    .map((column) => `${column} = coalesce(late.${column}, ${name}.${column})`)
  yield* writer.run(`CREATE TEMP TABLE late AS FROM ${name} LIMIT 0`)
  yield* writer.append("late", rows)
  yield* writer.run(`
    MERGE INTO ${name} USING late
    ON ${name}.sid = late.sid AND ${name}.ts = late.ts AND ${name}.ts ${bounds}
    WHEN MATCHED THEN UPDATE SET ${set.join(", ")}
    WHEN NOT MATCHED THEN INSERT BY NAME`)
  yield* writer.run("DROP TABLE late")
})

/** Overwrites the values of the same field, series and time; no two of the rows are of the same. */
const mergeShared = Effect.fnUntraced(function* (writer: Writer, type: FieldType, { fid, sid, ts, v }: SharedRows) {
  const name = sharedTable(type)
  yield* writer.run(`CREATE TEMP TABLE late AS FROM ${name} LIMIT 0`)
  yield* writer.appendColumns("late", [ts, sid, fid, v], ts.length)
  yield* writer.run(`
    MERGE INTO ${name} USING late
    ON ${name}.fid = late.fid AND ${name}.sid = late.sid AND ${name}.ts = late.ts AND ${name}.ts ${boundsOf(ts)}
    WHEN MATCHED THEN UPDATE SET v = late.v
    WHEN NOT MATCHED THEN INSERT BY NAME`)
  yield* writer.run("DROP TABLE late")
})
