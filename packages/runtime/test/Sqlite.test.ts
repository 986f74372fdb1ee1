import { copyFileSync, existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { temporaryFolder } from "@opsbuddy/testing/Disk"
import { Effect, Layer, Logger } from "effect"
import { SqlClient } from "effect/sql"
import * as Sqlite from "../src/Sqlite.ts"
import { SqliteStore } from "../src/SqliteStore.ts"
import { StoreHealth } from "../src/StoreHealth.ts"

const migrations = {
  "0001_things": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE things (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT`
  })
}

const file = (folder: string) => join(folder, "a.db")

const at = (folder: string) =>
  Sqlite.layer({ filename: file(folder), migrations }).pipe(
    Layer.provideMerge(StoreHealth.layer),
    Layer.provide(Logger.layer([]))
  )

const mark = (folder: string) => Number(readFileSync(`${file(folder)}.commits`, "utf8"))

const add = (text: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const store = yield* SqliteStore
    yield* store.write(sql`INSERT INTO things (text) VALUES (${text})`)
  })

const texts = ["a", "b", "c", "d", "e"]

/** A folder with what a kill leaves: five rows, each a commit, all of them in the log. */
const killed = Effect.gen(function* () {
  const [before, after] = [yield* temporaryFolder, yield* temporaryFolder]
  yield* Effect.gen(function* () {
    for (const text of texts) yield* add(text)
    for (const suffix of ["", "-wal", ".commits"]) copyFileSync(file(before) + suffix, file(after) + suffix)
  }).pipe(Effect.provide(at(before)))
  return after
})

/** What a start over the folder tells about the data, and the rows that it finds. */
const started = (folder: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const health = yield* StoreHealth
    const rows = yield* sql<{ readonly text: string }>`SELECT text FROM things ORDER BY id`
    return { notices: (yield* health.notices).map(({ message }) => message), rows: rows.map(({ text }) => text) }
  }).pipe(Effect.provide(at(folder)))

const missing = (folder: string, commits: number, why: string) => [
  `${commits} acknowledged commits are missing from ${file(folder)}: ${why}`
]
const damaged = "its log was damaged or cut, or an older copy was put back"

describe("the count of commits", () => {
  it.live(
    "grows by one with each change, in a transaction and without one, and not with what is rolled back or read",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryFolder
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const start = mark(folder)
          const grown = Effect.map(sql<{ readonly number: number }>`SELECT number FROM commits`, ([row]) => {
            // Beside the database stands what is in it.
            assert.strictEqual(mark(folder), row?.number)
            return mark(folder) - start
          })
          yield* sql`INSERT INTO things (text) VALUES ('a')`
          assert.strictEqual(yield* grown, 1)
          yield* sql`WITH new AS (SELECT 'b' AS text) INSERT INTO things (text) SELECT text FROM new`
          assert.strictEqual(yield* grown, 2)
          yield* sql.withTransaction(
            Effect.andThen(sql`DELETE FROM things`, sql.withTransaction(sql`INSERT INTO things (text) VALUES ('c')`))
          )
          assert.strictEqual(yield* grown, 3)
          yield* Effect.flip(sql.withTransaction(Effect.andThen(sql`DELETE FROM things`, Effect.fail("no"))))
          yield* Effect.flip(sql`INSERT INTO things (text) VALUES ('c')`)
          yield* sql`SELECT * FROM things`
          assert.strictEqual(yield* grown, 3)
          yield* sql`UPDATE things SET text = 'd'`
          assert.strictEqual(yield* grown, 4)
        }).pipe(Effect.provide(at(folder)))
      })
  )

  it.live("raises no alarm after a kill, nor after one between a commit and its mark", () =>
    Effect.gen(function* () {
      const folder = yield* killed
      const number = mark(folder)
      assert.deepStrictEqual(yield* started(folder), { notices: [], rows: texts })
      for (const content of [`${number - 1}`.padStart(16, "0").concat("\n"), "", "12", "x".repeat(17)]) {
        writeFileSync(`${file(folder)}.commits`, content)
        assert.deepStrictEqual(yield* started(folder), { notices: [], rows: texts })
      }
    })
  )

  it.live("tells of a log with one wrong byte", () =>
    Effect.gen(function* () {
      const folder = yield* killed
      const log = readFileSync(`${file(folder)}-wal`)
      // In the frames of the last commit but one; all that follows is lost with it.
      const at = log.length - 3 * 4096
      log[at] = (log[at] ?? 0) ^ 1
      writeFileSync(`${file(folder)}-wal`, log)
      const { notices, rows } = yield* started(folder)
      const lost = texts.length - rows.length
      assert.isAbove(lost, 0)
      assert.deepStrictEqual(rows, texts.slice(0, -lost))
      assert.deepStrictEqual(notices, missing(folder, lost, damaged))
    })
  )

  it.live("tells of a log that was cut", () =>
    Effect.gen(function* () {
      const folder = yield* killed
      truncateSync(`${file(folder)}-wal`, statSync(`${file(folder)}-wal`).size - 100)
      assert.deepStrictEqual(yield* started(folder), { notices: missing(folder, 1, damaged), rows: texts.slice(0, -1) })
    })
  )

  it.live("tells of an older copy, as often as the service starts before it commits again", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      yield* Effect.provide(add("a"), at(folder))
      copyFileSync(file(folder), join(folder, "copy"))
      yield* Effect.provide(Effect.andThen(add("b"), add("c")), at(folder))
      copyFileSync(join(folder, "copy"), file(folder))
      for (const notices of [missing(folder, 2, damaged), missing(folder, 2, damaged)]) {
        assert.deepStrictEqual(yield* started(folder), { notices, rows: ["a"] })
      }
      yield* Effect.provide(add("b"), at(folder))
      assert.deepStrictEqual(yield* started(folder), { notices: [], rows: ["a", "b"] })
    })
  )

  it.live("tells of a file that was removed", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      yield* Effect.provide(Effect.andThen(add("a"), add("b")), at(folder))
      const number = mark(folder)
      rmSync(file(folder))
      assert.deepStrictEqual(yield* started(folder), {
        notices: missing(folder, number, "the file was missing"),
        rows: []
      })
    })
  )

  it.live("begins in a database that has none", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const old = new DatabaseSync(file(folder))
      old.exec("CREATE TABLE effect_sql_migrations (migration_id INTEGER PRIMARY KEY, created_at, name)")
      old.exec("INSERT INTO effect_sql_migrations VALUES (1, 0, 'things')")
      old.exec("CREATE TABLE things (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT")
      old.exec("INSERT INTO things (text) VALUES ('a')")
      old.close()
      assert.deepStrictEqual(yield* started(folder), { notices: [], rows: ["a"] })
      yield* Effect.provide(add("b"), at(folder))
      assert.strictEqual(mark(folder), 1)
      assert.deepStrictEqual(yield* started(folder), { notices: [], rows: ["a", "b"] })
    })
  )
})

describe("a database that another process has locked", () => {
  it.live("lets everything else go on while a change waits, and makes it then", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      yield* Effect.gen(function* () {
        const other = new DatabaseSync(file(folder))
        other.exec("BEGIN IMMEDIATE")
        let turns = 0
        yield* Effect.raceFirst(
          add("a"),
          Effect.forever(
            Effect.andThen(
              Effect.sleep("1 millis"),
              Effect.sync(() => {
                if (++turns === 30) other.exec("COMMIT")
              })
            )
          )
        )
        assert.isAtLeast(turns, 30)
        other.close()
        const sql = yield* SqlClient.SqlClient
        assert.lengthOf(yield* sql`SELECT * FROM things`, 1)
      }).pipe(Effect.provide(at(folder)))
    })
  )
})

describe("a database that refuses writes", () => {
  it.live("tells callers and operators why, is degraded at once, and recovers by a probe's write", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const store = yield* SqliteStore
        const health = yield* StoreHealth
        const probe = store.probe(sql`SELECT id FROM things LIMIT 1`)
        const number = mark(folder)
        assert.strictEqual(yield* probe, "healthy")
        // Without an outage it does not write.
        assert.strictEqual(mark(folder), number)
        yield* sql`PRAGMA query_only = ON`
        const detail = `the database ${file(folder)} cannot be written to`
        for (const change of [add("a"), store.essential(sql`DELETE FROM things`)]) {
          assert.deepInclude(yield* Effect.flip(change), { _tag: "StoreUnavailable", applied: "no", detail })
        }
        assert.deepInclude(yield* health.outage, { reason: detail, refused: 2 })
        assert.strictEqual(yield* probe, "degraded")
        assert.deepInclude(yield* store.read(sql`SELECT count(*) AS n FROM things`), { n: 0 })
        yield* sql`PRAGMA query_only = OFF`
        assert.strictEqual(yield* probe, "healthy")
        assert.isUndefined(yield* health.outage)
        assert.strictEqual(mark(folder), number + 1)
        yield* add("a")
        // A row that the schema does not let in is no outage, and the store is as it was.
        assert.deepInclude(yield* Effect.flip(add("a")), { _tag: "StoreUnavailable", applied: "no" })
        assert.strictEqual(yield* probe, "healthy")
        yield* sql`DROP TABLE things`
        assert.strictEqual(yield* probe, "unhealthy")
      }).pipe(Effect.provide(at(folder)))
    })
  )
})

describe("a damaged database", () => {
  it.live("that SQLite cannot open ends the start with the file, why and what to do, and stays as it is", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const content = Buffer.alloc(8192, "no database")
      writeFileSync(file(folder), content)
      const error = yield* Effect.flip(started(folder))
      assert.strictEqual(error._tag, "DatabaseNotUsable")
      assert.include(error.message, `the database ${file(folder)} is damaged: put a copy of it back, or save what`)
      assert.isTrue(readFileSync(file(folder)).equals(content))
    })
  )

  it.live("that SQLite can open is told of", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      yield* Effect.provide(
        Effect.forEach(
          Array.from({ length: 300 }, (_, index) => `${index} ${"x".repeat(100)}`),
          add
        ),
        at(folder)
      )
      const content = readFileSync(file(folder))
      // The last page of the table or its index.
      content.fill(0xff, content.length - 4096, content.length - 2048)
      writeFileSync(file(folder), content)
      const notices = yield* Effect.flatMap(StoreHealth, ({ notices }) => notices).pipe(Effect.provide(at(folder)))
      assert.lengthOf(notices, 1)
      assert.include(notices[0]?.message, `the database ${file(folder)} is damaged`)
    })
  )
})

describe("the reserve of a database", () => {
  it.live("takes four mebibytes of the disk, really, and is taken over at the next start", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const reserve = () => {
        const { blocks, ino, size } = statSync(`${file(folder)}.reserve`)
        assert.deepStrictEqual([size, blocks * 512 >= size], [4 * 1024 * 1024, true])
        return ino
      }
      yield* started(folder)
      const first = reserve()
      yield* started(folder)
      assert.strictEqual(reserve(), first)
      // One that has holes holds nothing.
      truncateSync(`${file(folder)}.reserve`, 0)
      truncateSync(`${file(folder)}.reserve`, 4 * 1024 * 1024)
      yield* started(folder)
      reserve()
    })
  )

  it.live("is none of a database in memory", () =>
    Effect.gen(function* () {
      yield* Effect.void.pipe(
        Effect.provide(Sqlite.layer({ filename: ":memory:", migrations }).pipe(Layer.provide(StoreHealth.layer)))
      )
      for (const suffix of [".reserve", ".commits"]) assert.isFalse(existsSync(`:memory:${suffix}`))
    })
  )
})
