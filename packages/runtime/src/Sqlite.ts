import * as fs from "node:fs"
import { dirname } from "node:path"
import { Context, Data, Effect, Layer } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { Migrator, SqlClient, SqlError } from "effect/sql"
import * as SqliteCommits from "./SqliteCommits.ts"
import * as SqliteConnection from "./SqliteConnection.ts"
import { advice, isDamage, isFull, reasonOf } from "./SqliteFailures.ts"
import * as SqliteReserve from "./SqliteReserve.ts"
import { make as makeStore, type Room, SqliteStore, withRoom } from "./SqliteStore.ts"
import { StoreHealth } from "./StoreHealth.ts"

export interface SqliteOptions {
  /** A path, or `:memory:`. */
  readonly filename: string
  /** Applied in the order of their names, `0001_what`, each once and in a transaction. */
  readonly migrations: Readonly<Record<string, Effect.Effect<void, SqlError.SqlError, SqlClient.SqlClient>>>
}

/** The database cannot be used: the message names the file, and says why and what to do. */
export class DatabaseNotUsable extends Data.TaggedError("DatabaseNotUsable")<{ readonly message: string }> {
  /** The program that needs it ends with this code and the message alone. */
  readonly exitCode = 1
}

const inMemory = ":memory:"

/** Up to this size in bytes a database is checked for damage at each start, which takes some ten milliseconds. */
const maxChecked = 16 * 1024 * 1024

/** A migration's failure is wrapped. */
const sqlErrorOf = (error: unknown) => {
  if (SqlError.isSqlError(error)) return error
  return error instanceof Migrator.MigrationError && SqlError.isSqlError(error.cause) ? error.cause : undefined
}

/** What is known of a file before SQLite opens it, which makes it. */
const sizeOf = (filename: string) => Effect.sync(() => fs.statSync(filename, { throwIfNoEntry: false })?.size ?? 0)

/** Folders that were made for a new database survive a power cut as it does. */
const syncFolders = (filename: string) =>
  Effect.forEach([dirname(filename), dirname(dirname(filename))], (folder) =>
    Effect.ignore(
      Effect.try(() => {
        const descriptor = fs.openSync(folder, "r")
        fs.fsyncSync(descriptor)
        fs.closeSync(descriptor)
      })
    )
  )

const countOf = (sql: SqlClient.SqlClient) =>
  Effect.map(sql<{ readonly number: number }>`SELECT number FROM commits`, ([row]) => row?.number ?? 0)

/** Reports what the start finds out about the data: commits that are missing, and a damaged structure. */
const inspect = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  { filename, marked, size }: { readonly filename: string; readonly marked: number | undefined; readonly size: number }
) {
  const health = yield* StoreHealth
  const missing = (marked ?? 0) - (yield* countOf(sql))
  if (missing > 0) {
    const why = size === 0 ? "the file was missing" : "its log was damaged or cut, or an older copy was put back"
    yield* health.notice(`${missing} acknowledged commits are missing from ${filename}: ${why}`, { filename, missing })
  }
  if (size > maxChecked) return
  const check = sql<{ readonly quick_check: string }>`PRAGMA quick_check(1)`
  const found = yield* Effect.map(check, ([row]) => row?.quick_check).pipe(
    Effect.catch((error) => (isDamage(error) ? Effect.succeed("malformed") : Effect.fail(error)))
  )
  if (found === "ok") return
  yield* health.notice(`the database ${filename} is damaged: ${advice(filename)}`, { found })
})

/** Opens and migrates the database, with room from the reserve where the disk has none. */
const start = Effect.fnUntraced(function* ({ filename, migrations }: SqliteOptions, reserve: SqliteReserve.Reserve) {
  const isFile = filename !== inMemory
  const mark = isFile ? yield* SqliteCommits.open(`${filename}.commits`) : SqliteCommits.none
  const size = isFile ? yield* sizeOf(filename) : 0
  const opening = { reserve, checkpoint: Effect.succeed(true) }
  const database = yield* withRoom(SqliteConnection.open(filename, false), opening, sqlErrorOf).pipe(
    Effect.catch((error) =>
      Effect.flatMap(isFull(error, reserve), (full) =>
        full ? SqliteConnection.open(filename, true) : Effect.fail(error)
      )
    )
  )
  const { checkpoint, sql, touch } = yield* SqliteConnection.make(database, mark)
  const room: Room = { reserve, checkpoint }
  yield* inspect(sql, { filename, marked: mark.found, size })
  const migrate = Migrator.make({})({ loader: Migrator.fromRecord(migrations) })
  yield* withRoom(Effect.provideService(migrate, SqlClient.SqlClient, sql), room, sqlErrorOf)
  if (isFile && size === 0) yield* syncFolders(filename)
  return Context.make(SqlClient.SqlClient, sql).pipe(
    Context.add(SqliteStore, yield* makeStore({ filename, room, sql, touch }))
  )
})

const make = Effect.fnUntraced(function* (options: SqliteOptions) {
  const { filename } = options
  const reserve = filename === inMemory ? SqliteReserve.none : yield* SqliteReserve.open(`${filename}.reserve`)
  // What an operator can do something about becomes a message.
  const explain = Effect.fnUntraced(function* (error: SqlError.SqlError | Migrator.MigrationError) {
    const cause = sqlErrorOf(error)
    if (cause === undefined) return yield* Effect.fail(error)
    const reason = (yield* isFull(cause, reserve))
      ? `the database ${filename} cannot be opened: the disk of ${dirname(filename)} is full`
      : reasonOf(cause, filename)
    return yield* reason === undefined ? Effect.fail(error) : new DatabaseNotUsable({ message: reason })
  })
  return yield* Effect.catch(start(options, reserve), explain)
})

/**
 * An effect `SqlClient` over `node:sqlite`, on Bun and Node, and the `SqliteStore` that translates its failures. Beside the file it
 * keeps `.reserve`, room for a full disk, and `.commits`, the number of the last commit. It starts on a full disk, too, unless the
 * database has to be made first; what it finds out about the data it reports to `StoreHealth`.
 */
export const layer = (
  options: SqliteOptions
): Layer.Layer<
  SqlClient.SqlClient | SqliteStore,
  SqlError.SqlError | Migrator.MigrationError | DatabaseNotUsable,
  StoreHealth
> => Layer.effectContext(make(options)).pipe(Layer.provide(Reactivity.layer))
