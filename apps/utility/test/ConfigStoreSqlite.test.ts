import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { ConfigKey } from "@opsbuddy/contract/Utility"
import { layerPlatform } from "@opsbuddy/runtime/App"
import * as Conditions from "@opsbuddy/runtime/Conditions"
import { HealthProbe } from "@opsbuddy/runtime/Health"
import { Effect, Layer, Logger } from "effect"
import { ConfigStore } from "../src/ConfigStore.ts"
import * as ConfigStoreSqlite from "../src/ConfigStoreSqlite.ts"
import { conformance } from "./ConfigStore.conformance.ts"
import { temporaryFolder } from "./processes.ts"

const at = (directory: string) => ConfigStoreSqlite.layer({ directory }).pipe(Layer.provide(layerPlatform))

conformance("SQLite", Layer.unwrap(Effect.map(temporaryFolder, at)))

const key = ConfigKey.make("a")

describe("ConfigStoreSqlite", () => {
  it.live("keeps entries over a restart, and makes its folder", () =>
    Effect.gen(function* () {
      const folder = join(yield* temporaryFolder, "not", "there")
      const set = yield* ConfigStore.use((configs) => configs.set(key, '{"x":1}', "ada", Conditions.none)).pipe(
        Effect.provide(at(folder))
      )
      const got = yield* ConfigStore.use((configs) => configs.get(key)).pipe(Effect.provide(at(folder)))
      assert.deepStrictEqual(got, set)
    })
  )

  it.live("ends a page early when its values are large, and still shows every entry once", () =>
    Effect.gen(function* () {
      const configs = yield* ConfigStore
      const keys = ["a", "b", "c", "d", "e"].map((text) => ConfigKey.make(text))
      for (const each of keys) yield* configs.set(each, `"${"x".repeat(3_000_000)}"`, "ada", Conditions.none)
      const first = yield* configs.list({})
      assert.deepStrictEqual([first.items.map((entry) => entry.key), first.nextCursor], [["a", "b"], "b"])
      const second = yield* configs.list({ cursor: "b" })
      assert.deepStrictEqual([second.items.map((entry) => entry.key), second.nextCursor], [["c", "d"], "d"])
      const third = yield* configs.list({ cursor: "d" })
      assert.deepStrictEqual([third.items.map((entry) => entry.key), third.nextCursor], [["e"], undefined])
    }).pipe(Effect.provide(Layer.unwrap(Effect.map(temporaryFolder, at))))
  )

  it.live("tells where the data is and how large, and fails visibly when the store does", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      yield* Effect.gen(function* () {
        const configs = yield* ConfigStore
        const probe = yield* HealthProbe
        const storage = yield* probe.storage ?? Effect.die("no storage")
        assert.strictEqual(storage.location, join(folder, "utility.db"))
        assert.isAbove(storage.bytes, 4096)
        assert.strictEqual(yield* probe.database, "healthy")
        const other = new DatabaseSync(storage.location)
        other.exec("DROP TABLE configs")
        other.close()
        assert.strictEqual(yield* probe.database, "unhealthy")
        const problems = yield* Effect.all([
          Effect.flip(configs.get(key)),
          Effect.flip(configs.set(key, "1", "ada", Conditions.none)),
          Effect.flip(configs.remove(key, Conditions.none)),
          Effect.flip(configs.list({}))
        ])
        for (const problem of problems) assert.strictEqual(problem._tag, "StoreUnavailable")
      }).pipe(Effect.provide([at(folder), Logger.layer([])]))
    })
  )
})
