import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { Columnar } from "../src/Columnar.ts"
import { inMemory, layerOf, migrations } from "./store.ts"

/** How long the event loop was held at most while `effect` ran, in milliseconds. */
const longestHold = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    let longest = 0
    let last = performance.now()
    const timer = setInterval(() => {
      const now = performance.now()
      longest = Math.max(longest, now - last)
      last = now
    }, 1)
    const value = yield* Effect.ensuring(
      effect,
      Effect.sync(() => clearInterval(timer))
    )
    longest = Math.max(longest, performance.now() - last)
    return { value, longest }
  })

layer(inMemory)("Results", (it) => {
  it.effect("fail where the statement fails midway, instead of ending as if they were whole", () =>
    Effect.gen(function* () {
      const store = yield* Columnar
      // The cast fails in a row that comes long after the first ones have been handed out.
      const late = "SELECT CASE WHEN range < 2500000 THEN range::VARCHAR ELSE 'x' END::INT AS n FROM range(3000000)"
      for (const read of [
        Stream.map(store.stream(late), () => undefined),
        Stream.map(store.streamChunks(late), () => undefined)
      ]) {
        let rows = 0
        const error = yield* Effect.flip(Stream.runForEach(read, () => Effect.sync(() => rows++)))
        assert.strictEqual(error.reason, "statement")
        assert.include(error.message, "failed after")
        assert.isAbove(rows, 0)
      }
      assert.strictEqual((yield* Effect.flip(store.query(late))).reason, "statement")
    })
  )

  it.effect("come as columns, typed arrays where no value is missing", () =>
    Effect.gen(function* () {
      const store = yield* Columnar
      const sql = `SELECT range AS big, range::INTEGER AS small, range / 2 AS half, range::UBIGINT AS unsigned,
        CASE WHEN range % 3 > 0 THEN range END AS gaps, 'n' || range AS text, range % 2 = 0 AS even FROM range(5000)`
      const chunks = yield* Stream.runCollect(store.streamChunks(sql))
      assert.strictEqual(
        chunks.reduce((sum, chunk) => sum + chunk.rowCount, 0),
        5000
      )
      const [first] = chunks
      const kinds = first?.columns.map((column) => column.constructor)
      assert.deepStrictEqual(kinds, [BigInt64Array, Int32Array, Float64Array, BigUint64Array, Array, Array, Array])
      const rows = chunks.flatMap(({ columns, rowCount }) =>
        Array.from({ length: rowCount }, (_, row) => columns.map((column) => column[row]))
      )
      const expected = Array.from({ length: 5000 }, (_, n) => [
        ...[BigInt(n), n, n / 2, BigInt(n), n % 3 > 0 ? BigInt(n) : null],
        ...[`n${n}`, n % 2 === 0]
      ])
      assert.deepStrictEqual(rows, expected)
      const objects = yield* store.query(sql)
      assert.deepStrictEqual(
        objects.map((row) => Object.values(row)),
        expected
      )
    })
  )

  it.effect("may join tables that come with the statement", () =>
    Effect.gen(function* () {
      const store = yield* Columnar
      const count = 300_000
      const pairs = {
        types: { sid: "INTEGER", "the group": "INTEGER", name: "VARCHAR" },
        columns: [
          Int32Array.from({ length: count }, (_, n) => n),
          {
            values: Int32Array.from({ length: count }, (_, n) => n % 7),
            nulls: Uint8Array.from({ length: count }, (_, n) => (n === 5 ? 1 : 0))
          },
          Array.from({ length: count }, (_, n) => `group ${n % 3}`)
        ],
        rowCount: count
      } as const
      const sql = `SELECT "the group" AS g, count(*)::INT AS n FROM pairs WHERE sid < $1 GROUP BY g ORDER BY g NULLS LAST`
      const read = store.query(sql, [70], { tables: { pairs } })
      const { longest, value } = yield* longestHold(read)
      assert.deepStrictEqual(value, [
        ...[0, 1, 2, 3, 4].map((g) => ({ g, n: 10 })),
        { g: 5, n: 9 },
        { g: 6, n: 10 },
        { g: null, n: 1 }
      ])
      assert.isBelow(longest, 500)
      // Each statement has its own.
      assert.include((yield* Effect.flip(store.query(sql, [70]))).message, "pairs")
    })
  )

  it.effect("come from SELECT alone, one at a time", () =>
    Effect.gen(function* () {
      const store = yield* Columnar
      const others = [
        "INSERT INTO points VALUES (1, 'x')",
        "CREATE TABLE other (a INTEGER)",
        "DELETE FROM points RETURNING id",
        "SET threads = 1",
        "SELECT 1; DROP TABLE points",
        "CHECKPOINT"
      ]
      for (const sql of others) {
        assert.strictEqual((yield* Effect.flip(store.query(sql))).reason, "statement", sql)
      }
      assert.deepStrictEqual(yield* store.query("SELECT count(*)::INT AS n FROM points"), [{ n: 0 }])
    })
  )

  it.effect("of a million rows do not hold the event loop", () =>
    Effect.gen(function* () {
      const store = yield* Columnar
      const rows = store.stream("SELECT range AS n, 'text ' || range AS s, range / 3 AS d FROM range(1000000)")
      const { longest, value } = yield* longestHold(
        Stream.runFold(
          rows,
          () => 0,
          (count) => count + 1
        )
      )
      assert.strictEqual(value, 1_000_000)
      // 50 ms on a machine of its own; here others may run.
      assert.isBelow(longest, 500)
    })
  )
})

