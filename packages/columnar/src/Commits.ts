import { Effect } from "effect"
import type { ColumnarError } from "./ColumnarError.ts"
import { type Connection, run } from "./Connection.ts"

/**
 * Every transaction that changes something appends its number to a table, so that a file says which of them it has. A row that is
 * updated instead costs as much, but its older versions are kept as long as anything reads: 150 ms a commit after 3,000 of them.
 */
const table = "columnar_commits"

const create = `CREATE TABLE IF NOT EXISTS ${table} (number BIGINT NOT NULL)`

/** The number of the latest commit that the file has; 0 for a file that was written before commits had numbers. */
export const read = Effect.fnUntraced(function* (
  writer: Connection
): Effect.fn.Return<{ readonly exists: boolean; readonly number: number }, ColumnarError> {
  return yield* writer.call(async () => {
    const exists = await writer.native.run(
      `SELECT 1 FROM duckdb_tables() WHERE table_name = '${table}' AND NOT temporary`
    )
    if ((await exists.getRows()).length === 0) return { exists: false, number: 0 }
    const rows = await (await writer.native.run(`SELECT max(number) FROM ${table}`)).getRowsJS()
    return { exists: true, number: Number(rows[0]?.[0] ?? 0) }
  })
})

/** The statements that end a transaction, in one call of the engine. */
export const commit = (number: number, exists: boolean) =>
  `${exists ? "" : `${create}; `}INSERT INTO ${table} VALUES (${number}); COMMIT`

/** Leaves the latest number only. */
export const trim = (writer: Connection, latest: number) => run(writer, `DELETE FROM ${table} WHERE number < ${latest}`)
