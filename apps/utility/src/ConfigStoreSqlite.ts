import { ConfigKey, ConfigNotFound } from "@opsbuddy/contract/Utility"
import { HealthProbe } from "@opsbuddy/runtime/Health"
import * as Sqlite from "@opsbuddy/runtime/Sqlite"
import { SqliteStore } from "@opsbuddy/runtime/SqliteStore"
import { DateTime, Effect, FileSystem, Layer, Path } from "effect"
import { SqlClient } from "effect/sql"
import { ConfigStore, defaultLimit, pageOf, proceeds, type StoredConfig } from "./ConfigStore.ts"

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
  }),
  /** The last version of each key that is gone, so that its versions go on when it comes back. */
  "0002_removed": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE removed (key TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID`
  })
}

interface Row {
  readonly key: string
  readonly json: string
  readonly version: number
  readonly modifiedAt: number
  readonly modifiedBy: string
}

const entryOf = ({ key, modifiedAt, ...row }: Row): StoredConfig => ({
  ...row,
  key: ConfigKey.make(key),
  modifiedAt: DateTime.makeUnsafe(modifiedAt)
})

/** After this many bytes of values a page ends, so that large values do not add up in memory. */
const pageBytes = 4 * 1024 * 1024

/** Sorts behind every character of a key. */
const afterAll = "\u{10ffff}"

const store = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const database = yield* SqliteStore
  const columns = sql.literal("key, value AS json, version, modified_at AS modifiedAt, modified_by AS modifiedBy")
  const find = (key: ConfigKey) =>
    Effect.map(sql<Row>`SELECT ${columns} FROM configs WHERE key = ${key}`, ([row]) => row && entryOf(row))
  const lastVersion = (key: ConfigKey) =>
    Effect.map(sql<Pick<Row, "version">>`SELECT version FROM removed WHERE key = ${key}`, ([row]) => row?.version ?? 0)
  return ConfigStore.of({
    list: Effect.fn("ConfigStoreSqlite.list")(function* ({ cursor = "", limit = defaultLimit, prefix = "" }) {
      // The candidates' sizes are read without their values; `before` is the size of all values in front of a row.
      const rows = yield* sql<Row & { readonly candidates: number }>`
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
      return pageOf(rows.map(entryOf), rows.length < (rows[0]?.candidates ?? 0))
    }, database.read),
    get: Effect.fn("ConfigStoreSqlite.get")(function* (key) {
      const row = yield* find(key)
      return row === undefined ? yield* new ConfigNotFound({ key }) : row
    }, database.read),
    set: Effect.fn("ConfigStoreSqlite.set")(function* (key, json, modifiedBy, conditions) {
      const modifiedAt = yield* DateTime.now
      const present = yield* find(key)
      yield* proceeds(conditions, present)
      const before = present?.version ?? (yield* lastVersion(key))
      const entry: StoredConfig = { key, json, version: before + 1, modifiedAt, modifiedBy }
      yield* sql`INSERT OR REPLACE INTO configs VALUES
        (${key}, ${json}, ${entry.version}, ${DateTime.toEpochMillis(modifiedAt)}, ${modifiedBy})`
      yield* sql`DELETE FROM removed WHERE key = ${key}`
      return entry
    }, database.write),
    remove: Effect.fn("ConfigStoreSqlite.remove")(function* (key, conditions) {
      const present = yield* find(key)
      yield* proceeds(conditions, present)
      if (present === undefined) return yield* new ConfigNotFound({ key })
      yield* sql`DELETE FROM configs WHERE key = ${key}`
      yield* sql`INSERT OR REPLACE INTO removed VALUES (${key}, ${present.version})`
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
