import { Effect } from "effect"
import { ColumnarError } from "./ColumnarError.ts"
import type { Writer } from "./Writer.ts"

/** Statements by name, in the order in which they are applied. A released entry is never changed, renamed or removed. */
export type Migrations = { readonly [name: string]: string }

/**
 * Applies what the file has not had yet, each migration in a transaction with the record that it was applied. Fails with
 * `migration` when one fails, and when the file knows a migration that this program does not: a newer one wrote it.
 */
export const apply = Effect.fnUntraced(function* (
  filename: string,
  migrations: Migrations,
  transaction: <A>(body: (writer: Writer) => Effect.Effect<A, ColumnarError>) => Effect.Effect<A, ColumnarError>
): Effect.fn.Return<void, ColumnarError> {
  const applied = yield* transaction((writer) =>
    Effect.gen(function* () {
      const tables = yield* writer.query("SELECT 1 FROM duckdb_tables() WHERE table_name = 'columnar_migrations'")
      // A start writes nothing where it need not, because the disk may be full.
      if (tables.length === 0) {
        yield* writer.run("CREATE TABLE columnar_migrations (name VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL)")
      }
      return yield* writer.query<{ readonly name: string }>("SELECT name FROM columnar_migrations")
    })
  )
  const names = new Set(applied.map((row) => row.name))
  const unknown = [...names].find((name) => !Object.hasOwn(migrations, name))
  if (unknown !== undefined) {
    return yield* migrationError(filename, `a newer version of this program has migrated ${filename} ("${unknown}")`)
  }
  for (const [name, sql] of Object.entries(migrations)) {
    if (names.has(name)) continue
    yield* transaction((writer) =>
      Effect.andThen(
        writer.run(sql),
        writer.run("INSERT INTO columnar_migrations VALUES ($1, now()::TIMESTAMP)", [name])
      )
    ).pipe(
      Effect.catch((cause) =>
        cause.reason === "statement"
          ? migrationError(filename, `migration "${name}" of ${filename} failed: ${cause.message}`, cause)
          : Effect.fail(cause)
      )
    )
    yield* Effect.logInfo("database migrated", { filename, migration: name })
  }
})

const migrationError = (filename: string, message: string, cause?: ColumnarError) =>
  Effect.fail(new ColumnarError({ reason: "migration", filename, message, ...(cause === undefined ? {} : { cause }) }))
