import { type DuckDBConnection, ResultReturnType, StatementType } from "@duckdb/node-api"
import type { Effect } from "effect"
import * as Append from "./Append.ts"
import type { Column } from "./Chunk.ts"
import * as ChunkReader from "./ChunkReader.ts"
import type { ColumnarError } from "./ColumnarError.ts"
import { type Connection, type Row, type Value, withStatement } from "./Connection.ts"

/** The type of a column of a parameter table. */
export type ColumnType = "BOOLEAN" | "INTEGER" | "BIGINT" | "UBIGINT" | "DOUBLE" | "VARCHAR"

/** Rows that a statement reads as a table, for lists of parameters too long for its text. */
export interface ParameterTable {
  readonly types: Readonly<Record<string, ColumnType>>
  /** In the order of `types`. */
  readonly columns: ReadonlyArray<Column>
  readonly rowCount: number
}

export interface ReadOptions {
  /** Tables by the names that the statement knows them by; they exist for this statement only. */
  readonly tables?: Readonly<Record<string, ParameterTable>>
}

/** Up to 2048 rows of a result, as columns in the order of the statement. */
export interface Columns {
  readonly rowCount: number
  readonly columns: ReadonlyArray<ChunkReader.ColumnOut>
}

/** A statement that has been started: what its columns are called, and its next rows, `undefined` after the last. */
export interface Reading {
  readonly names: ReadonlyArray<string>
  readonly next: Effect.Effect<Columns | undefined, ColumnarError>
}

/**
 * Starts one SELECT. The engine ends a result that fails midway as if it were whole; but its result then says that it is not
 * one, and `next` fails.
 */
export const start = (
  connection: Connection,
  sql: string,
  parameters: ReadonlyArray<Value>,
  { tables = {} }: ReadOptions
): Effect.Effect<Reading, ColumnarError> =>
  connection.call(async () => {
    for (const [name, table] of Object.entries(tables)) await createTable(connection.native, name, table)
    const result = await withStatement(connection.native, sql, parameters, (statement) => {
      // Anything else may write, or change what the connection may do.
      if (statement.statementType !== StatementType.SELECT)
        throw new TypeError("a read runs one SELECT and nothing else")
      return statement.stream()
    })
    connection.result = result
    let rows = 0
    const next = connection.call(async () => {
      const chunk = await result.fetchChunk()
      if (chunk !== null && chunk.rowCount > 0) {
        rows += chunk.rowCount
        const columns = Array.from({ length: chunk.columnCount }, (_, index) => ChunkReader.column(chunk, index))
        return { rowCount: chunk.rowCount, columns }
      }
      connection.result = undefined
      if (result.returnType === ResultReturnType.INVALID) await explain(connection.native, rows)
      return undefined
    })
    return { names: result.deduplicatedColumnNames(), next }
  })

/** Throws what is known of the failure: the binding does not hand out the error of a result. */
const explain = async (connection: DuckDBConnection, rows: number) => {
  // Throws the engine's own words where all of it has failed.
  await connection.run("SELECT 1")
  throw new Error(`the statement failed after ${rows} rows`)
}

const createTable = async (
  connection: DuckDBConnection,
  name: string,
  { columns, rowCount, types }: ParameterTable
) => {
  const definitions = Object.entries(types).map(([column, type]) => `${quoted(column)} ${type}`)
  await connection.run(`CREATE TEMP TABLE ${quoted(name)} (${definitions.join(", ")})`)
  await Append.columnsNow(connection, { table: name, catalog: "temp" }, columns, rowCount)
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

/** The rows as objects. `A` is the caller's word for what the statement selects. */
export const rowsOf = <A extends object = Row>(names: ReadonlyArray<string>, { columns, rowCount }: Columns) => {
  const rows: Array<object> = []
  for (let row = 0; row < rowCount; row++) {
    const object: Record<string, unknown> = {}
    for (let column = 0; column < names.length; column++) object[names[column] ?? ""] = columns[column]?.[row]
    rows.push(object)
  }
  // The columns of a statement are known to its author only.
  return rows as ReadonlyArray<object> as ReadonlyArray<A>
}
