import { assert, describe, it } from "@effect/vitest"
import { Columnar } from "@opsbuddy/columnar/Columnar"
import type { Query } from "@opsbuddy/contract/Timeseries"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Effect, Layer } from "effect"
import { ownTable } from "../src/OwnTable.ts"
import { SeriesStore } from "../src/SeriesStore.ts"
import { migrations } from "../src/SeriesStoreDuckDB.ts"
import { ask, rows, write } from "./asking.ts"
import { limits, ownTables, store, temporaryFile } from "./stores.ts"

const count = (n: number) => [...Array(n).keys()]
const at = (nanoseconds: number) => `1970-01-01T00:00:00.${String(nanoseconds).padStart(9, "0").replace(/0+$/, "")}Z`
const aggregate = (field: string, aggregate: "sum" | "mean" | "count") => ({ field, aggregate }) as const

describe("The layout of the embedded store", () => {
  it.effect("takes thousands of measurements of one point each, and opens again, with little memory", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryFile
      const lines = (from: number, time: number) =>
        count(1500)
          .map((n) => `small_${from + n},host=a v=${n} ${time}`)
          .join("\n")
      yield* Effect.gen(function* () {
        for (const from of [0, 1500, 3000]) for (const time of [10, 20, 5]) yield* write(lines(from, time))
      }).pipe(Effect.provide(store(filename, limits, "64 MiB")))
      yield* Effect.gen(function* () {
        assert.lengthOf(yield* (yield* SeriesStore).measurements, 4500)
        yield* write(lines(0, 15))
        assert.deepStrictEqual(yield* rows({ measurement: "small_1499", select: [{ field: "v" }] }), [
          ["a", ...[5, 10, 15, 20].map((time) => [at(time), 1499])]
        ])
      }).pipe(Effect.provide(store(filename, limits, "64 MiB")))
    }).pipe(Effect.scoped)
  )

  for (const [name, options] of Object.entries({ "shared tables": limits, "own tables": ownTables })) {
    it.effect(`takes a line of 2500 fields twice, and fields one after the other: ${name}`, () =>
      Effect.gen(function* () {
        const wide = count(2500)
          .map((n) => `f${n}=${n}`)
          .join()
        yield* write(`wide ${wide} 1`)
        yield* write(`wide ${wide} 2`)
        yield* write(`wide ${wide} 2`)
        for (const n of count(300)) yield* write(`grows f${n}=${n},t="x" ${n}`)
        const select = [{ field: "f0" }, { field: "f255" }, { field: "f256" }, { field: "f2499" }] as const
        assert.deepStrictEqual(yield* rows({ measurement: "wide", select }), [
          ["", [at(1), 0, 255, 256, 2499], [at(2), 0, 255, 256, 2499]]
        ])
        assert.deepStrictEqual(
          yield* rows({ measurement: "grows", select: [{ field: "f299" }, { field: "t" }], from: "298" }),
          [["", [at(298), null, "x"], [at(299), 299, "x"]]]
        )
        assert.deepStrictEqual(
          yield* rows({ measurement: "wide", select: [aggregate("f7", "sum"), aggregate("f2000", "mean")], from: "0" }),
          [["", ["1970-01-01T00:00:00Z", 14, 2000]]]
        )
      }).pipe(Effect.provide(store(":memory:", options, "512 MiB")))
    )
  }

  it.effect("gives a measurement a table of its own when it is worth one, and reads on across the change", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryFile
      const options = { ...limits, worth: { values: 8, valuesPerPoint: 2 } }
      const points = (...times: ReadonlyArray<number>) =>
        write(times.map((time) => `cpu,host=a u=${time},s=${time * 2}i ${time}`).join("\n"))
      const tables = Effect.gen(function* () {
        const found = yield* (yield* Columnar).query<{ readonly id: number }>(
          "SELECT id FROM measurements WHERE own_after IS NOT NULL"
        )
        return found.map(ownTable)
      })
      const all = { measurement: "cpu", select: [{ field: "u" }, { field: "s" }] } as const
      yield* Effect.gen(function* () {
        yield* points(10, 20, 30, 40)
        assert.deepStrictEqual(yield* tables, [])
        // 35 is before the table's time and 45 after it; both come late once, and 40 and 50 are overwritten.
        yield* points(50)
        assert.deepStrictEqual(yield* tables, ["m1"])
        yield* points(60, 45, 35)
        yield* write("cpu,host=a u=-1 40\ncpu,host=a u=-2 50\ncpu,host=b u=1 35\ncpu,host=b u=2,n=t 70")
      }).pipe(Effect.provide(store(filename, options)))
      yield* Effect.gen(function* () {
        const shown = (time: number, u = time) => [at(time), u, time * 2]
        assert.deepStrictEqual(yield* rows(all), [
          ["a", shown(10), shown(20), shown(30), shown(35), shown(40, -1), shown(45), shown(50, -2), shown(60)],
          ["b", [at(35), 1, null], [at(70), 2, null]]
        ])
        const sums = [aggregate("u", "sum"), aggregate("s", "sum"), aggregate("u", "count")] as const
        const between = (from: number, to: number) =>
          Effect.map(rows({ measurement: "cpu", select: sums, from: String(from), to: String(to) }), ([series]) =>
            series?.[1]?.slice(1)
          )
        assert.deepStrictEqual(yield* between(0, 36), [10 + 20 + 30 + 35 + 1, 2 * 95, 5])
        assert.deepStrictEqual(yield* between(40, 46), [-1 + 45, 80 + 90, 2])
        assert.deepStrictEqual(yield* between(46, 99), [-2 + 60 + 2, 100 + 120, 3])
        assert.deepStrictEqual(yield* between(0, 99), [96 + 44 + 60, 2 * 95 + 170 + 220, 10])
      }).pipe(Effect.provide(store(filename, options)))
    }).pipe(Effect.scoped)
  )

  it.effect("keeps a measurement with a point far ahead of now in the shared tables", () =>
    Effect.gen(function* () {
      yield* write(`ahead v=1 ${2n ** 63n - 2n}`)
      for (const time of [1, 2, 3]) yield* write(`ahead v=${time} ${time}`)
      assert.deepStrictEqual(
        yield* rows({ measurement: "ahead", select: [aggregate("v", "sum")], from: "0", to: "10" }),
        [["", ["1970-01-01T00:00:00Z", 6]]]
      )
      const found = yield* (yield* Columnar).query("SELECT 1 FROM measurements WHERE own_after IS NOT NULL")
      assert.lengthOf(found, 0)
    }).pipe(Effect.provide(store(":memory:", ownTables)))
  )

  it.effect("adds floats exactly, so that the same query has the same result each time", () =>
    Effect.gen(function* () {
      // The last is beyond what 128 bits hold beside the others.
      const scales = { near: [1, 80], far: [1e-9, 1e7], wide: [1e-17, 1e15], widest: [1e-300, 1e100] }
      const random = (seed: number) => Math.abs(Math.sin(seed) * 10_000) % 1
      for (const [name, factors] of Object.entries(scales)) {
        const values = count(30_000).map((n) => (random(n) - 0.5) * (factors[n % factors.length] ?? 1))
        yield* write(values.map((value, n) => `exact,k=${n % 100} ${name}=${value} ${n}`).join("\n"))
        const query: Query = { measurement: "exact", select: [aggregate(name, "sum"), aggregate(name, "mean")] }
        const results = new Set<string>()
        for (const _ of count(12)) results.add(JSON.stringify(yield* ask({ ...query, from: "0" })))
        assert.strictEqual(results.size, 1, name)
        if (name === "widest") continue
        const [sum, mean] = (yield* ask({ ...query, from: "0" }))[0]?.rows[0]?.slice(1) ?? []
        const exact = exactSum(values)
        assert.closeTo(Number(sum), exact, Math.abs(exact) * 2 ** -51, name)
        assert.closeTo(Number(mean), exact / values.length, Math.abs(exact / values.length) * 2 ** -51, name)
      }
    }).pipe(Effect.provide(store(":memory:")))
  )

  it.effect("refuses new series and fields beyond the limits by name, and goes on with those it knows", () =>
    Effect.gen(function* () {
      yield* write("a,k=1 v=1 1\na,k=2 v=1 1\nb v=1 1")
      const series = yield* Effect.flip(write("a,k=1 v=2 2\nb,k=3 v=1 1"))
      assert.deepInclude(series, { _tag: "LimitReached", limit: "series", maximum: 3 })
      assert.include(series.detail, "OPSBUDDY_TIMESERIES_MAX_SERIES")
      const fields = yield* Effect.flip(write("a,k=1 v=1,w=1,x=1 2"))
      assert.deepInclude(fields, { _tag: "LimitReached", limit: "fields", maximum: 2 })
      yield* write("a,k=1 v=2,w=2 2\na,k=2 v=3 3")
      assert.deepStrictEqual(yield* rows({ measurement: "a", select: [{ field: "v" }] }), [
        ["1", [at(1), 1], [at(2), 2]],
        ["2", [at(1), 1], [at(3), 3]]
      ])
    }).pipe(Effect.provide(store(":memory:", { ...limits, maxSeries: 3, maxFields: 2 })))
  )

  it.effect("opens a store of the first release, which has a table for each measurement", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryFile
      const firstRelease = Layer.merge(
        Columnar.layer({ filename, migrations: { "0001 catalog": migrations["0001 catalog"] } }),
        StoreHealth.layer
      ).pipe(Layer.provideMerge(StoreHealth.layer))
      yield* Effect.gen(function* () {
        const columnar = yield* Columnar
        yield* columnar.write((writer) =>
          writer.run(`
            INSERT INTO measurements VALUES (1, 'small'), (2, 'large');
            INSERT INTO fields VALUES (1, 0, 'v', 'float'), (1, 1, 's', 'string'), (2, 0, 'v', 'float'), (2, 1, 'n', 'integer');
            INSERT INTO series VALUES (1, 1, '[["host","a"]]'), (2, 1, '[["dc","x"],["host","b"]]'), (3, 2, '[]');
            CREATE TABLE m1 (ts BIGINT, sid INTEGER, f0 DOUBLE, f1 VARCHAR);
            INSERT INTO m1 VALUES (1, 1, 0.1, NULL), (2, 1, NULL, 'x'), (3, 2, -7e20, 'y');
            CREATE TABLE m2 (ts BIGINT, sid INTEGER, f0 DOUBLE, f1 BIGINT);
            INSERT INTO m2 SELECT t, 3, t / 8, t FROM range(30000) r (t);`)
        )
      }).pipe(Effect.provide(firstRelease))
      for (const _ of ["upgraded", "and again"]) {
        yield* Effect.gen(function* () {
          assert.deepStrictEqual(yield* (yield* SeriesStore).measurements, [
            {
              name: "large",
              fields: [
                { name: "n", type: "integer" },
                { name: "v", type: "float" }
              ],
              tags: [],
              seriesCount: 1
            },
            {
              name: "small",
              fields: [
                { name: "s", type: "string" },
                { name: "v", type: "float" }
              ],
              tags: ["dc", "host"],
              seriesCount: 2
            }
          ])
          assert.deepStrictEqual(yield* rows({ measurement: "small", select: [{ field: "v" }, { field: "s" }] }), [
            ["x/b", [at(3), -7e20, "y"]],
            ["a", [at(1), 0.1, null], [at(2), null, "x"]]
          ])
          yield* write("small,host=a v=0.1 1\nlarge v=0,n=0i 0\nlarge v=1e-3,n=1i 30001")
          const sums = [aggregate("v", "sum"), aggregate("n", "sum")] as const
          assert.deepStrictEqual(yield* rows({ measurement: "large", select: sums, from: "0", to: "30000" }), [
            ["", ["1970-01-01T00:00:00Z", (29_999 * 15_000) / 8, 29_999 * 15_000]]
          ])
          const tables = yield* (yield* Columnar).query<{ readonly id: number }>(
            "SELECT id FROM measurements WHERE own_after IS NOT NULL"
          )
          assert.deepStrictEqual(tables.map(ownTable), ["m2"])
        }).pipe(Effect.provide(store(filename)))
      }
    }).pipe(Effect.scoped)
  )
})

/** The sum of floats, rounded once: each is an integer of 2 to the power of -1074. */
const exactSum = (values: ReadonlyArray<number>) => {
  const bits = new DataView(new ArrayBuffer(8))
  let sum = 0n
  for (const value of values) {
    bits.setFloat64(0, Math.abs(value))
    const whole = bits.getBigUint64(0)
    const exponent = whole >> 52n
    const mantissa = (whole & (2n ** 52n - 1n)) | (exponent === 0n ? 0n : 2n ** 52n)
    sum += (value < 0 ? -mantissa : mantissa) << (exponent === 0n ? 0n : exponent - 1n)
  }
  const digits = sum < 0n ? -sum : sum
  const shift = BigInt(Math.max(0, digits.toString(2).length - 60))
  return Number(digits >> shift) * 2 ** (Number(shift) - 1074) * (sum < 0n ? -1 : 1)
}
