import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import * as RateLimitStoreMemory from "../src/RateLimitStoreMemory.ts"

const bucket = (key: string) => ({
  key,
  tokens: 1,
  limit: 5,
  refillRate: Duration.millis(300),
  allowOverflow: false
})

const step = Schema.Struct({
  key: Schema.Literals(["a", "b"]),
  millis: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 900 }))
})

describe("RateLimitStoreMemory", () => {
  it.effect.prop(
    "answers as effect's memory store does",
    { steps: Schema.Array(step) },
    ({ steps }) =>
      Effect.gen(function* () {
        const { store: ours } = yield* RateLimitStoreMemory.make()
        const theirs = yield* RateLimiter.RateLimiterStore
        for (const { key, millis } of steps) {
          yield* TestClock.adjust(millis)
          assert.deepStrictEqual(yield* ours.tokenBucket(bucket(key)), yield* theirs.tokenBucket(bucket(key)))
        }
      }).pipe(Effect.provide(RateLimiter.layerStoreMemory)),
    { arbitrary: { runs: 200, size: 60 } }
  )

  it.effect("forgets full buckets only, and holds no more keys than its bound", () =>
    Effect.gen(function* () {
      const { keys, store } = yield* RateLimitStoreMemory.make(2000)
      for (let i = 0; i < 1500; i++) yield* store.tokenBucket(bucket(`idle-${i}`))
      for (let i = 0; i < 4; i++) yield* store.tokenBucket(bucket("busy"))
      yield* TestClock.adjust("300 millis")
      for (let i = 0; i < 1000; i++) yield* store.tokenBucket(bucket(`other-${i}`))
      assert.isBelow(keys(), 1300)
      assert.strictEqual((yield* store.tokenBucket(bucket("busy")))[0], 1)
      let passed = 0
      for (let i = 0; i < 10_000; i++) {
        yield* store.tokenBucket(bucket(`flood-${i}`))
        if (i % 100 === 0 && (yield* store.tokenBucket(bucket("busy")))[0] >= 0) passed++
      }
      assert.strictEqual(passed, 1)
      assert.isAtMost(keys(), 2000)
      assert.strictEqual((yield* store.tokenBucket(bucket("flood-9999")))[0], 3)
    })
  )
})
