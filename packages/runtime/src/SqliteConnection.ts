import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import { Cache, Duration, Effect, Exit, Schedule, Semaphore, Stream } from "effect"
import { SqlClient, type SqlConnection, type SqlError, Statement } from "effect/sql"
import type { CommitMark } from "./SqliteCommits.ts"
import { commitOperation, failure, isBusy } from "./SqliteFailures.ts"

/** How long a change waits for another process's lock. */
const busyTimeout = "5 seconds"

/** SQLite waits by sleeping in its thread, which is this one: it does so while a database is opened, and after that no longer. */
const busySleep = "10 millis"

/** The log is copied into the database when it has this many pages of 4 KiB: what that takes, the reserve must hold. */
const walPages = 256

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

const prepareDatabase = (database: DatabaseSync, alone: boolean) => {
  database.exec(`PRAGMA busy_timeout = ${Duration.toMillis(busyTimeout)}`)
  if (alone) database.exec("PRAGMA locking_mode = EXCLUSIVE")
  database.exec("PRAGMA journal_mode = WAL")
  database.exec("PRAGMA synchronous = FULL")
  database.exec(`PRAGMA wal_autocheckpoint = ${walPages}`)
  database.exec("PRAGMA foreign_keys = ON")
  // Sorting must not need room on a disk that has none.
  database.exec("PRAGMA temp_store = MEMORY")
  database.exec(
    "CREATE TABLE IF NOT EXISTS commits (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL) STRICT"
  )
  if (database.prepare("SELECT 1 FROM commits").get() === undefined) database.exec("INSERT INTO commits VALUES (1, 0)")
}

/**
 * Durable to the last commit: write-ahead log, synchronised at each commit. With `alone` the index of that log is kept in memory
 * and not in a file, for which a full disk has no room, and no other process can open the database.
 */
export const open = (filename: string, alone: boolean) =>
  Effect.acquireRelease(
    Effect.try({ try: () => new DatabaseSync(filename), catch: failure("open") }).pipe(
      Effect.tap((database) =>
        Effect.try({ try: () => prepareDatabase(database, alone), catch: failure("open") }).pipe(
          Effect.tapError(() => Effect.sync(() => database.close()))
        )
      )
    ),
    (database) => Effect.sync(() => database.close())
  )

/** Takes the lock at once: a transaction that has begun to read may not get it later. */
const beginTransaction = "BEGIN IMMEDIATE"

/** Statements that change rows; schema and pragmas change none. */
const changesRows = /^\s*(?:INSERT|UPDATE|DELETE|REPLACE|WITH\b.*\b(?:INSERT|UPDATE|DELETE|REPLACE)\b)/is

/**
 * One connection, statements one after the other. Each transaction that changes something counts the commits of the database, in
 * the same transaction, and then notes the number in `mark`; a statement outside of a transaction gets one of its own for that.
 */
