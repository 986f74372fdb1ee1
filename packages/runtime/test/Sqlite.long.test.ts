import { rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { disk, empty, fill, noDisk, temporaryFolder } from "@opsbuddy/testing/Disk"
import { Effect, Layer, Logger, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import * as Sqlite from "../src/Sqlite.ts"
import * as SqliteReserve from "../src/SqliteReserve.ts"
import { SqliteStore } from "../src/SqliteStore.ts"
import { StoreHealth } from "../src/StoreHealth.ts"

const migrations = {
  "0001_things": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE things (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT`
  })
}

const more = {
  ...migrations,
  "0002_more": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE more AS SELECT * FROM things`
    yield* sql`CREATE INDEX more_by_text ON more (text)`
  })
}

const at = (folder: string, steps: Sqlite.SqliteOptions["migrations"] = migrations) =>
  Sqlite.layer({ filename: join(folder, "a.db"), migrations: steps }).pipe(Layer.provideMerge(StoreHealth.layer))

const reserved = (folder: string) => statSync(join(folder, "a.db.reserve")).size
const whole = 4 * 1024 * 1024

const parts = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const store = yield* SqliteStore
  return {
    health: yield* StoreHealth,
    add: (text: string) => store.write(sql`INSERT INTO things (text) VALUES (${text})`),
    record: (text: string) => store.essential(sql`INSERT INTO things (text) VALUES (${text})`),
    remove: (id: number) => store.essential(sql`DELETE FROM things WHERE id = ${id}`),
    count: Effect.map(store.read(sql<{ readonly n: number }>`SELECT count(*) AS n FROM things`), ([row]) => row?.n),
    probe: store.probe(sql`SELECT id FROM things LIMIT 1`)
  }
})

const text = "x".repeat(1000)

/** A test that needs a disk of its own. */
const onDisk = (name: string, test: () => Effect.Effect<void, unknown, Scope.Scope>) =>
  it.live(name, (context) => (noDisk === undefined ? test() : Effect.sync(() => context.skip(noDisk))))

