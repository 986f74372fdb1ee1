import { assert, describe, it } from "@effect/vitest"
import { Columnar } from "@opsbuddy/columnar/Columnar"
import { ColumnarError } from "@opsbuddy/columnar/ColumnarError"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Effect, Exit, Layer } from "effect"
import { SeriesStore } from "../src/SeriesStore.ts"
import * as SeriesStoreDuckDB from "../src/SeriesStoreDuckDB.ts"
import { rows, write } from "./asking.ts"
import { limits, temporaryFile } from "./stores.ts"

/** The store over a file whose transactions fail at their end where `fails` says so. */
const store = (filename: string, options: typeof limits, fails: () => boolean) => {
  const broken = Layer.effect(
    Columnar,
    Effect.map(Columnar, (columnar) =>
      Columnar.of({
        ...columnar,
        grouped: (commit, options) =>
          columnar.grouped(
            (items, writer) =>
              Effect.andThen(
                commit(items, writer),
                Effect.suspend(() =>
                  fails() ? new ColumnarError({ reason: "statement", filename, message: "it failed" }) : Effect.void
                )
              ),
            options
          )
      })
    )
  ).pipe(Layer.provide(Columnar.layer({ filename, migrations: SeriesStoreDuckDB.migrations })))
  return SeriesStoreDuckDB.layer(options).pipe(Layer.provide(broken), Layer.provideMerge(StoreHealth.layer))
}

describe("A transaction that fails", () => {
  for (const valuesPerPoint of [1, 100]) {
    const kind = valuesPerPoint === 1 ? "own tables" : "shared tables"
    it.effect(`leaves nothing of its requests, neither in the data nor in what is known of it: ${kind}`, () =>
      Effect.gen(function* () {
        const filename = yield* temporaryFile
        const options = { ...limits, worth: { values: 12, valuesPerPoint } }
        let turn = 0
        const layer = store(filename, options, () => turn++ % 3 === 1)
        const stored = new Map<string, number>()
        const series = new Map<string, Set<string>>()
        const attempt = (n: number) => {
          const [measurement, host, field, time] = [`m${n % 4}`, `h${(n * 7) % 23}`, `f${n % 5}`, (n * 13) % 50]
          // Each value widens the range of its field.
          const value = (n % 2 === 0 ? 2 ** (n % 40) : 2 ** -(n % 40)) + n
          return Effect.map(Effect.exit(write(`${measurement},host=${host} ${field}=${value} ${time}`)), (exit) => {
            if (Exit.isFailure(exit)) return
            stored.set(`${measurement} ${host} ${field} ${time}`, value)
            series.set(measurement, (series.get(measurement) ?? new Set()).add(host))
          })
        }
        const check = Effect.gen(function* () {
          const known = yield* (yield* SeriesStore).measurements
          assert.deepStrictEqual(
            known.map(({ name, seriesCount }) => [name, seriesCount]),
            [...series].map(([name, hosts]) => [name, hosts.size]).sort()
          )
          const found = new Map<string, number>()
          for (const { fields, name } of known) {
            for (const { name: field } of fields) {
              for (const [host, ...points] of yield* rows({ measurement: name, select: [{ field }] })) {
                for (const [time, value] of points) {
                  found.set(
                    `${name} ${host} ${field} ${Number(String(time).slice(20, -1).padEnd(9, "0"))}`,
                    Number(value)
                  )
                }
              }
              // Fails where a range does not have all values.
              yield* rows({ measurement: name, select: [{ field, aggregate: "sum" }] })
            }
          }
          assert.deepStrictEqual([...found].sort(), [...stored].sort())
        })
        for (const round of [0, 1, 2]) {
          yield* Effect.gen(function* () {
            for (let n = round * 120; n < round * 120 + 120; n += 5) {
              // One at a time and several at once, which then share transactions that fail and are divided.
              const together = [0, 1, 2, 3, 4].map((m) => attempt(n + m))
              yield* Effect.all(together, { concurrency: n % 2 === 0 ? 1 : "unbounded", discard: true })
            }
            yield* check
          }).pipe(Effect.provide(layer))
        }
        assert.isAbove(stored.size, 100)
        yield* check.pipe(Effect.provide(store(filename, options, () => false)))
      }).pipe(Effect.scoped)
    )
  }
})
