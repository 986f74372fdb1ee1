import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import { Cache, Context, Duration, Effect, Exit, Layer, Scope, Semaphore, Stream } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { Migrator, SqlClient, type SqlConnection, SqlError, Statement } from "effect/sql"

export interface SqliteOptions {
  /** A path, or `:memory:`. */
  readonly filename: string
  /** Applied in the order of their names, `0001_what`, each once and in a transaction. */
  readonly migrations: Readonly<Record<string, Effect.Effect<void, SqlError.SqlError, SqlClient.SqlClient>>>
}

/** How long a statement waits for another process's lock. */
const busyTimeout = "5 seconds"

const failure = (operation: string) => (cause: unknown) =>
  new SqlError.SqlError({
    reason: SqlError.classifySqliteError(
      // `node:sqlite` reports `errcode` where the classifier reads `errno`.
      cause instanceof Error && "errcode" in cause ? Object.assign(cause, { errno: cause.errcode }) : cause,
      { message: `sqlite could not ${operation}`, operation }
    )
  })

const isInput = (value: unknown): value is SQLInputValue =>
  value === null ||
  typeof value === "number" ||
  typeof value === "string" ||
  typeof value === "bigint" ||
  value instanceof Uint8Array

const inputs = (parameters: ReadonlyArray<unknown>): Array<SQLInputValue> =>
  parameters.map((value) => {
    if (typeof value === "boolean") return value ? 1 : 0
    if (isInput(value)) return value
    throw new TypeError(`sqlite takes no parameter of type ${typeof value}`)
  })

const execute = (statement: StatementSync, parameters: ReadonlyArray<unknown>, arrays: boolean) =>
  Effect.try({
    try: () => {
      statement.setReturnArrays(arrays)
      if (statement.columns().length > 0) return statement.all(...inputs(parameters))
      statement.run(...inputs(parameters))
      return []
    },
    catch: failure("execute")
  })

/** Durable to the last commit: write-ahead log, synchronised at each commit. */
const open = (filename: string) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const database = new DatabaseSync(filename)
        database.exec(`PRAGMA busy_timeout = ${Duration.toMillis(busyTimeout)}`)
        database.exec("PRAGMA journal_mode = WAL")
        database.exec("PRAGMA synchronous = FULL")
        database.exec("PRAGMA foreign_keys = ON")
        return database
      },
      catch: failure("open")
    }),
    (database) => Effect.sync(() => database.close())
  )

const make = Effect.fnUntraced(function* (filename: string) {
  const database = yield* open(filename)
  const prepare = (sql: string) => Effect.try({ try: () => database.prepare(sql), catch: failure("prepare") })
  const statements = yield* Cache.makeWith(prepare, {
    capacity: 200,
    timeToLive: (exit) => (Exit.isSuccess(exit) ? Duration.infinity : Duration.zero)
  })
  const rows = (sql: string, parameters: ReadonlyArray<unknown>, arrays: boolean) =>
    Effect.flatMap(Cache.get(statements, sql), (statement) => execute(statement, parameters, arrays))
  const connection: SqlConnection.Connection = {
    execute: (sql, parameters, transform) =>
      Effect.map(rows(sql, parameters, false), (found) => (transform === undefined ? found : transform(found))),
    executeRaw: (sql, parameters) => rows(sql, parameters, false),
    // `setReturnArrays` makes every row an array, which the declaration of `all` does not tell.
    executeValues: (sql, parameters) =>
      rows(sql, parameters, true) as unknown as Effect.Effect<Array<Array<unknown>>, SqlError.SqlError>,
    executeValuesUnprepared: (sql, parameters) =>
      Effect.flatMap(prepare(sql), (statement) => execute(statement, parameters, true)) as unknown as Effect.Effect<
        Array<Array<unknown>>,
        SqlError.SqlError
      >,
    executeUnprepared: (sql, parameters, transform) =>
      Effect.map(
        Effect.flatMap(prepare(sql), (statement) => execute(statement, parameters, false)),
        (found) => (transform === undefined ? found : transform(found))
      ),
    executeStream: (sql, parameters, transform) =>
      Stream.unwrap(
        Effect.map(rows(sql, parameters, false), (found) =>
          Stream.fromIterable(transform === undefined ? found : transform(found))
        )
      )
  }
  const lock = yield* Semaphore.make(1)
  return yield* SqlClient.make({
    acquirer: lock.withPermits(1)(Effect.succeed(connection)),
    compiler: Statement.makeCompilerSqlite(),
    driver: "node-sqlite",
    transactionAcquirer: Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber) => {
        const scope = Context.getUnsafe(fiber.context, Scope.Scope)
        return Effect.as(
          Effect.tap(restore(lock.take(1)), () => Scope.addFinalizer(scope, lock.release(1))),
          connection
        )
      })
    ),
    beginTransaction: "BEGIN IMMEDIATE",
    spanAttributes: [["db.system.name", "sqlite"]]
  })
})

/** An effect `SqlClient` over `node:sqlite`, on Bun and Node; one connection, statements one after the other. */
export const layer = (
  options: SqliteOptions
): Layer.Layer<SqlClient.SqlClient, SqlError.SqlError | Migrator.MigrationError> =>
  Layer.effectDiscard(Migrator.make({})({ loader: Migrator.fromRecord(options.migrations) })).pipe(
    Layer.provideMerge(Layer.effect(SqlClient.SqlClient)(make(options.filename))),
    Layer.provide(Reactivity.layer)
  )
