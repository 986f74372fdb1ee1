import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { acknowledgedAtLeast, open, temporaryFile, writerProcess } from "./store.ts"

describe("Columnar whose process is killed", () => {
  it.live("has every acknowledged row after each of twelve kills under load, and says that nothing is missing", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryFile
      const all: Array<number> = []
      for (let kill = 0; kill < 12; kill++) {
        const writer = yield* Effect.scoped(
          Effect.tap(writerProcess(filename, kill * 1_000_000, kill % 2 === 0 ? 16 : 1), (writer) =>
            acknowledgedAtLeast(writer, 50 + kill * 100)
          )
        )
        all.push(...writer.acknowledged)
        const { notices, rows } = yield* Effect.scoped(
          Effect.gen(function* () {
            const store = yield* open(filename)
            return {
              rows: yield* store.query<{ readonly id: bigint }>("SELECT id FROM points"),
              notices: yield* store.notices
            }
          })
        )
        const stored = new Set(rows.map((row) => Number(row.id)))
        assert.deepStrictEqual(
          all.filter((id) => !stored.has(id)),
          []
        )
        assert.deepStrictEqual(notices, [])
      }
      assert.isAbove(all.length, 5000)
    }).pipe(Effect.scoped)
  )
})