layer(inMemory)("Columns that are appended", (it) => {
  it.effect("come back as they are, in slices that do not hold the event loop", () =>
    Effect.gen(function* () {
      const store = yield* Columnar
      const count = 200_000
      yield* store.write((writer) =>
        writer.run(
          "CREATE TABLE wide (a BIGINT, b DOUBLE, c INTEGER, d BOOLEAN, e UBIGINT, f VARCHAR, g BIGINT, h TINYINT)"
        )
      )
      const columns = [
        BigInt64Array.from({ length: count }, (_, n) => BigInt(n)),
        Float64Array.from({ length: count }, (_, n) => n / 4),
        Int32Array.from({ length: count }, (_, n) => -n),
        Uint8Array.from({ length: count }, (_, n) => n % 2),
        BigUint64Array.from({ length: count }, (_, n) => 2n ** 64n - 1n - BigInt(n)),
        Array.from({ length: count }, (_, n) => (n % 11 === 0 ? null : `text ${n % 100}`)),
        {
          values: BigInt64Array.from({ length: count }, (_, n) => BigInt(n)),
          nulls: Uint8Array.from({ length: count }, (_, n) => (n % 5 === 0 ? 1 : 0))
        },
        Array.from({ length: count }, (_, n) => n % 100)
      ]
      const { longest } = yield* longestHold(store.write((writer) => writer.appendColumns("wide", columns, count)))
      assert.isBelow(longest, 500)
      const [sums] = yield* store.query(
        `SELECT count(*)::INT AS n, sum(a)::DOUBLE AS a, sum(b) AS b, sum(c)::DOUBLE AS c, count(*) FILTER (d)::INT AS d, max(e) AS e,
          count(f)::INT AS f, count(g)::INT AS g, sum(h)::DOUBLE AS h, count(*) FILTER (a <> -c OR g <> a OR f <> 'text ' || (a % 100))::INT AS wrong FROM wide`
      )
      const sum = (count * (count - 1)) / 2
      assert.deepStrictEqual(sums, {
        ...{ n: count, a: sum, b: sum / 4, c: -sum, d: count / 2, e: 2n ** 64n - 1n },
        ...{ f: count - Math.ceil(count / 11), g: (count / 5) * 4, h: 99 * (count / 2), wrong: 0 }
      })
      const short = yield* Effect.flip(
        store.write((writer) => writer.appendColumns("wide", columns.with(0, new BigInt64Array(1)), count))
      )
      assert.include(short.message, "column 0 has 1 values")
    })
  )
})

layer(layerOf({ filename: ":memory:", migrations, memoryLimit: "64 MiB", memorySetting: "OPSBUDDY_TEST_MEMORY" }))(
  "A store with little memory",
  (it) => {
    it.effect("says that a statement needs more than the limit, and which setting that is", () =>
      Effect.gen(function* () {
        const store = yield* Columnar
        const error = yield* Effect.flip(store.query("SELECT list(range) AS l FROM range(20000000) GROUP BY range % 3"))
        assert.strictEqual(error.reason, "memory")
        assert.include(error.message, "64 MiB (OPSBUDDY_TEST_MEMORY)")
        const refused = yield* Effect.flip(
          store.write((writer) => writer.run("INSERT INTO points SELECT 1, list(range)::VARCHAR FROM range(20000000)"))
        )
        assert.strictEqual(refused.reason, "memory")
        assert.strictEqual(refused.applied, "no")
        yield* store.write((writer) => writer.append("points", [[1, "x"]]))
      })
    )

    it.effect("runs a transaction once more that found no memory, and keeps what the second run did", () =>
      Effect.gen(function* () {
        const store = yield* Columnar
        let runs = 0
        let committed = 0
        yield* store.write((writer) => {
          writer.afterCommit(() => committed++)
          const rows = writer.append("points", [[7, "second run"]])
          const tooMuch = writer.run("INSERT INTO points SELECT 8, list(range)::VARCHAR FROM range(20000000)")
          return runs++ === 0 ? Effect.andThen(rows, tooMuch) : rows
        })
        assert.deepStrictEqual([runs, committed], [2, 1])
        assert.deepStrictEqual(yield* store.query("SELECT name FROM points WHERE id > 6"), [{ name: "second run" }])
      })
    )

    it.effect("reads more rows than fit into it, and frees a stream that is left halfway", () =>
      Effect.gen(function* () {
        const store = yield* Columnar
        const sql = "SELECT range AS n, repeat('x', 100) AS s FROM range(3000000)"
        const count = yield* Stream.runFold(
          store.streamChunks(sql),
          () => 0,
          (sum, chunk) => sum + chunk.rowCount
        )
        assert.strictEqual(count, 3_000_000)
        for (let index = 0; index < 20; index++) yield* Stream.runDrain(Stream.take(store.streamChunks(sql), 1))
        const held = yield* store.query<{ readonly bytes: number }>(
          "SELECT sum(memory_usage_bytes)::DOUBLE AS bytes FROM duckdb_memory()"
        )
        assert.isBelow(held[0]?.bytes ?? 0, 8 * 2 ** 20)
      })
    )

    it.effect("lets a slow reader keep no turn", () =>
      Effect.gen(function* () {
        const store = yield* Columnar
        const slow = Stream.runForEach(store.streamChunks("SELECT range FROM range(1000000)"), () => Effect.never)
        const fibers = yield* Effect.forEach([1, 2, 3, 4], () => Effect.forkChild(slow, { startImmediately: true }))
        for (let index = 0; index < 10; index++) yield* store.query("SELECT 1")
        yield* Fiber.interruptAll(fibers)
      })
    )
  }
)
