import { ConfigEntry, ConfigKey, ConfigNotFound } from "@opsbuddy/contract/Utility"
import { HealthProbe } from "@opsbuddy/runtime/Health"
import * as Sqlite from "@opsbuddy/runtime/Sqlite"
import { SqliteStore } from "@opsbuddy/runtime/SqliteStore"
import { DateTime, Effect, FileSystem, Layer, Path, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { ConfigStore, defaultLimit, pageOf } from "./ConfigStore.ts"

const migrations = {
  "0001_configs": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE configs (
      key TEXT PRIMARY KEY,
      value TEXT NOT NULL,
      version INTEGER NOT NULL,
      modified_at INTEGER NOT NULL,
      modified_by TEXT NOT NULL
    ) STRICT`
  })
}

const Row = Schema.Struct({
  key: ConfigKey,
  value: Schema.fromJsonString(ConfigEntry.fields.value),
  version: Schema.Int,
  modifiedAt: Schema.DateTimeUtcFromMillis,
  modifiedBy: Schema.String
})
const decodeRow = Schema.decodeUnknownEffect(Row)
const encodeValue = Schema.encodeEffect(Row.fields.value)

/** What was written here reads back, or the file was changed by something else: a defect. */
const entryOf = (row: unknown) => Effect.orDie(Effect.map(decodeRow(row), (fields) => new ConfigEntry(fields)))

/** After this many bytes of values a page ends, so that large values do not add up in memory. */
const pageBytes = 4 * 1024 * 1024

/** Sorts behind every character of a key. */
const afterAll = "\u{10ffff}"

const store = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const database = yield* SqliteStore
  const columns = sql.literal("key, value, version, modified_at AS modifiedAt, modified_by AS modifiedBy")
  return ConfigStore.of({
    list: Effect.fn("ConfigStoreSqlite.list")(function* ({ cursor = "", limit = defaultLimit, prefix = "" }) {
      // The candidates' sizes are read without their values; `before` is the size of all values in front of a row.
      const rows = yield* sql`
        WITH candidates AS (
          SELECT key, octet_length(value) AS bytes FROM configs
          WHERE key > ${cursor} AND key >= ${prefix} AND key < ${prefix + afterAll}
          ORDER BY key LIMIT ${limit + 1}
        ), sized AS (
          SELECT key, coalesce(sum(bytes) OVER (ORDER BY key ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
          FROM candidates
        )
        SELECT ${columns}, (SELECT count(*) FROM candidates) AS candidates
        FROM sized JOIN configs USING (key) WHERE before < ${pageBytes} ORDER BY key LIMIT ${limit}`
      const items = yield* Effect.forEach(rows, entryOf)
      return pageOf(items, items.length < Number(rows[0]?.candidates ?? 0))
    }, database.read),
    get: Effect.fn("ConfigStoreSqlite.get")(function* (key) {
      const [row] = yield* sql`SELECT ${columns} FROM configs WHERE key = ${key}`
      return row === undefined ? yield* new ConfigNotFound({ key }) : yield* entryOf(row)
    }, database.read),
    set: Effect.fn("ConfigStoreSqlite.set")(function* (key, value, modifiedBy) {
      const json = yield* Effect.orDie(encodeValue(value))
      const now = DateTime.toEpochMillis(yield* DateTime.now)
      const [row] = yield* sql`INSERT INTO configs VALUES (${key}, ${json}, 1, ${now}, ${modifiedBy})
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = version + 1,
          modified_at = excluded.modified_at, modified_by = excluded.modified_by
        RETURNING ${columns}`
      return yield* entryOf(row)
    }, database.write),
    remove: Effect.fn("ConfigStoreSqlite.remove")(function* (key) {
      const [row] = yield* sql`DELETE FROM configs WHERE key = ${key} RETURNING key`
      if (row === undefined) return yield* new ConfigNotFound({ key })
    }, database.essential)
  })
})

const probe = Effect.fnUntraced(function* (file: string) {
  const sql = yield* SqlClient.SqlClient
  const store = yield* SqliteStore
  const fs = yield* FileSystem.FileSystem
  const sizeOf = (path: string) =>
    fs.stat(path).pipe(
      Effect.map((info) => Number(info.size)),
      Effect.orElseSucceed(() => 0)
    )
  return HealthProbe.of({
    database: store.probe(sql`SELECT key FROM configs LIMIT 1`),
    storage: Effect.map(Effect.forEach([file, `${file}-wal`, `${file}-shm`, `${file}.reserve`], sizeOf), (sizes) => ({
      kind: "sqlite",
      location: file,
      bytes: sizes.reduce((sum, size) => sum + size, 0)
    }))
  })
})

/** Keeps configurations in `utility.db` in the folder, which is made when it is missing; also tells how the file is. */
export const layer = (options: { readonly directory: string }) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const file = (yield* Path.Path).join(options.directory, "utility.db")
      yield* fs.makeDirectory(options.directory, { recursive: true })
      return Layer.mergeAll(Layer.effect(ConfigStore, store), Layer.effect(HealthProbe, probe(file))).pipe(
        Layer.provide(Sqlite.layer({ filename: file, migrations }))
      )
    })
  )
