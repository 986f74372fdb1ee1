import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { TestClock } from "effect/testing"
import { StoreHealth } from "../src/StoreHealth.ts"

/** A test with a `StoreHealth` of its own and all that is logged, as level, message and data. */
const test =
  (body: (health: StoreHealth["Service"], lines: Array<ReadonlyArray<unknown>>) => Effect.Effect<void>) => () => {
    const lines: Array<ReadonlyArray<unknown>> = []
    const logger = Logger.make(({ logLevel, message }) => {
      lines.push([logLevel, ...(Array.isArray(message) ? message : [message])])
    })
    return Effect.flatMap(StoreHealth, (health) => body(health, lines)).pipe(
      Effect.provide(StoreHealth.layer),
      Effect.provide(Logger.layer([logger]))
    )
  }

describe("StoreHealth", () => {
  it.effect(
    "logs an outage once when it begins and once when it ends, with how long it was and what it refused",
    test((health, lines) =>
      Effect.gen(function* () {
        yield* health.accepted
        assert.isUndefined(yield* health.outage)
        assert.lengthOf(lines, 0)
        yield* TestClock.adjust("1 minute")
        for (let i = 0; i < 1000; i++) yield* health.refused("the disk is full")
        assert.deepStrictEqual(yield* health.outage, { since: 60_000, reason: "the disk is full", refused: 1000 })
        yield* TestClock.adjust("90 seconds")
        yield* health.accepted
        yield* health.accepted
        assert.isUndefined(yield* health.outage)
        assert.deepStrictEqual(lines, [
          ["Error", "store refuses writes", { reason: "the disk is full" }],
          ["Info", "store takes writes again", { reason: "the disk is full", refused: 1000, duration: "1m 30s" }]
        ])
      })
    )
  )

  it.effect(
    "knows the latest reason of an outage, and logs it once all the same",
    test((health, lines) =>
      Effect.gen(function* () {
        for (const reason of ["a", "a", "b", "b", "c"]) yield* health.refused(reason)
        assert.deepStrictEqual(yield* health.outage, { since: 0, reason: "c", refused: 5 })
        assert.deepStrictEqual(
          lines.map(([, , data]) => data),
          [{ reason: "a" }]
        )
      })
    )
  )

  it.effect(
    "tells of a second outage as of the first",
    test((health, lines) =>
      Effect.gen(function* () {
        for (let i = 0; i < 2; i++) {
          yield* health.refused("a")
          yield* health.accepted
        }
        assert.lengthOf(lines, 4)
        yield* health.refused("a")
        assert.strictEqual((yield* health.outage)?.refused, 1)
      })
    )
  )

  it.effect(
    "has a duration that is not negative when the clock went back",
    test((health, lines) =>
      Effect.gen(function* () {
        yield* TestClock.setTime(1_000_000)
        yield* health.refused("a")
        yield* TestClock.setTime(0)
        yield* health.accepted
        assert.deepStrictEqual(lines[1], [
          "Info",
          "store takes writes again",
          { reason: "a", refused: 1, duration: "0" }
        ])
      })
    )
  )

  it.effect(
    "logs each notice and keeps the latest hundred, oldest first",
    test((health, lines) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* health.notices, [])
        for (let i = 0; i < 105; i++) yield* health.notice(`notice ${i}`, { i })
        const notices = yield* health.notices
        assert.lengthOf(notices, 100)
        assert.deepStrictEqual([notices[0]?.message, notices[99]?.message], ["notice 5", "notice 104"])
        assert.lengthOf(lines, 105)
        assert.deepStrictEqual(lines[0], ["Warn", "notice 0", { i: 0 }])
      })
    )
  )
})
