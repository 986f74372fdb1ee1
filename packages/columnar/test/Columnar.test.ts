import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope, Stream } from "effect"
import { Columnar, type Writer } from "../src/Columnar.ts"
import { inMemory, open, temporaryFile } from "./store.ts"

const count = (store: Columnar["Service"]) =>
  Effect.map(store.query<{ readonly n: bigint }>("SELECT count(*) n FROM points"), (rows) => Number(rows[0]?.n))

layer(inMemory)("Columnar", (it) => {
  it.effect("binds and answers every kind of value without losing a digit", () =>
    Effect.gen(function* () {
      const store = yield* Columnar
      const values = [
        null,
        true,
        0,
        -0,
        7,
        2 ** 40,
        1e300,
        0.1,
        9_223_372_036_854_775_807n,
        -(2n ** 63n),
        "",
        "a'\"; é 🚀"
      ]
      const [row] = yield* store.query(
        `SELECT ${values.map((_, index) => `$${index + 1} AS c${index}`).join(", ")}`,
        values
      )
      const expected = values.map((value) =>
        Number.isSafeInteger(value) && !Object.is(value, -0) ? BigInt(Number(value)) : value
      )
      assert.deepStrictEqual(Object.values(row ?? {}), expected)
      assert.strictEqual((yield* Effect.flip(store.query("SELECT $1", [2n ** 63n]))).reason, "statement")
    })
  )

  it.effect("answers a failed statement with the engine's words", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip((yield* Columnar).query("SELECT nope"))
      assert.strictEqual(error.reason, "statement")
      assert.include(error.message, "nope")
    })
  )

  it.effect("cannot be made to read other files or load extensions", () =>
    Effect.gen(function* () {
      const store = yield* Columnar
      for (const sql of ["SELECT * FROM read_text('/etc/hostname')", "ATTACH '/tmp/other.duckdb'", "INSTALL httpfs"]) {
        assert.strictEqual((yield* Effect.flip(store.query(sql))).reason, "statement", sql)
      }
    })
  )

  it.effect("writes while long statements read, and stops them when their readers are interrupted", () =>
    Effect.gen(function* () {
      const store = yield* Columnar
      const endless = "SELECT count(*) FROM range(100000000000) a WHERE hash(a.range) = 1"
      const fiber = yield* Effect.forkChild(
        Effect.all([store.query(endless), store.query(endless)], { concurrency: 2 })
      )
      yield* store.write((writer) => writer.query("SELECT 1"))
      yield* store.ping
      yield* Fiber.interrupt(fiber)
      assert.lengthOf(yield* store.query("SELECT 1"), 1)
    })
  )

  it.effect("streams a big result in pieces and may leave it halfway", () =>
    Effect.gen(function* () {
      const store = yield* Columnar
      const rows = store.stream<{ readonly n: bigint }>("SELECT range AS n FROM range($1)", [300_000])
      const sum = yield* Stream.runFold(
        rows,
        () => 0n,
        (sum, row) => sum + row.n
      )
      assert.strictEqual(sum, (300_000n * 299_999n) / 2n)
      // More abandoned streams than there are turns to read.
      for (let index = 0; index < 5; index++) assert.lengthOf(yield* Stream.runCollect(Stream.take(rows, 3)), 3)
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(store.stream("SELECT nope")))).reason, "statement")
      assert.deepStrictEqual(yield* Stream.runCollect(store.stream("SELECT 1 WHERE false")), [])
    })
  )

  it.effect("refuses rows that do not fit the table and writes none of them", () =>
    Effect.gen(function* () {
      const store = yield* Columnar
      const before = yield* count(store)
      for (const rows of [
        [[1n]],
        [["one", "text"]],
        [[1n, 2]],
        [[2n ** 64n, "x"]],
        [
          [900n, "twice"],
          [900n, "twice"]
        ]
      ]) {
        const error = yield* Effect.flip(store.write((writer) => writer.append("points", rows)))
        assert.strictEqual(error.reason, "statement")
      }
      assert.strictEqual(yield* count(store), before)
    })
  )
})

