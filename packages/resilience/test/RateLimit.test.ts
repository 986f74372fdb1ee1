import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as RateLimit from "../src/RateLimit.ts"

const policy: RateLimit.RateLimitPolicy = { rate: 2, per: Duration.seconds(1), burst: 3 }

const slow: RateLimit.RateLimitPolicy = { rate: 1, per: Duration.minutes(1), burst: 3 }

const consume = (limits: RateLimit.RateLimits, key = "client", by = slow) =>
  limits.consume(key, by).pipe(
    Effect.map(({ store }): string => store),
    Effect.catch(({ _tag }) => Effect.succeed(_tag))
  )

describe("RateLimit in this process", () => {
  it.effect("lets the burst through, then as many as the rate brings, and tells the rest when", () =>
    Effect.gen(function* () {
      const limits = yield* RateLimit.make({ whenGone: "local" })
      const first = yield* limits.consume("client", policy)
      assert.deepStrictEqual(first, { limit: 3, remaining: 2, resetAfterMillis: 500, store: "local" })
      yield* consume(limits, "client", policy)
      assert.strictEqual((yield* limits.consume("client", policy)).remaining, 0)
      yield* TestClock.adjust("200 millis")
      const { limit, resetAfterMillis, retryAfterMillis, store } = yield* Effect.flip(
        limits.consume("client", policy)
      ).pipe(Effect.filterOrFail((error) => error._tag === "RateLimited"))
      assert.deepStrictEqual([limit, retryAfterMillis, resetAfterMillis, store], [3, 300, 1300, "local"])
      yield* TestClock.adjust("300 millis")
      assert.deepStrictEqual(
        [yield* consume(limits, "client", policy), yield* consume(limits, "client", policy)],
        ["local", "RateLimited"]
      )
      assert.deepStrictEqual(limits.status(), { store: "memory", gone: false })
    })
  )

  it.effect("keeps the rate over time, also one that does not divide a second", () =>
    Effect.gen(function* () {
      const limits = yield* RateLimit.make({ whenGone: "local" })
      let passed = 0
      for (let i = 0; i < 1000; i++) {
        yield* limits.consume("client", { rate: 7, per: Duration.seconds(1), burst: 5 }).pipe(
          Effect.tap(() => Effect.sync(() => passed++)),
          Effect.ignore
        )
        yield* TestClock.adjust("10 millis")
      }
      assert.approximately(passed, 5 + 70, 1)
    })
  )

  it.effect("counts keys apart", () =>
    Effect.gen(function* () {
      const limits = yield* RateLimit.make({ whenGone: "local" })
      for (let i = 0; i < 4; i++) yield* consume(limits, "a")
      assert.deepStrictEqual([yield* consume(limits, "a"), yield* consume(limits, "b")], ["RateLimited", "local"])
    })
  )
})
