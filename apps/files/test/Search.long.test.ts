import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { StoreHealth } from "@opsbuddy/runtime/StoreHealth"
import { Effect, Layer } from "effect"
import * as FileIndex from "../src/FileIndex.ts"
import * as FileSearch from "../src/FileSearch.ts"
import type { Selection } from "../src/FileStore.ts"
import { temporaryFolder } from "./folders.ts"

const rows = 1_000_000

/** One row in a million has the name `needle` and the tag `rare`, the oldest; all have `all`, and every second one `half`. */
const addRows = (file: string) => {
  const database = new DatabaseSync(file)
  database.exec("BEGIN")
  database.exec(`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows - 1})
    INSERT INTO files SELECT printf('01900000-0000-7000-8000-%012x', i), printf('file number %d', i),
      CASE i WHEN 0 THEN 'needle' ELSE printf('file number %d', i) END, i, 'text/plain', printf('%064x', i), i, i, 1, 2 FROM n`)
  database.exec("INSERT INTO tags SELECT id, 'all', '1' FROM files")
  database.exec("INSERT INTO tags SELECT id, 'half', '1' FROM files WHERE size % 2 = 0")
  database.exec("INSERT INTO tags SELECT id, 'rare', '1' FROM files WHERE size = 0")
  database.exec("COMMIT")
  database.close()
}

const cpuMillis = () => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1000
}

/**
 * The most processor time in milliseconds that the effect took without letting anything else run, beside what it gives. Not the time
 * on the clock, of which other processes have their part.
 */
const held = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    let [longest, last, running] = [0, cpuMillis(), true]
    const tick = () => {
      const now = cpuMillis()
      longest = Math.max(longest, now - last)
      last = now
      if (running) setImmediate(tick)
    }
    tick()
    const result = yield* effect
    running = false
    tick()
    return { result, longest }
  })

describe("A search among a million files", () => {
  it.live(
    "holds the event loop for a moment at a time, and finds what there is",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryFolder
        const layer = FileIndex.layer(directory).pipe(Layer.provide(StoreHealth.layer))
        yield* Effect.provide(Effect.void, Layer.fresh(layer))
        addRows(join(directory, "index.db"))
        yield* Effect.gen(function* () {
          const index = yield* FileIndex.make
          const list = FileSearch.make(index)
          const searches: ReadonlyArray<readonly [Selection, number]> = [
            [{ limit: 1000 }, 1000],
            [{ name: "needle" }, 1],
            [{ name: "no such name" }, 0],
            [{ name: "file number 77777", limit: 5 }, 5],
            [{ tag: ["all:1"], name: "needle" }, 1],
            [{ tag: ["all:1", "rare:1"] }, 1],
            [{ tag: ["rare:1"] }, 1],
            [{ tag: ["half:1", "all:1"], limit: 1000 }, 1000],
            [{ tag: ["none:1"] }, 0]
          ]
          for (const [selection, count] of searches) {
            const { longest, result } = yield* held(list(selection))
            assert.strictEqual(result.items.length, count, JSON.stringify(selection))
            // 3 to 27 were measured.
            assert.isBelow(longest, 100, JSON.stringify(selection))
          }
          const { longest, result } = yield* held(index.totals)
          assert.deepInclude(result, { files: rows, bytes: (rows * (rows - 1)) / 2 })
          assert.isBelow(longest, 100)
        }).pipe(Effect.provide(layer))
      }).pipe(Effect.scoped),
    110_000
  )
})
