import type { DuckDBConnection, DuckDBDataChunk, DuckDBType } from "@duckdb/node-api"
import * as Chunk from "./Chunk.ts"
import type { Connection, Value } from "./Connection.ts"

/** So many values are handed over before the event loop has its turn; some 2 ms of work. */
const maxValues = 20_480

/** Where rows go: a table of the store, or a temporary one of the connection. */
export interface Target {
  readonly table: string
  readonly catalog?: "temp"
}

/**
 * Appends rows that have a value for every column of the table, in the table's order. It is four times as fast as a prepared
 * INSERT of many rows.
 */
export const rows = (connection: Connection, target: Target, rows: ReadonlyArray<ReadonlyArray<Value>>) =>
  connection.call(() =>
    append(connection.native, target, rows.length, (types, start, count) => {
      const part = rows.slice(start, start + count)
      const wrong = part.find((row) => row.length !== types.length)
      if (wrong !== undefined) {
        throw new TypeError(`table ${target.table} has ${types.length} columns, the row ${wrong.length}`)
      }
      return Chunk.ofRows(types, part)
    })
  )

/** The same for columns, of which the table needs all. */
export const columns = (
  connection: Connection,
  target: Target,
  columns: ReadonlyArray<Chunk.Column>,
  rowCount: number
) => connection.call(() => columnsNow(connection.native, target, columns, rowCount))

export const columnsNow = (
  connection: DuckDBConnection,
  target: Target,
  columns: ReadonlyArray<Chunk.Column>,
  rowCount: number
) =>
  append(connection, target, rowCount, (types, start, count) => {
    if (columns.length !== types.length) {
      throw new TypeError(`table ${target.table} has ${types.length} columns, not ${columns.length}`)
    }
    return Chunk.ofColumns(types, columns, start, count)
  })

/** The appender works on the JavaScript thread, so it gets the rows in slices. */
const append = async (
  connection: DuckDBConnection,
  { catalog, table }: Target,
  rowCount: number,
  slice: (types: ReadonlyArray<DuckDBType>, start: number, count: number) => DuckDBDataChunk
) => {
  const appender = await connection.createAppender(table, null, catalog ?? null)
  try {
    const types = Array.from({ length: appender.columnCount }, (_, index) => appender.columnType(index))
    const most = Math.max(1, Math.min(Chunk.maxRows, Math.floor(maxValues / types.length)))
    let unflushed = 0
    for (let start = 0; start < rowCount; start += most) {
      const count = Math.min(most, rowCount - start)
      appender.appendDataChunk(slice(types, start, count))
      unflushed += count * types.length
      if (unflushed >= maxValues && start + count < rowCount) {
        appender.flushSync()
        unflushed = 0
        await nextTurn()
      }
    }
    appender.flushSync()
  } catch (cause) {
    // Closing flushes what was appended before the failure, and only memory is freed then: the transaction is rolled back.
    appender.clear()
    throw cause
  } finally {
    appender.closeSync()
  }
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))
