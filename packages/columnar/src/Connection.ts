import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  type DuckDBConnection,
  type DuckDBPreparedStatement,
  type DuckDBResult,
  type DuckDBType,
  type JS,
  SQLNULL,
  VARCHAR
} from "@duckdb/node-api"
import { Effect } from "effect"
import * as Chunk from "./Chunk.ts"
import type { ColumnarError } from "./ColumnarError.ts"
import * as EngineErrors from "./EngineErrors.ts"

/** A parameter, or a value to append. */
export type Value = null | boolean | number | bigint | string

/**
 * A row by column name. BIGINT and wider come as `bigint` (so do `count(*)` and sums of integers), smaller integers, DOUBLE and
 * DECIMAL as `number`, TIMESTAMP as `Date`, LIST as an array.
 */
export type Row = { readonly [column: string]: JS }

/**
 * One connection of the engine, which runs one call at a time. It can be closed at any time: what runs on it is stopped, and an
 * open result is read to its end, because the engine keeps the file open as long as one exists.
 */
export class Connection {
  readonly native: DuckDBConnection
  readonly store: EngineErrors.Store
  /** The result that is being read. */
  result: DuckDBResult | undefined
  readonly #failed: (cause: unknown) => void
  #running: Promise<unknown> = Promise.resolve()
  #isRunning = false
  #closing: Promise<void> | undefined

  /** `failed` learns of every error that makes the engine refuse all that follows. */
  constructor(native: DuckDBConnection, store: EngineErrors.Store, failed: (cause: unknown) => void) {
    this.native = native
    this.store = store
    this.#failed = failed
  }

  get isClosed() {
    return this.#closing !== undefined
  }

  /**
   * Waits for a call that works outside the JavaScript thread. Interruption stops the statement and returns when the connection
   * is idle again.
   */
  call<A>(work: () => Promise<A>): Effect.Effect<A, ColumnarError> {
    return Effect.callback<A, ColumnarError>((resume) => {
      if (this.isClosed) {
        return resume(Effect.fail(EngineErrors.unavailable(this.store.filename, "the database has been reopened")))
      }
      this.#isRunning = true
      const settled = work()
        .then(
          (value) => resume(Effect.succeed(value)),
          (cause) => {
            if (EngineErrors.isFatal(cause)) this.#failed(cause)
            const error = this.isClosed
              ? EngineErrors.unavailable(this.store.filename, "the database has been reopened", cause)
              : EngineErrors.ofStatement(this.store, cause)
            resume(Effect.fail(error))
          }
        )
        .finally(() => {
          this.#isRunning = false
        })
      this.#running = settled
      return Effect.promise(() => this.#stop())
    })
  }

  /** Stops what runs, gives up the result and closes; the same promise each time. */
  close(): Promise<void> {
    this.#closing ??= this.#stop()
      .then(() => this.#drain())
      .finally(() => this.native.closeSync())
    return this.#closing
  }

  /** Again and again, because a statement that has not begun yet takes no notice of it. */
  async #stop() {
    if (!this.#isRunning) return
    const again = setInterval(() => this.native.interrupt(), 5)
    this.native.interrupt()
    await this.#running.finally(() => clearInterval(again))
  }

  async #drain() {
    if (this.result === undefined) return
    this.native.interrupt()
    try {
      for (;;) {
        const chunk = await this.result.fetchChunk()
        if (chunk === null || chunk.rowCount === 0) return
      }
    } catch {
      // An engine that has failed does not hold the result any longer.
    } finally {
      this.result = undefined
    }
  }
}

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

/** Prepares one statement with its parameters, for as long as `use` takes. */
export const withStatement = async <A>(
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

/** Runs one or, without parameters, several statements; answers how many rows the last one changed. */
export const run = (connection: Connection, sql: string, parameters: ReadonlyArray<Value> = []) =>
  connection.call(async () => {
    if (parameters.length === 0) return (await connection.native.run(sql)).rowsChanged
    return (await withStatement(connection.native, sql, parameters, (statement) => statement.run())).rowsChanged
  })
