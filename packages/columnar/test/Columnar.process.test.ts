import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { acknowledgedAtLeast, open, temporaryFile, writerProcess } from "./store.ts"

describe("Columnar between processes", () => {
  it.live("is refused to a second process, with the file and its owner", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryFile
      const writer = yield* writerProcess(filename, 0)
      yield* acknowledgedAtLeast(writer, 1)
      const error = yield* Effect.flip(Effect.scoped(open(filename)))
      assert.strictEqual(error.reason, "locked")
      assert.strictEqual(error.filename, filename)
      assert.strictEqual(error.pid, writer.child.pid)
      assert.strictEqual(error.message, `the database ${filename} is in use by process ${writer.child.pid}`)
    }).pipe(Effect.scoped)
  )

  it.live("is refused to a second user in the same process", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryFile
      yield* open(filename)
      const error = yield* Effect.flip(Effect.scoped(open(filename)))
      assert.strictEqual(error.reason, "locked")
      assert.strictEqual(error.pid, process.pid)
    }).pipe(Effect.scoped)
  )

  it.live(
    "loses no acknowledged row when its process is killed",
    () =>
      Effect.gen(function* () {
        const filename = yield* temporaryFile
        const all: Array<number> = []
        for (const least of [1, 500, 1500]) {
          const writer = yield* Effect.scoped(
            Effect.tap(writerProcess(filename, all.length === 0 ? 0 : Math.max(...all) + 1000), (writer) =>
              acknowledgedAtLeast(writer, least)
            )
          )
          all.push(...writer.acknowledged)
          const rows = yield* Effect.scoped(
            Effect.flatMap(open(filename), (store) => store.query<{ readonly id: bigint }>("SELECT id FROM points"))
          )
          const stored = new Set(rows.map((row) => Number(row.id)))
          assert.deepStrictEqual(
            all.filter((id) => !stored.has(id)),
            []
          )
        }
        assert.isAbove(all.length, 2000)
      }).pipe(Effect.scoped),
    60_000
  )
})
