import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Random, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Retry from "../src/Retry.ts"

const policy: Retry.RetryPolicy = {
  attempts: 4,
  budget: 0.2,
  backoff: { base: Duration.millis(100), max: Duration.millis(300) }
}
const always = { while: () => true }

const full = () => {
  const budget = Retry.makeBudget(1)
  for (let i = 0; i < 200; i++) budget.deposit()
  return budget
}

/** A call that fails, and the times at which it was tried. */
const failing = () => {
  const triedAt: Array<number> = []
  const call = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    triedAt.push(now)
    return Effect.fail("refused")
  })
  return { call, triedAt }
}

const fraction = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 }))

describe("RetryBudget", () => {
  it("starts empty, gains its share a request, and keeps a hundred at most", () => {
    const budget = Retry.makeBudget(0.1)
    assert.isFalse(budget.withdraw())
    for (let i = 0; i < 9; i++) budget.deposit()
    assert.isFalse(budget.withdraw())
    budget.deposit()
    assert.isTrue(budget.withdraw())
    assert.strictEqual(budget.tokens(), 0)
    for (let i = 0; i < 5000; i++) budget.deposit()
    assert.strictEqual(budget.tokens(), 100)
  })

  it.prop(
    "gives out every whole token it was given, and never more",
    { hundredths: fraction, requests: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 900 })) },
    ({ hundredths, requests }) => {
      const budget = Retry.makeBudget(hundredths / 100)
      let retries = 0
      for (let i = 0; i < requests; i++) {
        budget.deposit()
        while (budget.withdraw()) retries++
      }
      assert.strictEqual(retries, Math.floor((requests * hundredths) / 100))
    }
  )
})

describe("delayMillis", () => {
  it("doubles its limit up to the cap, jitters over all of it, and waits as long as the upstream asked for", () => {
    const delays = (random: number) => [1, 2, 3, 4, 2000].map((n) => Retry.delayMillis(policy, n, () => random))
    assert.deepStrictEqual(delays(1), [100, 200, 300, 300, 300])
    assert.deepStrictEqual(delays(0.5), [50, 100, 150, 150, 150])
    assert.deepStrictEqual(delays(0), [0, 0, 0, 0, 0])
    assert.strictEqual(
      Retry.delayMillis(policy, 1, () => 1, 2500),
      2500
    )
    assert.strictEqual(
      Retry.delayMillis(policy, 1, () => 1, 40),
      100
    )
  })
})

describe("retry", () => {
  it.effect("tries as often as the policy says, after growing, capped and jittered waits", () =>
    Effect.gen(function* () {
      const { call, triedAt } = failing()
      const fiber = yield* Effect.forkChild(
        Effect.flip(Retry.retry(policy, full(), always)(call)).pipe(Random.withSeed("retry"))
      )
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "refused")
      const waits = triedAt.slice(1).map((at, i) => at - (triedAt[i] ?? 0))
      assert.strictEqual(waits.length, 3)
      for (const [i, wait] of waits.entries()) assert.isAtMost(wait, [100, 200, 300][i] ?? 0)
      assert.notDeepEqual(waits, [100, 200, 300])
    })
  )

  it.effect("waits at least as long as the upstream asked for", () =>
    Effect.gen(function* () {
      const { call, triedAt } = failing()
      const options = { while: () => true, retryAfter: () => Duration.seconds(2) }
      yield* Effect.forkChild(Effect.exit(Retry.retry({ ...policy, attempts: 2 }, full(), options)(call)))
      yield* TestClock.adjust("1999 millis")
      assert.strictEqual(triedAt.length, 1)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(triedAt, [0, 2000])
    })
  )

  it.effect("takes a token for a retry that is made, and for nothing else", () =>
    Effect.gen(function* () {
      const budget = Retry.makeBudget(1)
      const once = { ...policy, attempts: 1 }
      yield* Effect.exit(Retry.retry(once, budget, always)(failing().call))
      yield* Effect.exit(Retry.retry(policy, budget, { while: () => false })(failing().call))
      yield* Retry.retry(policy, budget, always)(Effect.void)
      assert.strictEqual(budget.tokens(), 3)
      yield* Effect.forkChild(Effect.exit(Retry.retry({ ...policy, attempts: 2 }, budget, always)(failing().call)))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(budget.tokens(), 3)
    })
  )

  it.effect.prop(
    "makes at most (1 + budget) attempts a request, whatever fails",
    { fails: Schema.Array(Schema.Boolean), hundredths: fraction },
    ({ fails, hundredths }) =>
      Effect.gen(function* () {
        const budget = Retry.makeBudget(hundredths / 100)
        let attempts = 0
        let requests = 0
        for (const [i] of fails.entries()) {
          requests++
          const call = Effect.suspend(() => {
            attempts++
            return fails[(i + attempts) % fails.length] ? Effect.fail("refused") : Effect.void
          })
          const fiber = yield* Effect.forkChild(Effect.exit(Retry.retry(policy, budget, always)(call)))
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(fiber)
          // In whole hundredths: 25 * 1.16 is less than 29 in floating point.
          assert.isAtMost(attempts * 100, requests * (100 + hundredths))
        }
      }),
    { arbitrary: { runs: 100, size: 40 } }
  )
})
