import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { RequestStore } from "../src/RequestStore.ts"
import { conformance } from "./RequestStore.conformance.ts"
import { duckDB, record, temporaryFolder, time } from "./stores.ts"

conformance("DuckDB", duckDB(":memory:"))

describe("RequestStore over DuckDB", () => {
  it.effect("stores no record again that was stored before it was opened", () =>
    Effect.gen(function* () {
      const filename = join(yield* temporaryFolder, "requests.duckdb")
      const batch = Array.from({ length: 20 }, (_, index) => record({ id: `r${index}`, timestamp: time(index) }))
      const append = (count: number) =>
        Effect.flatMap(RequestStore, (store) =>
          Effect.andThen(store.append(batch.slice(0, count)), store.metrics({ from: time(0), to: time(100) }, 10))
        ).pipe(Effect.provide(duckDB(filename)), Effect.scoped)
      assert.strictEqual((yield* append(15)).items[0]?.requests, 15)
      assert.strictEqual((yield* append(20)).items[0]?.requests, 20)
    })
  )
})