describe("a SQLite store on a full disk", () => {
  onDisk("refuses writes with the folder, removes and records all the same, and takes writes again by itself", () =>
    Effect.gen(function* () {
      const folder = yield* disk(12)
      const lines: Array<unknown> = []
      yield* Effect.gen(function* () {
        const { add, count, health, probe, record, remove } = yield* parts
        for (let i = 0; i < 300; i++) yield* add(text)
        assert.strictEqual(reserved(folder), whole)
        yield* fill(folder)
        // What is left of the log is used first.
        const refused = yield* Effect.flip(Effect.forever(add(text)))
        assert.deepInclude(refused, { _tag: "InsufficientStorage", detail: `the disk of ${folder} is full` })
        assert.strictEqual((yield* health.outage)?.reason, `the disk of ${folder} is full`)
        assert.strictEqual(yield* probe, "degraded")
        const before = (yield* count) ?? 0
        // Far more changed pages than what is reserved could hold.
        for (let i = 1; i <= 300; i++) yield* remove(i)
        for (let i = 0; i < 500; i++) yield* record(`recorded ${i}`)
        assert.strictEqual(yield* count, before + 200)
        assert.strictEqual(yield* probe, "degraded")
        // What was removed and recorded has left room in the files, but not for this.
        assert.strictEqual((yield* Effect.flip(add("y".repeat(6_000_000))))._tag, "InsufficientStorage")
        yield* empty(folder)
        assert.strictEqual(yield* probe, "healthy")
        assert.isUndefined(yield* health.outage)
        assert.strictEqual(reserved(folder), whole)
        yield* add(text)
      }).pipe(
        Effect.provide(at(folder)),
        Effect.provide(Logger.layer([Logger.make(({ message }) => lines.push(message))]))
      )
      assert.deepStrictEqual(
        lines.map((line) => (Array.isArray(line) ? line[0] : line)),
        ["store refuses writes", "store takes writes again"]
      )
    })
  )

  onDisk("removes what is large, though the database has to grow for what the log still holds", () =>
    Effect.gen(function* () {
      const folder = yield* disk(16)
      yield* Effect.gen(function* () {
        const { add, count, remove } = yield* parts
        for (let i = 0; i < 4; i++) yield* add("y".repeat(800_000))
        yield* fill(folder)
        yield* Effect.flip(Effect.forever(add("y".repeat(800_000))))
        const all = (yield* count) ?? 0
        for (let i = 1; i <= all; i++) yield* remove(i)
        assert.strictEqual(yield* count, 0)
      }).pipe(Effect.provide(at(folder)), Effect.provide(Logger.layer([])))
    })
  )

  onDisk("never gives the reserve to an ordinary write", () =>
    Effect.gen(function* () {
      const folder = yield* disk(12)
      yield* Effect.gen(function* () {
        const { add } = yield* parts
        yield* fill(folder)
        for (let i = 0; i < 20; i++) yield* Effect.flip(add("y".repeat(100_000)))
        assert.strictEqual(reserved(folder), whole)
      }).pipe(Effect.provide(at(folder)))
    })
  )

  onDisk("starts, and migrates", () =>
    Effect.gen(function* () {
      const folder = yield* disk(12)
      yield* Effect.gen(function* () {
        const { add } = yield* parts
        for (let i = 0; i < 200; i++) yield* add(text)
      }).pipe(Effect.provide(at(folder)))
      yield* fill(folder)
      yield* Effect.gen(function* () {
        const { add, count, remove } = yield* parts
        assert.strictEqual(yield* count, 200)
        yield* remove(1)
        assert.strictEqual((yield* Effect.flip(add("y".repeat(6_000_000))))._tag, "InsufficientStorage")
      }).pipe(Effect.provide(at(folder, more)))
      yield* empty(folder)
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* (yield* parts).count, 199)
        assert.strictEqual(reserved(folder), whole)
      }).pipe(Effect.provide(at(folder, more)))
    })
  )

  onDisk("starts without a reserve, too, and reads", () =>
    Effect.gen(function* () {
      const folder = yield* disk(12)
      yield* Effect.flatMap(parts, ({ add }) => add(text)).pipe(Effect.provide(at(folder)))
      rmSync(join(folder, "a.db.reserve"))
      yield* fill(folder)
      yield* Effect.gen(function* () {
        const { add, count, probe } = yield* parts
        assert.strictEqual(yield* count, 1)
        assert.strictEqual((yield* Effect.flip(add(text)))._tag, "InsufficientStorage")
        yield* empty(folder)
        assert.strictEqual(yield* probe, "healthy")
        yield* add(text)
        assert.strictEqual(yield* count, 2)
      }).pipe(Effect.provide(at(folder)))
    })
  )

  onDisk("asks the disk where SQLite does not say that it is full", () =>
    Effect.gen(function* () {
      const folder = yield* disk(12)
      const reserve = yield* SqliteReserve.open(join(folder, "a.db.reserve"))
      assert.deepStrictEqual([yield* reserve.isDiskFull, yield* reserve.hasRoom], [false, true])
      yield* fill(folder)
      assert.deepStrictEqual([yield* reserve.isDiskFull, yield* reserve.hasRoom], [true, false])
      assert.strictEqual(yield* reserve.release, whole - 512 * 1024)
      assert.isFalse(yield* reserve.isDiskFull)
      // It is taken back to the last page.
      assert.isTrue(yield* reserve.refill(0))
      assert.strictEqual(reserved(folder), whole)
      yield* empty(folder)
      assert.isTrue(yield* reserve.hasRoom)
    })
  )

  onDisk("says that a database cannot be made", () =>
    Effect.gen(function* () {
      const folder = yield* disk(1)
      yield* fill(folder)
      const error = yield* Effect.flip(Effect.provide(parts, at(folder)))
      assert.strictEqual(
        error.message,
        `the database ${join(folder, "a.db")} cannot be opened: the disk of ${folder} is full`
      )
    })
  )
})

describe("a SQLite store that another process has locked", () => {
  it.live("refuses a change after five seconds, with the reason", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      yield* Effect.gen(function* () {
        const { add, count, health } = yield* parts
        const other = new DatabaseSync(join(folder, "a.db"))
        other.exec("BEGIN IMMEDIATE")
        const reason = `another process holds the database ${join(folder, "a.db")}`
        const started = performance.now()
        assert.deepInclude(yield* Effect.flip(add(text)), { _tag: "StoreUnavailable", applied: "no", detail: reason })
        assert.isAtLeast(performance.now() - started, 4900)
        assert.strictEqual((yield* health.outage)?.reason, reason)
        assert.strictEqual(yield* count, 0)
        other.close()
        yield* add(text)
        assert.isUndefined(yield* health.outage)
      }).pipe(Effect.provide(at(folder)), Effect.provide(Logger.layer([])))
    })
  )
})
