import type { Columnar, Writer } from "@opsbuddy/columnar/Columnar"
import type { FieldType } from "@opsbuddy/contract/Timeseries"
import { Array, Effect, Stream } from "effect"
import { columnOf, ownTable } from "./OwnTable.ts"
import { tagsOfKey } from "./SeriesGroups.ts"
import { never } from "./SeriesTable.ts"
import { sharedTable } from "./SharedTables.ts"

type Store = Columnar["Service"]

interface FieldRow {
  readonly id: number
  readonly measurement: number
  readonly position: number
  readonly type: FieldType
  readonly known: boolean
}

/** A measurement that is not as this release has them, and what is missing. */
interface Outdated {
  readonly id: number
  readonly isSmall: boolean
  readonly fields: ReadonlyArray<FieldRow>
  readonly tagNames: ReadonlyArray<string>
}

/** So many measurements are brought up to date in one transaction. */
const together = 100

/**
 * Brings the measurements of a store of the first release up to date; what is cut off goes on at the next start. It has a table for
 * each of them, and thousands take more memory than there is: those of fewer than `minValues` values move to the shared tables.
 */
export const upgrade = Effect.fnUntraced(function* (columnar: Store, minValues: number) {
  const tables = yield* columnar.query<{ readonly id: number }>(
    "SELECT id FROM measurements WHERE own_after = $1 ORDER BY id",
    [never]
  )
  if (tables.length === 0) return
  const fields = yield* columnar.query<FieldRow>(`
    SELECT id, measurement, position, type, id IN (SELECT fid FROM float_ranges) AS known
    FROM fields WHERE measurement IN (SELECT id FROM measurements WHERE own_after = ${never})`)
  const fieldsOf = Map.groupBy(fields, ({ measurement }) => measurement)
  const tagNames = yield* missingTagNames(columnar)
  let moved = 0
  for (const part of Array.chunksOf(tables, together)) {
    const counts = yield* columnar.query<{ readonly id: number; readonly rows: number }>(
      part.map(({ id }) => `SELECT ${id} AS id, count(*)::DOUBLE AS rows FROM ${ownTable({ id })}`).join(" UNION ALL ")
    )
    const outdated: Array<Outdated> = []
    for (const { id, rows } of counts) {
      const own = fieldsOf.get(id) ?? []
      const isSmall = rows * own.length < minValues
      const names = [...(tagNames.get(id) ?? [])]
      if (isSmall || names.length > 0 || own.some(isUnknown))
        outdated.push({ id, isSmall, fields: own, tagNames: names })
    }
    if (outdated.length === 0) continue
    yield* columnar.write((writer) => Effect.forEach(outdated, (one) => bringUpToDate(writer, one), { discard: true }))
    moved += outdated.filter(({ isSmall }) => isSmall).length
  }
  if (moved > 0) yield* Effect.logInfo("measurements moved to shared tables", { moved, of: tables.length })
})

const isUnknown = ({ known, type }: FieldRow) => type === "float" && !known

const bringUpToDate = Effect.fnUntraced(function* (writer: Writer, { fields, id, isSmall, tagNames }: Outdated) {
  const name = ownTable({ id })
  for (const field of fields.filter(isUnknown)) {
    // Of a value it is known that it has no more than 53 bits, the highest by its logarithm.
    yield* writer.run(`
      INSERT INTO float_ranges SELECT ${field.id}, floor(log2(min(v))) - 53, ceil(log2(max(v))) + 1
      FROM (SELECT abs(${columnOf(field)}) AS v FROM ${name}) WHERE v > 0 HAVING count(*) > 0`)
  }
  const names = tagNames.map((name) => [id, name])
  if (names.length > 0) yield* writer.append("tag_names", names)
  if (!isSmall) return
  for (const { id: fid, position, type } of fields) {
    const column = columnOf({ position })
    yield* writer.run(
      `INSERT INTO ${sharedTable(type)} SELECT ts, sid, ${fid}, ${column} FROM ${name} WHERE ${column} IS NOT NULL`
    )
  }
  yield* writer.run(`DROP TABLE ${name}`)
  yield* writer.run("UPDATE measurements SET own_after = NULL WHERE id = $1", [id])
  yield* writer.run("UPDATE fields SET in_table = false WHERE measurement = $1", [id])
})

/** The names of tags that series have, by measurement, where they are not known yet. */
const missingTagNames = Effect.fnUntraced(function* (columnar: Store) {
  const names = new Map<number, Set<string>>()
  const rows = columnar.streamChunks(`
    SELECT measurement, tags FROM series WHERE measurement NOT IN (SELECT measurement FROM tag_names)
      AND measurement IN (SELECT id FROM measurements WHERE own_after = ${never})`)
  yield* Stream.runForEach(rows, ({ columns: [measurements = [], keys = []], rowCount }) =>
    Effect.sync(() => {
      for (let row = 0; row < rowCount; row++) {
        const measurement = Number(measurements[row])
        const known = names.get(measurement) ?? new Set()
        names.set(measurement, known)
        for (const [name] of tagsOfKey(String(keys[row]))) known.add(name)
      }
    })
  )
  return names
})
