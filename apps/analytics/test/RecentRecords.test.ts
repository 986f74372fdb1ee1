import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as RecentRecords from "../src/RecentRecords.ts"
import { record, time } from "./stores.ts"

const small = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))
const batches = Schema.Array(Schema.Array(Schema.Struct({ id: small(6), at: small(40) }))).check(Schema.isMaxLength(12))

const key = (one: { readonly requestId: string; readonly timestamp: { readonly epochMilliseconds: number } }) =>
  `${one.requestId} ${one.timestamp.epochMilliseconds}`

describe("the recent records", () => {
  it.prop(
    "call nothing fresh that is stored, and keep nothing back that is not",
    { batches, newest: small(20) },
    ({ batches, newest }) => {
      // What was stored before: an id that is used again later, at every time up to the newest.
      const stored = new Set(Array.from({ length: newest + 1 }, (_, at) => `0 ${at}`))
      const recent = RecentRecords.make(newest, 5)
      for (const [step, batch] of batches.entries()) {
        const records = batch.map(({ at, id }) => record({ id: String(id), timestamp: time(at + 3 * step) }))
        const { fresh, unknown } = recent.sort(records)
        const unique = new Set(fresh.map(key))
        assert.strictEqual(unique.size, fresh.length)
        for (const one of unique) assert.isFalse(stored.has(one))
        // As the store does with those that it is asked about.
        const missing = new Map(unknown.filter((one) => !stored.has(key(one))).map((one) => [key(one), one]))
        for (const one of missing.keys()) assert.isFalse(unique.has(one))
        const wanted = new Set(records.map(key).filter((one) => !stored.has(one)))
        assert.deepStrictEqual(new Set([...unique, ...missing.keys()]), wanted)
        recent.add([...fresh, ...missing.values()])
        for (const one of wanted) stored.add(one)
      }
    },
    { arbitrary: { runs: 1000 } }
  )

  it("ask about nothing as long as what comes is newer, or was among the last", () => {
    const recent = RecentRecords.make(1000, 100)
    for (let batch = 0; batch < 50; batch++) {
      const records = Array.from({ length: 50 }, (_, i) =>
        record({ id: `${batch}-${i}`, timestamp: time(1003 + batch * 10 - (i % 3)) })
      )
      const first = recent.sort(records)
      assert.strictEqual(first.unknown.length, 0)
      recent.add(first.fresh)
      assert.deepStrictEqual(recent.sort(records), { fresh: [], unknown: [] })
    }
  })
})
