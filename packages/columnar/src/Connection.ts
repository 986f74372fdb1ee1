import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  type DuckDBConnection,
  type DuckDBPreparedStatement,
  type DuckDBType,
  type JS,
  SQLNULL,
  VARCHAR
} from "@duckdb/node-api"
import { Effect } from "effect"
import * as Chunk from "./Chunk.ts"
import { ColumnarError } from "./ColumnarError.ts"

/** A parameter, or a value to append. */
export type Value = null | boolean | number | bigint | string

/**
 * A row by column name. BIGINT and wider come as `bigint` (so do `count(*)` and sums of integers), smaller integers, DOUBLE and
 * DECIMAL as `number`, TIMESTAMP as `Date`, LIST as an array.
 */
export type Row = { readonly [column: string]: JS }

/** Without a type the engine takes `1e300` for an integer and a `bigint` for 128 bits, which skips its min-max indexes. */
const parameterType = (value: Value): DuckDBType => {
  if (value === null) return SQLNULL
  switch (typeof value) {
    case "boolean":
      return BOOLEAN
    case "string":
      return VARCHAR
    case "bigint":
      Chunk.int64(value)
      return BIGINT
    case "number":
      return Number.isSafeInteger(value) && !Object.is(value, -0) ? BIGINT : DOUBLE
  }
}

/**
 * Waits for a call that works on `connection` outside the JavaScript thread. Interruption stops the statement and returns when the
 * connection is idle again.
 */
const native = <A>(
  connection: DuckDBConnection,
  filename: string,
  call: () => Promise<A>
): Effect.Effect<A, ColumnarError> =>
  Effect.callback<A, ColumnarError>((resume) => {
    const settled = call().then(
      (value) => resume(Effect.succeed(value)),
      (cause) => resume(Effect.fail(statementError(filename, cause)))
    )
    return Effect.promise(() => {
      // Again and again, because a statement that has not begun yet takes no notice of it.
      const again = setInterval(() => connection.interrupt(), 5)
      connection.interrupt()
      return settled.finally(() => clearInterval(again))
    })
  })

const statementError = (filename: string, cause: unknown) =>
  new ColumnarError({
    reason: "statement",
    filename,
    message: cause instanceof Error ? cause.message : String(cause),
    cause
  })

const withStatement = async <A>(
  connection: DuckDBConnection,
  sql: string,
  parameters: ReadonlyArray<Value>,
  use: (statement: DuckDBPreparedStatement) => Promise<A>
) => {
  const statement = await connection.prepare(sql)
  try {
    statement.bind([...parameters], parameters.map(parameterType))
    return await use(statement)
  } finally {
    statement.destroySync()
  }
}

/** Runs one statement and answers its whole result. `A` is the caller's word for what it selects. */
export const query = <A extends object = Row>(
  connection: DuckDBConnection,
  filename: string,
  sql: string,
  parameters: ReadonlyArray<Value>
) =>
  native(connection, filename, async () => {
    const result = await withStatement(connection, sql, parameters, (statement) => statement.run())
    const rows: ReadonlyArray<object> = await result.getRowObjectsJS()
    // The columns of a statement are known to its author only.
    return rows as ReadonlyArray<A>
  })

/** Runs one or, without parameters, several statements; answers how many rows the last one changed. */
export const run = (
  connection: DuckDBConnection,
  filename: string,
  sql: string,
  parameters: ReadonlyArray<Value> = []
) =>
  native(connection, filename, async () => {
    if (parameters.length === 0) return (await connection.run(sql)).rowsChanged
    return (await withStatement(connection, sql, parameters, (statement) => statement.run())).rowsChanged
  })

/** Starts one statement; each run of the answered effect yields the next rows, up to 2048, and none after the last. */
export const stream = <A extends object = Row>(
  connection: DuckDBConnection,
  filename: string,
  sql: string,
  parameters: ReadonlyArray<Value>
) =>
  native(connection, filename, async () => {
    const result = await withStatement(connection, sql, parameters, (statement) => statement.stream())
    const chunks = result.yieldRowObjectJs()
    return native(connection, filename, async () => {
      const next = await chunks.next()
      const rows: ReadonlyArray<object> = next.done === true ? [] : next.value
      // The columns of a statement are known to its author only.
      return rows as ReadonlyArray<A>
    })
  })

/**
 * Appends rows that have a value for every column of the table, in the table's order. It is four times as fast as a prepared
 * INSERT of many rows.
 */
export const append = (
  connection: DuckDBConnection,
  filename: string,
  table: string,
  rows: ReadonlyArray<ReadonlyArray<Value>>
) =>
  native(connection, filename, async () => {
    const appender = await connection.createAppender(table)
    try {
      const types = Array.from({ length: appender.columnCount }, (_, index) => appender.columnType(index))
      for (let start = 0; start < rows.length; start += Chunk.mostRows) {
        const part = rows.slice(start, start + Chunk.mostRows)
        const wrong = part.find((row) => row.length !== types.length)
        if (wrong !== undefined)
          throw new TypeError(`table ${table} has ${types.length} columns, the row ${wrong.length}`)
        appender.appendDataChunk(Chunk.make(types, part))
      }
      appender.flushSync()
    } catch (cause) {
      // Closing flushes what was appended before the failure, and only memory is freed then: the transaction is rolled back.
      appender.clear()
      throw cause
    } finally {
      appender.closeSync()
    }
  })
