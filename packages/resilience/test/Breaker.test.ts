import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber } from "effect"
import { CircuitBreaker } from "effect/persistence"
import { TestClock } from "effect/testing"
import * as Breaker from "../src/Breaker.ts"

const policy = (changes: Partial<Breaker.BreakerPolicy> = {}): Breaker.BreakerPolicy => ({
  ...Breaker.defaultPolicy,
  consecutiveFailures: 3,
  ...changes
})

const failure: Breaker.Outcome = { _tag: "Failure", reason: "refused" }
const success: Breaker.Outcome = { _tag: "Success" }

const outcome = (exit: Exit.Exit<unknown, string>): Breaker.Outcome =>
  Exit.isSuccess(exit) ? success : { _tag: "Failure", reason: "refused" }

const scripted = (breaker: Breaker.Breaker) => {
  let calls = 0
  const call = (result: Effect.Effect<void, string>) =>
    Effect.exit(
      breaker.protect(
        Effect.suspend(() => {
          calls++
          return result
        }),
        outcome
      )
    )
  return { calls: () => calls, fail: call(Effect.fail("refused")), succeed: call(Effect.void), call }
}

const state = (breaker: Breaker.Breaker) => Effect.map(Clock.currentTimeMillis, (now) => breaker.status(now).state)

/** Admits or fails the test. */
const permit = (breaker: Breaker.Breaker, now: number): Breaker.Permit => {
  const answer = breaker.admit(now)
  return "end" in answer ? answer : assert.fail(`refused: ${answer._tag}`)
}

describe("Breaker.protect", () => {
  it.effect("opens after the configured failures in a row, refuses without calling, and closes by one probe", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", policy())
      const upstream = scripted(breaker)
      yield* upstream.fail
      yield* upstream.fail
      yield* upstream.succeed
      assert.strictEqual(yield* state(breaker), "closed")
      for (let i = 0; i < 3; i++) yield* upstream.fail
      yield* TestClock.adjust("59 seconds")
      const status = breaker.status(yield* Clock.currentTimeMillis)
      assert.deepStrictEqual(status, {
        state: "open",
        since: 0,
        consecutiveFailures: 3,
        lastFailure: "refused",
        retryAfter: Duration.seconds(1),
        forcedReason: undefined
      })
      const before = upstream.calls()
      assert.isTrue(Exit.isFailure(yield* upstream.succeed))
      assert.strictEqual(upstream.calls(), before)
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isSuccess(yield* upstream.succeed))
      assert.strictEqual(yield* state(breaker), "closed")
    })
  )

  it.effect("fails with the time to wait while open, and without one while a probe is under way", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", policy({ consecutiveFailures: 1 }))
      const upstream = scripted(breaker)
      yield* upstream.fail
      yield* TestClock.adjust("20 seconds")
      const refusal = Effect.map(Effect.flip(breaker.protect(Effect.void, outcome)), (error) =>
        error instanceof CircuitBreaker.CircuitBreakerError ? error.reason : assert.fail(error)
      )
      const open = yield* refusal
      assert.deepStrictEqual(open._tag === "CircuitOpen" && open.retryAfter, Duration.seconds(40))
      yield* TestClock.adjust("40 seconds")
      yield* Effect.forkChild(upstream.call(Effect.never), { startImmediately: true })
      assert.strictEqual((yield* refusal)._tag, "CircuitHalfOpen")
      breaker.force("open", "maintenance", 60_000)
      const forced = yield* refusal
      assert.deepStrictEqual(forced._tag === "CircuitOpen" && forced.retryAfter, Duration.seconds(60))
    })
  )

  it.effect("lets the next call be the probe when it is told to, and no second one beside it", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", policy({ consecutiveFailures: 1 }))
      const upstream = scripted(breaker)
      breaker.halfOpen(0, "a health check passed")
      yield* upstream.fail
      assert.strictEqual(yield* state(breaker), "open")
      breaker.halfOpen(0, "a health check passed")
      assert.strictEqual(yield* state(breaker), "half-open")
      const probe = yield* Effect.forkChild(upstream.call(Effect.delay(Effect.void, "1 second")))
      yield* Effect.yieldNow
      assert.isTrue(Exit.isFailure(yield* upstream.succeed))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(probe)
      assert.strictEqual(yield* state(breaker), "closed")
      assert.isTrue(Exit.isSuccess(yield* upstream.succeed))
    })
  )

  it.effect("does not stick in half-open when the probe is cancelled", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", policy({ consecutiveFailures: 1 }))
      const upstream = scripted(breaker)
      yield* upstream.fail
      yield* TestClock.adjust("60 seconds")
      const probe = yield* Effect.forkChild(upstream.call(Effect.never), { startImmediately: true })
      assert.isTrue(Exit.isFailure(yield* upstream.succeed))
      yield* Fiber.interrupt(probe)
      assert.isTrue(Exit.isSuccess(yield* upstream.succeed))
      assert.strictEqual(yield* state(breaker), "closed")
    })
  )

  it.effect("does not stick in half-open when the probe never answers, and takes no late answer of it", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", policy({ consecutiveFailures: 1 }))
      const upstream = scripted(breaker)
      yield* upstream.fail
      yield* TestClock.adjust("60 seconds")
      const late = yield* Effect.forkChild(upstream.call(Effect.delay(Effect.fail("late"), "45 seconds")))
      yield* TestClock.adjust("29 seconds")
      assert.isTrue(Exit.isFailure(yield* upstream.succeed))
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isSuccess(yield* upstream.succeed))
      yield* TestClock.adjust("15 seconds")
      yield* Fiber.join(late)
      assert.strictEqual(yield* state(breaker), "closed")
    })
  )

  it.effect("keeps a call of another breaker inside a call apart from it", () =>
    Effect.gen(function* () {
      const outer = yield* Breaker.make("outer", policy({ consecutiveFailures: 1 }))
      const inner = yield* Breaker.make("inner", policy({ consecutiveFailures: 1 }))
      yield* Effect.exit(outer.protect(Effect.ignore(scripted(inner).fail), () => success))
      assert.deepStrictEqual([yield* state(outer), yield* state(inner)], ["closed", "open"])
      yield* Effect.exit(outer.protect(scripted(inner).fail, () => failure))
      assert.deepStrictEqual([yield* state(outer), yield* state(inner)], ["open", "open"])
    })
  )

  it.effect("goes by the same circuit as admit does", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", policy())
      const upstream = scripted(breaker)
      permit(breaker, 0).end(failure, 0)
      yield* upstream.fail
      permit(breaker, 0).end(failure, 0)
      assert.isTrue(Exit.isFailure(yield* upstream.succeed))
      assert.strictEqual(upstream.calls(), 1)
      assert.deepStrictEqual(breaker.admit(10), { _tag: "Open", retryAfterMillis: 59_990 })
    })
  )
})