describe("Columnar on disk", () => {
  it.live("keeps what was written, applies each migration once and refuses a file of a newer program", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryFile
      const more = { "2 level": "ALTER TABLE points ADD COLUMN level INTEGER DEFAULT 3; UPDATE points SET level = 1" }
      yield* Effect.scoped(
        Effect.gen(function* () {
          const store = yield* open(filename)
          const rows = Array.from({ length: 5000 }, (_, index) => [BigInt(index), `name ${index}`])
          yield* store.write((writer) => writer.append("points", rows))
          yield* store.ping
          assert.isAbove(yield* store.size, 5000)
        })
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const store = yield* open(filename, more)
          assert.deepStrictEqual(yield* store.query("SELECT * FROM points WHERE id = 4999"), [
            { id: 4999n, name: "name 4999", level: 1 }
          ])
          yield* store.write((writer) => writer.run("UPDATE points SET level = 2"))
        })
      )
      const again = yield* Effect.scoped(
        Effect.flatMap(open(filename, more), (store) => store.query("SELECT DISTINCT level FROM points"))
      )
      assert.deepStrictEqual(again, [{ level: 2 }])
      const older = yield* Effect.flip(Effect.scoped(open(filename)))
      assert.strictEqual(older.reason, "migration")
      assert.include(older.message, "2 level")
    }).pipe(Effect.scoped)
  )

  it.live("leaves nothing of a migration that fails", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryFile
      const broken = { "2 broken": "CREATE TABLE half (a INTEGER); SELECT nope" }
      const error = yield* Effect.flip(Effect.scoped(open(filename, broken)))
      assert.strictEqual(error.reason, "migration")
      assert.include(error.message, "2 broken")
      const store = yield* open(filename, { "2 broken": "CREATE TABLE half (b INTEGER)" })
      assert.deepStrictEqual(yield* store.query("SELECT b FROM half"), [])
    }).pipe(Effect.scoped)
  )

  it.live("commits many writers in few transactions and acknowledges each after its rows can be read", () =>
    Effect.gen(function* () {
      const store = yield* open(yield* temporaryFile)
      const writers = new Set<Writer>()
      let afterCommits = 0
      const ids = Array.from({ length: 400 }, (_, index) => BigInt(index))
      yield* Effect.forEach(
        ids,
        Effect.fnUntraced(function* (id) {
          const written = yield* store.write(
            Effect.fnUntraced(function* (writer) {
              writers.add(writer)
              yield* writer.append("points", [[id, "x"]])
              writer.afterCommit(() => afterCommits++)
              return id
            })
          )
          assert.strictEqual(written, id)
          assert.lengthOf(yield* store.query("SELECT 1 FROM points WHERE id = $1", [id]), 1)
        }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(yield* count(store), 400)
      assert.strictEqual(afterCommits, 400)
      assert.isBelow(writers.size, 40)
    }).pipe(Effect.scoped)
  )

  it.live("fails only the job that is wrong, with its own error, whichever way it is wrong", () =>
    Effect.gen(function* () {
      const store = yield* open(yield* temporaryFile)
      const job = (index: number) =>
        store.write((writer) =>
          writer
            .run("INSERT INTO points VALUES ($1, 'x')", [index])
            .pipe(
              Effect.andThen(index === 10 ? Effect.fail("refused") : Effect.void),
              Effect.andThen(
                index === 20 ? writer.run("INSERT INTO points VALUES ($1, 'again')", [index]) : Effect.void
              ),
              Effect.andThen(index === 30 ? Effect.die("broken") : Effect.void)
            )
        )
      const exits = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, index) => index),
        (index) => Effect.exit(job(index)),
        {
          concurrency: "unbounded"
        }
      )
      assert.deepStrictEqual(Exit.findErrorOption(exits[10] ?? Exit.void), Option.some("refused"))
      assert.isTrue(Exit.hasDies(exits[30] ?? Exit.void))
      const constraint = Option.getOrThrow(Exit.findErrorOption(exits[20] ?? Exit.void))
      assert.include(String(constraint), "Constraint Error")
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 47)
      assert.strictEqual(yield* count(store), 47)
    }).pipe(Effect.scoped)
  )

  it.live("completes waiting writes when it closes, and refuses later ones", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryFile
      const scope = yield* Scope.make()
      const store = yield* Scope.provide(open(filename), scope)
      const write = (id: bigint) => store.write((writer) => writer.append("points", [[id, "x"]]))
      const fibers = yield* Effect.forEach(
        Array.from({ length: 100 }, (_, index) => BigInt(index)),
        (id) => Effect.forkChild(write(id), { startImmediately: true })
      )
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.joinAll(fibers)
      assert.strictEqual((yield* Effect.flip(write(100n))).reason, "closed")
      assert.strictEqual((yield* Effect.flip(store.ping)).reason, "closed")
      assert.strictEqual(yield* Effect.flatMap(open(filename), count), 100)
    }).pipe(Effect.scoped)
  )
})
