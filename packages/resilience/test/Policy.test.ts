import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Breaker from "../src/Breaker.ts"
import * as Concurrency from "../src/Concurrency.ts"
import * as Policy from "../src/Policy.ts"
import * as RateLimit from "../src/RateLimit.ts"
import * as Retry from "../src/Retry.ts"

const retryPolicy = { ...Retry.defaultPolicy, attempts: 3 }

const outcome = (exit: Exit.Exit<unknown, unknown>): Breaker.Outcome =>
  Exit.isSuccess(exit) ? { _tag: "Success" } : { _tag: "Failure", reason: "refused" }

const everything = Effect.gen(function* () {
  const limits = yield* RateLimit.make({ whenGone: "local" })
  const concurrency = Concurrency.make({ max: 1, queue: 0, wait: Duration.seconds(1) })
  const breaker = yield* Breaker.make("shop", { ...Breaker.defaultPolicy, consecutiveFailures: 2 })
  const budget = Retry.makeBudget(1)
  for (let i = 0; i < 100; i++) budget.deposit()
  const compose = Policy.compose<string>({
    rateLimit: { limits, key: "client", policy: { rate: 1, per: Duration.minutes(1), burst: 4 } },
    concurrency,
    breaker: { breaker, outcome },
    deadline: Duration.seconds(5),
    retry: { policy: retryPolicy, budget, while: (error) => error === "refused" }
  })
  let attempts = 0
  const attempt = (effect: Effect.Effect<string, string>) =>
    compose(
      Effect.suspend(() => {
        attempts++
        return effect
      })
    )
  const settle = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.exit(effect), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      return yield* Fiber.join(fiber)
    })
  return { attempt, attempts: () => attempts, breaker, concurrency, settle }
})

const tagOf = (exit: Exit.Exit<string, unknown>) => {
  if (Exit.isSuccess(exit)) return exit.value
  const error = Exit.findErrorOption(exit)
  if (error._tag === "None") return assert.fail("a defect")
  return typeof error.value === "object" && error.value !== null && "_tag" in error.value
    ? error.value._tag
    : error.value
}

describe("Policy.compose", () => {
  it.effect("retries inside the breaker, which sees one outcome, and refuses before any attempt", () =>
    Effect.gen(function* () {
      const { attempt, attempts, breaker, settle } = yield* everything
      assert.strictEqual(tagOf(yield* settle(attempt(Effect.fail("refused")))), "refused")
      assert.strictEqual(attempts(), 3)
      assert.strictEqual(breaker.status(0).consecutiveFailures, 1)
      yield* settle(attempt(Effect.fail("refused")))
      assert.strictEqual(attempts(), 6)
      assert.strictEqual(tagOf(yield* settle(attempt(Effect.succeed("fine")))), "CircuitBreakerError")
      assert.strictEqual(attempts(), 6)
    })
  )

  it.effect("bounds all attempts by the deadline, which counts for the breaker", () =>
    Effect.gen(function* () {
      const { attempt, breaker, settle } = yield* everything
      assert.strictEqual(tagOf(yield* settle(attempt(Effect.never))), "DeadlineExceeded")
      assert.strictEqual(breaker.status(0).consecutiveFailures, 1)
    })
  )

  it.effect("refuses by the rate before it takes a place, and for lack of a place before the breaker counts", () =>
    Effect.gen(function* () {
      const { attempt, attempts, breaker, concurrency, settle } = yield* everything
      const held = yield* Effect.forkChild(attempt(Effect.never), { startImmediately: true })
      assert.strictEqual(tagOf(yield* Effect.exit(attempt(Effect.succeed("fine")))), "Overloaded")
      assert.strictEqual(breaker.status(0).consecutiveFailures, 0)
      yield* Fiber.interrupt(held)
      for (let i = 0; i < 2; i++) assert.strictEqual(tagOf(yield* settle(attempt(Effect.succeed("fine")))), "fine")
      assert.strictEqual(tagOf(yield* settle(attempt(Effect.succeed("fine")))), "RateLimited")
      assert.strictEqual(attempts(), 3)
      assert.deepStrictEqual([concurrency.status().active, concurrency.status().refused], [0, 1])
    })
  )

  it.effect("adds nothing where no policy is given", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Policy.compose({})(Effect.succeed("fine")), "fine")
    })
  )
})
