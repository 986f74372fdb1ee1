import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { SeriesStore } from "../src/SeriesStore.ts"
import { rows, write } from "./asking.ts"
import { answer, type Sample, toLine } from "./model.ts"
import * as Querying from "./SeriesStore.querying.ts"
import * as Writing from "./SeriesStore.writing.ts"
import { limits, ownTables, store, temporaryFile } from "./stores.ts"

Writing.conformance("DuckDB, shared tables", store(":memory:"))
Querying.conformance("DuckDB, shared tables", store(":memory:"))
Writing.conformance("DuckDB, own tables", store(":memory:", ownTables))
Querying.conformance("DuckDB, own tables", store(":memory:", ownTables))

describe("SeriesStoreDuckDB", () => {
  it.effect("knows its measurements, fields, series and newest points again when it is opened again", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryFile
      const before = yield* Effect.gen(function* () {
        yield* write('a,host=x v=1,s="x" 10\na,host=y v=2 20\nb w=1i 1')
        yield* write("a,host=y u=1u 30")
        return yield* (yield* SeriesStore).measurements
      }).pipe(Effect.provide(store(filename)))
      yield* Effect.gen(function* () {
        assert.deepStrictEqual(yield* (yield* SeriesStore).measurements, before)
        yield* write("a,host=y v=3 20\na,host=z v=4 20\na,host=y v=5 5\na,host=x w=t 10\nc v=1 1")
        const select = [{ field: "v" }, { field: "u" }, { field: "w" }] as const
        const time = (nanoseconds: number) =>
          `1970-01-01T00:00:00.${String(nanoseconds).padStart(9, "0").replace(/0+$/, "")}Z`
        assert.deepStrictEqual(yield* rows({ measurement: "a", select, groupBy: ["host"] }), [
          ["x", [time(10), 1, null, true]],
          ["y", [time(5), 5, null, null], [time(20), 3, null, null], [time(30), null, 1, null]],
          ["z", [time(20), 4, null, null]]
        ])
      }).pipe(Effect.provide(store(filename)))
    }).pipe(Effect.scoped)
  )
})

const Samples = Schema.Array(
  Schema.Struct({
    host: Schema.Literals(["a", "b", "c"]),
    time: Schema.Int.check(Schema.isBetween({ minimum: -20, maximum: 20 })),
    float: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: -1000, maximum: 1000 }))),
    integer: Schema.optionalKey(Schema.Int),
    batch: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4 }))
  })
).check(Schema.isMaxLength(60))

for (const [name, options] of Object.entries({ "shared tables": limits, "own tables": ownTables })) {
  layer(store(":memory:", options))(`SeriesStoreDuckDB against a model, ${name}`, (it) => {
    let run = 0
    it.effect.prop("aggregates as plain TypeScript does, whatever is late or written twice", [Samples], ([generated]) =>
      Effect.gen(function* () {
        const measurement = `run ${run++}`
        const samples: ReadonlyArray<Sample> = [
          ...generated.toSorted((a, b) => a.batch - b.batch),
          { host: "a", time: 0, float: 1, integer: 1, batch: 5 }
        ]
        const batches = [0, 1, 2, 3, 4, 5].map((batch) => samples.filter((sample) => sample.batch === batch))
        // Not awaited one by one, so that some share a transaction; they are written in this order all the same.
        yield* Effect.forEach(
          batches,
          (batch) => write(batch.map((sample) => toLine(measurement, sample)).join("\n")),
          {
            concurrency: "unbounded"
          }
        )
        for (const field of ["float", "integer"] as const) {
          for (const every of [undefined, 7n]) {
            for (const groupBy of [[], ["host"]]) {
              const expected = answer(samples, { field, every, byHost: groupBy.length > 0, from: -15n, to: 12n })
              const select = (["mean", "sum", "min", "max", "count", "first", "last"] as const).map((aggregate) => ({
                field,
                aggregate
              }))
              const [first, ...others] = select
              assert.ok(first)
              const actual = yield* rows({
                measurement,
                select: [first, ...others],
                groupBy,
                from: "-15",
                to: "12",
                ...(every === undefined ? {} : { every: `${every}ns` })
              })
              assert.deepStrictEqual(actual, expected)
            }
          }
        }
      })
    )
  })
}
