import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Columnar, type Value } from "../src/Columnar.ts"
import { layerOf } from "./store.ts"

const store = layerOf({
  filename: ":memory:",
  migrations: {
    "1 all": "CREATE TABLE every (n BIGINT, int BIGINT, double DOUBLE, text VARCHAR, flag BOOLEAN, small VARCHAR)"
  }
})

const kind = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

/** Of each column how many different values it takes, whether some are missing, and how many rows there are. */
const shape = Schema.Struct({ rows: kind(5000), ints: kind(60), texts: kind(4000), labels: kind(5), gaps: kind(4) })

const integers: ReadonlyArray<number | bigint> = [
  ...[0, 2n ** 63n - 1n, -1, 1, -(2n ** 63n), 2 ** 32, -(2 ** 32), 2 ** 32 - 1, -(2 ** 31), -1n],
  ...[Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]
]
const doubles = [0, -0, 0.1, -1e308, 5e-324, Number.POSITIVE_INFINITY, Number.NaN]
// Up to 12 bytes are kept in the vector itself, longer ones beside it.
const texts = [
  "",
  "a",
  "twelve bytes",
  "thirteen byte",
  "größe 🚀",
  "🚀".repeat(3),
  "🚀".repeat(4),
  "x".repeat(70_000),
  "a\0b"
]

const at = <A>(list: ReadonlyArray<A>, index: number) => list[index % list.length]

layer(store)("rows that are appended", (it) => {
  it.effect.prop(
    "come back as they are, however often their strings repeat and whatever is missing",
    { shape },
    Effect.fnUntraced(function* ({ shape }) {
      const columnar = yield* Columnar
      const missing = (row: number) => shape.gaps > 0 && row % (shape.gaps * 7) < shape.gaps
      const rows = Array.from({ length: shape.rows }, (_, n): ReadonlyArray<Value> => {
        const text = n % Math.max(1, shape.texts)
        return [
          n,
          missing(n) ? null : (at(integers, n % (shape.ints + 1)) ?? null),
          missing(n + 1) ? null : (at(doubles, n) ?? null),
          missing(n + 2) ? null : text < texts.length ? (texts[text] ?? null) : `a text of its own ${text}`,
          missing(n + 3) ? null : n % 2 === 0,
          missing(n + 4) ? null : `label ${n % (shape.labels + 1)}`
        ]
      })
      yield* columnar.write((writer) => Effect.andThen(writer.run("DELETE FROM every"), writer.append("every", rows)))
      const stored = yield* columnar.query("SELECT * FROM every ORDER BY n")
      const expected = rows.map((row) =>
        row.map((value, column) => (column < 2 && typeof value === "number" ? BigInt(value) : value))
      )
      assert.deepStrictEqual(
        stored.map((row) => Object.values(row)),
        expected
      )
    }),
    { arbitrary: { runs: 40 } }
  )

  it.effect("are refused where a value is not of its column's type, and none of them is stored", () =>
    Effect.gen(function* () {
      const columnar = yield* Columnar
      yield* columnar.write((writer) => writer.run("DELETE FROM every"))
      const good: ReadonlyArray<Value> = [1n, 1n, 1, "x", true, "x"]
      const wrong: ReadonlyArray<readonly [column: number, value: Value, reason: string]> = [
        [1, 1.5, "number in a column of type BIGINT"],
        [1, 2 ** 53, "number in a column of type BIGINT"],
        [1, "1", "string in a column of type BIGINT"],
        [1, 2n ** 63n, "does not fit 64 bits"],
        [2, 1n, "bigint in a column of type DOUBLE"],
        [3, 1, "number in a column of type VARCHAR"]
      ]
      for (const [column, value, reason] of wrong) {
        const error = yield* Effect.flip(
          columnar.write((writer) => writer.append("every", [good, good.with(column, value)]))
        )
        assert.include(error.message, reason)
      }
      assert.deepStrictEqual(yield* columnar.query("SELECT count(*)::INT AS n FROM every"), [{ n: 0 }])
    })
  )
})