export const make = Effect.fnUntraced(function* (database: DatabaseSync, mark: CommitMark) {
  const counter = database.prepare("UPDATE commits SET number = number + 1 RETURNING number")
  const allChanges = database.prepare("SELECT total_changes() AS number")
  const numberOf = (statement: StatementSync) => Number(statement.get()?.number)
  let changes = numberOf(allChanges)

  database.exec(`PRAGMA busy_timeout = ${Duration.toMillis(busySleep)}`)

  const control = (sql: string) => Effect.try({ try: () => database.exec(sql), catch: failure("execute") })
  /** Tries again as long as another process has the lock; everything else may go on between two attempts. */
  const waiting = <A>(effect: Effect.Effect<A, SqlError.SqlError>) =>
    Effect.retry(effect, {
      while: isBusy,
      schedule: Schedule.upTo(Schedule.spaced(busySleep), { duration: busyTimeout })
    })
  const begin = waiting(control(beginTransaction))
  const end = Effect.try({ try: () => database.exec("COMMIT"), catch: failure(commitOperation) })
  const count = Effect.try({ try: () => numberOf(counter), catch: failure("count the commit") })
  const counted = Effect.gen(function* () {
    const number = yield* count
    yield* end
    changes = numberOf(allChanges)
    yield* mark.write(number)
  })
  const commit = Effect.suspend(() => (numberOf(allChanges) === changes ? end : counted))
  const rollback = Effect.suspend(() => (database.isTransaction ? Effect.ignore(control("ROLLBACK")) : Effect.void))
  const inTransaction = <A>(
    effect: Effect.Effect<A, SqlError.SqlError>,
    finish: Effect.Effect<void, SqlError.SqlError> = commit
  ) =>
    Effect.uninterruptible(
      Effect.andThen(
        begin,
        Effect.onError(Effect.tap(effect, finish), () => rollback)
      )
    )

  const checkpoint = Effect.try({
    try: () => {
      const result = database.prepare("PRAGMA wal_checkpoint(PASSIVE)").get()
      return result?.busy === 0 && result.log === result.checkpointed
    },
    catch: failure("checkpoint")
  })

  const prepare = (sql: string) => Effect.try({ try: () => database.prepare(sql), catch: failure("prepare") })
  const statements = yield* Cache.makeWith(prepare, {
    capacity: 200,
    timeToLive: (exit) => (Exit.isSuccess(exit) ? Duration.infinity : Duration.zero)
  })
  const run = (
    statement: Effect.Effect<StatementSync, SqlError.SqlError>,
    sql: string,
    parameters: ReadonlyArray<unknown>,
    arrays: boolean
  ) => {
    if (sql === beginTransaction) return Effect.as(begin, [])
    const rows = Effect.flatMap(statement, (statement) => execute(statement, parameters, arrays))
    return Effect.suspend(() => {
      if (database.isTransaction) return rows
      return changesRows.test(sql) ? inTransaction(rows) : waiting(rows)
    })
  }
  const rows = (sql: string, parameters: ReadonlyArray<unknown>, arrays: boolean) =>
    run(Cache.get(statements, sql), sql, parameters, arrays)
  const unpreparedRows = (sql: string, parameters: ReadonlyArray<unknown>, arrays: boolean) =>
    run(prepare(sql), sql, parameters, arrays)
  // `setReturnArrays` makes every row an array, which the declaration of `all` does not tell.
  const asValues = (rows: Effect.Effect<unknown, SqlError.SqlError>) =>
    rows as Effect.Effect<Array<Array<unknown>>, SqlError.SqlError>

  const connection: SqlConnection.Connection = {
    execute: (sql, parameters, transform) =>
      Effect.map(rows(sql, parameters, false), (found) => (transform === undefined ? found : transform(found))),
    executeRaw: (sql, parameters) => rows(sql, parameters, false),
    executeValues: (sql, parameters) => asValues(rows(sql, parameters, true)),
    executeValuesUnprepared: (sql, parameters) => asValues(unpreparedRows(sql, parameters, true)),
    executeUnprepared: (sql, parameters, transform) =>
      Effect.map(unpreparedRows(sql, parameters, false), (found) =>
        transform === undefined ? found : transform(found)
      ),
    executeStream: (sql, parameters, transform) =>
      Stream.unwrap(
        Effect.map(rows(sql, parameters, false), (found) =>
          Stream.fromIterable(transform === undefined ? found : transform(found))
        )
      )
  }
  const lock = yield* Semaphore.make(1)
  const sql = yield* SqlClient.make({
    ...SqlClient.makeSqliteAcquirers({
      connection: Effect.succeed(connection),
      semaphore: lock,
      isTransaction: () => database.isTransaction
    }),
    compiler: Statement.makeCompilerSqlite(),
    driver: "node-sqlite",
    beginTransaction,
    prepareTransactionControls: true,
    commit: () => commit,
    spanAttributes: [["db.system.name", "sqlite"]]
  })
  return {
    sql,
    /** One commit that changes nothing but the count of commits. */
    touch: lock.withPermit(inTransaction(Effect.void, counted)),
    /** Copies the log into the database; whether all of it. Waits for the end of a transaction. */
    checkpoint: lock.withPermit(Effect.orElseSucceed(checkpoint, () => false))
  }
})
