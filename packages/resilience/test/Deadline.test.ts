import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Deadline from "../src/Deadline.ts"

const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })

describe("Deadline", () => {
  it.effect("ends the work when the time is over, and says how much there was", () =>
    Effect.gen(function* () {
      let interrupted = false
      const work = Effect.onInterrupt(Effect.never, () => Effect.sync(() => (interrupted = true)))
      const fiber = yield* fork(Effect.flip(Deadline.within("2 seconds")(work)))
      yield* TestClock.adjust("1999 millis")
      assert.isFalse(interrupted)
      yield* TestClock.adjust("1 millis")
      const { _tag, millis } = yield* Fiber.join(fiber)
      assert.deepStrictEqual([_tag, millis, interrupted], ["DeadlineExceeded", 2000, true])
    })
  )

  it.effect("leaves work alone that ends in time, with its answer or its own failure", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Deadline.within("2 seconds")(Effect.succeed(42)), 42)
      assert.strictEqual(yield* Effect.flip(Deadline.within("2 seconds")(Effect.fail("refused"))), "refused")
    })
  )

  it.effect("takes the earlier of two deadlines, whichever is outside", () =>
    Effect.gen(function* () {
      const left = (outer: Duration.Input, inner: Duration.Input) =>
        Deadline.remaining.pipe(Deadline.within(inner), Effect.delay("1 second"), Deadline.within(outer), fork)
      const shortOuter = yield* left("3 seconds", "10 seconds")
      const shortInner = yield* left("10 seconds", "3 seconds")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(shortOuter), Duration.seconds(2))
      assert.deepStrictEqual(yield* Fiber.join(shortInner), Duration.seconds(3))
    })
  )

  it.effect("knows of no deadline outside of one, and does not start work that has no time left", () =>
    Effect.gen(function* () {
      assert.isUndefined(yield* Deadline.remaining)
      let started = false
      const exit = yield* Effect.exit(Deadline.within(0)(Effect.sync(() => (started = true))))
      assert.isTrue(Exit.isFailure(exit))
      assert.isFalse(started)
    })
  )
})
