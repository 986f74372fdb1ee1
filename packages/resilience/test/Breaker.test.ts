import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Breaker from "../src/Breaker.ts"

const outcome = (exit: Exit.Exit<unknown, string>): Breaker.Outcome =>
  Exit.isSuccess(exit) ? { _tag: "Success" } : { _tag: "Failure", reason: "refused" }

const scripted = (breaker: Breaker.Breaker) => {
  let calls = 0
  return {
    calls: () => calls,
    fail: Effect.exit(
      breaker.protect(
        Effect.suspend(() => {
          calls++
          return Effect.fail("refused")
        }),
        outcome
      )
    ),
    succeed: Effect.exit(
      breaker.protect(
        Effect.sync(() => calls++),
        outcome
      )
    )
  }
}

describe("Breaker", () => {
  it.effect("opens after the configured failures in a row, refuses without calling, and closes by one probe", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", { consecutiveFailures: 3, openFor: "60 seconds" })
      const upstream = scripted(breaker)
      yield* upstream.fail
      yield* upstream.fail
      yield* upstream.succeed
      assert.strictEqual((yield* breaker.status).state, "closed")
      for (let i = 0; i < 3; i++) yield* upstream.fail
      const open = yield* breaker.status
      assert.deepStrictEqual([open.state, open.consecutiveFailures, open.lastFailure], ["open", 3, "refused"])
      const before = upstream.calls()
      assert.isTrue(Exit.isFailure(yield* upstream.succeed))
      assert.strictEqual(upstream.calls(), before)
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual((yield* breaker.status).retryAfter, Duration.seconds(1))
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isSuccess(yield* upstream.succeed))
      assert.strictEqual((yield* breaker.status).state, "closed")
    }).pipe(Effect.scoped)
  )

  it.effect("lets the next call be the probe as soon as it is told to, and no second one beside it", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", { consecutiveFailures: 1, openFor: "60 seconds" })
      const upstream = scripted(breaker)
      yield* breaker.halfOpen
      yield* upstream.fail
      assert.strictEqual((yield* breaker.status).state, "open")
      yield* breaker.halfOpen
      assert.strictEqual((yield* breaker.status).state, "half-open")
      const probe = yield* Effect.forkChild(breaker.protect(Effect.delay(Effect.void, "1 second"), outcome))
      yield* Effect.yieldNow
      assert.isTrue(Exit.isFailure(yield* upstream.succeed))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(probe)
      assert.strictEqual((yield* breaker.status).state, "closed")
      assert.isTrue(Exit.isSuccess(yield* upstream.succeed))
    }).pipe(Effect.scoped)
  )

  it.effect("opens again for the whole time when the early probe fails", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", { consecutiveFailures: 1, openFor: "60 seconds" })
      const upstream = scripted(breaker)
      yield* upstream.fail
      yield* breaker.halfOpen
      yield* upstream.fail
      const status = yield* breaker.status
      assert.strictEqual(status.state, "open")
      assert.isTrue(Exit.isFailure(yield* upstream.succeed))
      yield* TestClock.adjust("60 seconds")
      yield* TestClock.adjust("60 seconds")
      assert.isTrue(Exit.isSuccess(yield* upstream.succeed))
    }).pipe(Effect.scoped)
  )

  it.effect("does not stick in half-open when the probe is cancelled", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", { consecutiveFailures: 1, openFor: "60 seconds" })
      const upstream = scripted(breaker)
      yield* upstream.fail
      yield* TestClock.adjust("60 seconds")
      const probe = yield* Effect.forkChild(breaker.protect(Effect.never, outcome))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(probe)
      assert.isTrue(Exit.isSuccess(yield* upstream.succeed))
      assert.strictEqual((yield* breaker.status).state, "closed")
    }).pipe(Effect.scoped)
  )

  it.effect("tells every change of state", () =>
    Effect.gen(function* () {
      const breaker = yield* Breaker.make("shop", { consecutiveFailures: 1, openFor: "60 seconds" })
      const upstream = scripted(breaker)
      const seen = yield* breaker.transitions.pipe(
        Stream.take(3),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      yield* upstream.fail
      yield* TestClock.adjust("60 seconds")
      yield* upstream.succeed
      const changes = (yield* Fiber.join(seen)).map(({ from, to }) => `${from} ${to}`)
      assert.deepStrictEqual(changes, ["Closed Open", "Open HalfOpen", "HalfOpen Closed"])
    }).pipe(Effect.scoped)
  )
})
