import { assert, layer } from "@effect/vitest"
import type { Query } from "@opsbuddy/contract/Timeseries"
import { Effect, type Layer } from "effect"
import type { SeriesStore } from "../src/SeriesStore.ts"
import { ask, rows, second, value, write } from "./asking.ts"

/** How every backend of `SeriesStore` answers queries. */
export const conformance = <E>(name: string, store: Layer.Layer<SeriesStore, E>) =>
  layer(store)(`SeriesStore querying: ${name}`, (it) => {
    it.effect("computes aggregates in aligned windows, whose start may lie before the range", () =>
      Effect.gen(function* () {
        yield* write(
          [...Array(10).keys()].map((n) => `win v=${n}i,odd=${n % 2 === 1 ? "t" : "f"} ${n}000000000`).join("\n")
        )
        const select = (["mean", "sum", "min", "max", "count", "first", "last"] as const).map((aggregate) => ({
          field: "v",
          aggregate
        }))
        const [mean, ...others] = select
        assert.ok(mean)
        const query: Query = { measurement: "win", select: [mean, ...others], from: "3000000000", to: "9000000000" }
        assert.deepStrictEqual(yield* rows({ ...query, every: "4s" }), [
          ["", [second(0), 3, 3, 3, 3, 1, 3, 3], [second(4), 5.5, 22, 4, 7, 4, 4, 7], [second(8), 8, 8, 8, 8, 1, 8, 8]]
        ])
        assert.deepStrictEqual(yield* rows(query), [["", [second(3), 5.5, 33, 3, 8, 6, 3, 8]]])
        assert.deepStrictEqual(yield* rows({ ...query, every: "4s", order: "desc", limit: 1 }), [
          ["", [second(8), 8, 8, 8, 8, 1, 8, 8]]
        ])
      })
    )

    it.effect("leaves out windows and series without a value", () =>
      Effect.gen(function* () {
        yield* write("gap,k=a v=1 1000000000\ngap,k=b w=1 2000000000\ngap,k=a w=2 3000000000\ngap,k=a v=4 9000000000")
        const select = [{ field: "v", aggregate: "count" }] as const
        assert.deepStrictEqual(yield* rows({ measurement: "gap", select, every: "1s", groupBy: ["k"] }), [
          ["a", [second(1), 1], [second(9), 1]]
        ])
        assert.deepStrictEqual(yield* rows({ measurement: "gap", select, from: "4000000000", to: "5000000000" }), [])
        assert.deepStrictEqual(yield* rows({ measurement: "gap", select: [value], groupBy: ["k"], limit: 1 }), [
          ["a", [second(1), 1]]
        ])
      })
    )

    it.effect("aligns windows before 1970 and over the whole range of times", () =>
      Effect.gen(function* () {
        yield* write(`old v=1 -1\nold v=2 -10000000000\nold v=4 ${-(2n ** 63n) + 1n}\nold v=8 ${2n ** 63n - 2n}`)
        const select = [{ field: "v", aggregate: "sum" }] as const
        assert.deepStrictEqual(
          yield* rows({ measurement: "old", select, every: "10s", from: "-20000000000", to: "0" }),
          [["", ["1969-12-31T23:59:50Z", 3]]]
        )
        assert.deepStrictEqual(yield* rows({ measurement: "old", select, every: "1w" }), [
          ["", ["1677-09-16T00:00:00Z", 4], ["1969-12-25T00:00:00Z", 3], ["2262-04-10T00:00:00Z", 8]]
        ])
      })
    )

    it.effect("finds series by tags, a missing tag being empty, and groups by them", () =>
      Effect.gen(function* () {
        yield* write("tag,host=a,dc=1 v=1 1\ntag,host=b,dc=1 v=2 2\ntag,host=c v=4 3\ntag v=8 4")
        const sum = (query: Partial<Query>) =>
          Effect.map(rows({ measurement: "tag", select: [{ field: "v", aggregate: "sum" }], ...query }), (series) =>
            series.map(([tags, row]) => `${tags}: ${row?.[1]}`)
          )
        assert.deepStrictEqual(yield* sum({}), [": 15"])
        assert.deepStrictEqual(yield* sum({ where: { host: "a" } }), [": 1"])
        assert.deepStrictEqual(yield* sum({ where: { host: ["a", "c", "z"], dc: "1" } }), [": 1"])
        assert.deepStrictEqual(yield* sum({ where: { tag: "dc", op: "=", value: "" } }), [": 12"])
        assert.deepStrictEqual(yield* sum({ where: { tag: "host", op: "in", value: ["b", ""] } }), [": 10"])
        assert.deepStrictEqual(yield* sum({ where: { host: "z" } }), [])
        assert.deepStrictEqual(yield* sum({ groupBy: ["dc"] }), [": 12", "1: 3"])
        assert.deepStrictEqual(yield* sum({ groupBy: ["dc", "host"] }), ["/: 8", "/c: 4", "1/a: 1", "1/b: 2"])
        assert.deepStrictEqual(yield* sum({ groupBy: ["nope"] }), [": 15"])
        assert.deepStrictEqual(yield* sum({ groupBy: ["dc"], limit: 1, order: "desc" }), [": 12", "1: 3"])
        assert.deepStrictEqual(
          yield* rows({ measurement: "tag", select: [value], groupBy: ["dc"], order: "desc", limit: 1 }),
          [
            ["", ["1970-01-01T00:00:00.000000004Z", 8]],
            ["1", ["1970-01-01T00:00:00.000000002Z", 2]]
          ]
        )
      })
    )

    it.effect("answers null where a sum leaves the numbers that JSON has", () =>
      Effect.gen(function* () {
        yield* write("inf v=1e308 1\ninf v=1e308 2")
        const select = [{ field: "v", aggregate: "sum" }] as const
        assert.deepStrictEqual(yield* rows({ measurement: "inf", select, from: "0", to: "9" }), [
          ["", [second(0), null]]
        ])
      })
    )

    it.effect("says which part of a query makes no sense", () =>
      Effect.gen(function* () {
        yield* write('wrong v=1,s="x" 1')
        const wrong = (query: Partial<Query>) =>
          Effect.map(Effect.flip(ask({ measurement: "wrong", select: [value], ...query })), (error) =>
            error._tag === "InvalidQuery" ? error.field : error._tag
          )
        assert.strictEqual(yield* wrong({ measurement: "Wrong" }), "MeasurementNotFound")
        assert.strictEqual(yield* wrong({ select: [{ field: "V" }] }), "select")
        assert.strictEqual(yield* wrong({ select: [{ field: "s", aggregate: "mean" }] }), "select")
        assert.strictEqual(yield* wrong({ select: [value, { field: "v", aggregate: "max" }] }), "select")
        assert.strictEqual(yield* wrong({ select: [value, value] }), "select")
        assert.strictEqual(yield* wrong({ select: [{ field: "v", as: "time" }] }), "select")
        assert.strictEqual(yield* wrong({ every: "1m" }), "every")
        assert.strictEqual(yield* wrong({ select: [{ field: "v", aggregate: "max" }], every: "99999999w" }), "every")
        assert.strictEqual(yield* wrong({ from: "soon" }), "from")
        assert.strictEqual(yield* wrong({ to: "2026-02-30T00:00:00Z" }), "to")
        assert.strictEqual(yield* wrong({ from: "2", to: "1" }), "from")
      })
    )
  })
