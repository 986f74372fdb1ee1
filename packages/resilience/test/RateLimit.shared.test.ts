import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Logger } from "effect"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import * as RateLimit from "../src/RateLimit.ts"

type Mode = "answers" | "fails" | "hangs" | "dies"

/** effect's own limiter, which fails, hangs or dies when told to, and counts how often it is asked. */
const scripted = Effect.gen(function* () {
  const limiter = yield* RateLimiter.make
  let mode: Mode = "answers"
  let asked = 0
  const failure = new RateLimiter.RateLimiterError({
    reason: new RateLimiter.RateLimitStoreError({ message: "connection refused" })
  })
  const shared: RateLimiter.RateLimiter = {
    ...limiter,
    consume: (options) =>
      Effect.suspend(() => {
        asked++
        if (mode === "answers") return limiter.consume(options)
        if (mode === "hangs") return Effect.never
        return mode === "fails" ? Effect.fail(failure) : Effect.die(new Error("bug"))
      })
  }
  return {
    shared,
    asked: () => asked,
    become: (next: Mode) => {
      mode = next
    }
  }
}).pipe(Effect.provide(RateLimiter.layerStoreMemory))

const slow: RateLimit.RateLimitPolicy = { rate: 1, per: Duration.minutes(1), burst: 3 }

const consume = (limits: RateLimit.RateLimits, key = "client") =>
  limits.consume(key, slow).pipe(
    Effect.map(({ store }): string => store),
    Effect.catch(({ _tag }) => Effect.succeed(_tag))
  )

/** The same, and the milliseconds that it took, while the clock moves on. */
const timed = Effect.fnUntraced(function* (limits: RateLimit.RateLimits) {
  const fiber = yield* Effect.forkChild(
    Effect.gen(function* () {
      const start = yield* Clock.currentTimeMillis
      const result = yield* consume(limits)
      return [result, (yield* Clock.currentTimeMillis) - start] as const
    })
  )
  yield* TestClock.adjust("200 millis")
  return yield* Fiber.join(fiber)
})

describe("RateLimit over a shared store", () => {
  it.effect("counts there, for every process, and takes a refusal for an answer", () =>
    Effect.gen(function* () {
      const { shared } = yield* scripted
      const one = yield* RateLimit.make({ shared, whenGone: "refuse" })
      const other = yield* RateLimit.make({ shared, whenGone: "refuse" })
      const first = yield* Effect.forEach([one, other, one], (limits) => consume(limits))
      assert.deepStrictEqual(first, ["shared", "shared", "shared"])
      for (let i = 0; i < 9; i++) assert.strictEqual(yield* consume(one), "RateLimited")
      assert.deepStrictEqual(one.status(), { store: "shared", gone: false })
    })
  )

  const modes: ReadonlyArray<readonly [RateLimit.RateLimitOptions["whenGone"], ReadonlyArray<string>]> = [
    ["local", ["local", "local", "local", "RateLimited"]],
    ["allow", ["none", "none", "none", "none"]],
    ["refuse", ["RateLimitStoreGone", "RateLimitStoreGone", "RateLimitStoreGone", "RateLimitStoreGone"]]
  ]

  for (const [whenGone, expected] of modes) {
    for (const mode of ["fails", "dies", "hangs"] as const) {
      it.effect(`when it ${mode}, and "${whenGone}" is set, answers so, and comes back by itself`, () =>
        Effect.gen(function* () {
          const store = yield* scripted
          const limits = yield* RateLimit.make({ shared: store.shared, whenGone })
          assert.strictEqual(yield* consume(limits), "shared")
          store.become(mode)
          const meanwhile = yield* Effect.forEach(expected, () => timed(limits))
          assert.deepStrictEqual(
            meanwhile.map(([result]) => result),
            [...expected]
          )
          const cost = mode === "hangs" ? 100 : 0
          assert.deepStrictEqual(
            meanwhile.map(([, millis]) => millis),
            [cost, cost, cost, 0]
          )
          const lastError = { fails: "connection refused", dies: "bug", hangs: "no answer within 100 ms" }[mode]
          assert.deepStrictEqual(limits.status(), { store: "shared", gone: true, since: cost, lastError })
          store.become("answers")
          yield* TestClock.adjust("5 seconds")
          assert.strictEqual(yield* consume(limits), "shared")
          assert.deepStrictEqual(limits.status(), { store: "shared", gone: false })
        })
      )
    }
  }

  it.effect("asks a store that is gone once in five seconds, however many calls there are", () =>
    Effect.gen(function* () {
      const store = yield* scripted
      const limits = yield* RateLimit.make({ shared: store.shared, whenGone: "allow" })
      store.become("hangs")
      for (let i = 0; i < 3; i++) yield* timed(limits)
      yield* TestClock.adjust("5 seconds")
      const before = store.asked()
      const calls = yield* Effect.forkChild(Effect.forEach(Array(20), () => consume(limits), { concurrency: 20 }))
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(new Set(yield* Fiber.join(calls)), new Set(["none"]))
      assert.strictEqual(store.asked(), before + 1)
    })
  )

  it.effect("is unmoved by calls that are interrupted", () =>
    Effect.gen(function* () {
      const store = yield* scripted
      const limits = yield* RateLimit.make({ shared: store.shared, whenGone: "refuse" })
      store.become("hangs")
      for (let i = 0; i < 5; i++) {
        const call = yield* Effect.forkChild(consume(limits), { startImmediately: true })
        yield* Fiber.interrupt(call)
      }
      store.become("answers")
      assert.strictEqual(yield* consume(limits), "shared")
    })
  )

  it.effect("tells once that the store is gone, and once that it is back", () => {
    const lines: Array<unknown> = []
    const logger = Logger.make(({ message }) => lines.push(message))
    return Effect.gen(function* () {
      const store = yield* scripted
      const limits = yield* RateLimit.make({ shared: store.shared, whenGone: "allow" })
      store.become("fails")
      for (let i = 0; i < 10; i++) yield* consume(limits)
      store.become("answers")
      yield* TestClock.adjust("5 seconds")
      for (let i = 0; i < 2; i++) yield* consume(limits)
      assert.deepStrictEqual(lines, [
        ["rate limit store gone", { lastError: "connection refused", meanwhile: "allow" }],
        ["rate limit store back"]
      ])
    }).pipe(Effect.provide(Logger.layer([logger])))
  })
})
