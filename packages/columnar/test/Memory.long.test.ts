import { mkdirSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { DuckDBInstance } from "@duckdb/node-api"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Columnar } from "../src/Columnar.ts"
import { layerOf, temporaryFile } from "./store.ts"

const tables = 3000
const perTransaction = 100
const groups = Array.from({ length: tables / perTransaction }, (_, group) =>
  Array.from({ length: perTransaction }, (_, index) => `t${group * perTransaction + index}`)
)

/** One row for each table, in transactions that touch a hundred tables each. */
const round = (store: Columnar["Service"], number: number) =>
  Effect.forEach(
    groups,
    (group) =>
      store.write((writer) =>
        Effect.forEach(group, (table) => writer.append(table, [[number, number, number / 2]]), { discard: true })
      ),
    { discard: true }
  )

/** What an engine with its own settings leaves behind that did not checkpoint: three rows for each table in the log. */
const abandoned = async (filename: string) => {
  mkdirSync(dirname(filename), { recursive: true })
  const instance = await DuckDBInstance.create(filename, { memory_limit: "4GiB", checkpoint_threshold: "1TiB" })
  const connection = await instance.connect()
  await connection.run("PRAGMA disable_checkpoint_on_shutdown")
  for (const group of groups) {
    await connection.run(group.map((table) => `CREATE TABLE ${table} (ts BIGINT, sid INTEGER, f0 DOUBLE)`).join("; "))
    for (let row = 0; row < 3; row++) {
      await connection.run(group.map((table) => `INSERT INTO ${table} VALUES (${row}, ${row}, ${row})`).join("; "))
    }
  }
  connection.closeSync()
  instance.closeSync()
}

const counts = (store: Columnar["Service"]) =>
  Effect.map(
    store.query<{ readonly n: bigint }>(
      groups
        .flat()
        .map((table) => `SELECT count(*) AS n FROM ${table}`)
        .join(" UNION ALL ")
    ),
    (rows) => new Set(rows.map((row) => Number(row.n)))
  )

const held = (store: Columnar["Service"]) =>
  Effect.map(
    store.query<{ readonly bytes: number }>("SELECT sum(memory_usage_bytes)::DOUBLE AS bytes FROM duckdb_memory()"),
    (rows) => rows[0]?.bytes ?? 0
  )

describe("Columnar with 128 MiB", () => {
  it.live("keeps working with three thousand small tables, and starts again", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryFile
      const layer = layerOf({ filename, migrations: {}, memoryLimit: "128 MiB" })
      yield* Effect.gen(function* () {
        const store = yield* Columnar
        for (const group of groups) {
          yield* store.write((writer) =>
            writer.run(group.map((table) => `CREATE TABLE ${table} (ts BIGINT, sid INTEGER, f0 DOUBLE)`).join("; "))
          )
        }
        for (let number = 1; number <= 3; number++) yield* round(store, number)
        assert.deepStrictEqual(yield* counts(store), new Set([3]))
        assert.isBelow(yield* held(store), 128 * 2 ** 20)
      }).pipe(Effect.provide(layer))
      yield* Effect.gen(function* () {
        const store = yield* Columnar
        yield* round(store, 4)
        assert.deepStrictEqual(yield* counts(store), new Set([4]))
        assert.deepStrictEqual(yield* store.notices, [])
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.scoped)
  )

  it.live(
    "starts with a log that needs more memory than that, in a file with large blocks that was never numbered",
    () =>
      Effect.gen(function* () {
        const filename = yield* temporaryFile
        yield* Effect.promise(() => abandoned(filename))
        assert.isAbove(statSync(`${filename}.wal`).size, 0)
        yield* Effect.gen(function* () {
          const store = yield* Columnar
          assert.deepStrictEqual(yield* counts(store), new Set([3]))
          assert.deepStrictEqual(yield* store.query("SELECT current_setting('memory_limit') AS most"), [
            { most: "128.0 MiB" }
          ])
          yield* round(store, 4)
          assert.deepStrictEqual(yield* counts(store), new Set([4]))
          assert.deepStrictEqual(yield* store.notices, [])
        }).pipe(Effect.provide(layerOf({ filename, migrations: {}, memoryLimit: "128 MiB" })))
      }).pipe(Effect.scoped)
  )

  it.live("keeps working with few tables of five hundred columns", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryFile
      const layer = layerOf({ filename, migrations: {}, memoryLimit: "128 MiB" })
      yield* Effect.gen(function* () {
        const store = yield* Columnar
        const wide = Array.from({ length: 500 }, (_, index) => `f${index} DOUBLE`).join(", ")
        yield* store.write((writer) =>
          writer.run(
            groups[0]
              ?.slice(0, 10)
              .map((table) => `CREATE TABLE ${table} (${wide})`)
              .join("; ") ?? ""
          )
        )
        for (let number = 1; number <= 4; number++) {
          for (const table of groups[0]?.slice(0, 10) ?? []) {
            yield* store.write((writer) => writer.append(table, [Array.from({ length: 500 }, () => number)]))
          }
        }
        const [row] = yield* store.query<{ readonly n: bigint }>("SELECT count(*) AS n FROM t9 WHERE f499 = f0")
        assert.strictEqual(row?.n, 4n)
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.scoped)
  )
})
