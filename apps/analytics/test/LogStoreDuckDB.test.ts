import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { LogStore } from "../src/LogStore.ts"
import { conformance } from "./LogStore.conformance.ts"
import { duckDB, entry, temporaryFolder, time } from "./stores.ts"

conformance("DuckDB", duckDB(":memory:"))

describe("LogStoreDuckDB", () => {
  it.effect("keeps the order of arrival within a millisecond when it is opened again", () =>
    Effect.gen(function* () {
      const filename = join(yield* temporaryFolder, "analytics.duckdb")
      const session = (from: number) =>
        Effect.gen(function* () {
          const store = yield* LogStore
          yield* store.append(
            [0, 1, 2].map((index) => entry({ message: `${from + index}` })),
            time(0)
          )
          return (yield* store.list({ limit: 100 })).items.map((item) => item.message)
        }).pipe(Effect.provide(duckDB(filename)))
      yield* session(0)
      assert.deepStrictEqual(yield* session(3), ["5", "4", "3", "2", "1", "0"])
    })
  )

  it.effect("keeps the order of a batch that is appended in several parts", () =>
    Effect.gen(function* () {
      const store = yield* LogStore
      yield* store.append(
        Array.from({ length: 10_000 }, (_, index) => entry({ message: `${index}` })),
        time(0)
      )
      const { items } = yield* store.list({ limit: 10_000 })
      assert.deepStrictEqual(
        items.map((item) => Number(item.message)),
        Array.from({ length: 10_000 }, (_, i) => 9999 - i)
      )
    }).pipe(Effect.provide(duckDB(":memory:")))
  )
})
