import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Concurrency from "../src/Concurrency.ts"

const policy: Concurrency.ConcurrencyPolicy = { max: 2, queue: 3, wait: Duration.seconds(1) }

const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })

const figures = (concurrency: Concurrency.Concurrency) => {
  const { active, queued, refused } = concurrency.status()
  return { active, queued, refused }
}

const event = Schema.Union([
  Schema.TaggedStruct("Call", { millis: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 900 })) }),
  Schema.TaggedStruct("Interrupt", { index: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 })) }),
  Schema.TaggedStruct("Wait", { millis: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 })) })
])

const move = Schema.Union([
  Schema.TaggedStruct("Ask", { atOnce: Schema.Boolean }),
  Schema.TaggedStruct("Release", {}),
  Schema.TaggedStruct("Interrupt", { index: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })) }),
  Schema.TaggedStruct("Wait", { millis: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 500 })) })
])

describe("Concurrency, in any sequence", () => {
  it.effect.prop(
    "has given a place to exactly those whose asking succeeded, whenever they are interrupted",
    { moves: Schema.Array(move) },
    ({ moves }) =>
      Effect.gen(function* () {
        const concurrency = Concurrency.make(policy)
        const asking: Array<Fiber.Fiber<void, Concurrency.Overloaded>> = []
        const interrupts: Array<Fiber.Fiber<void>> = []
        let releases = 0
        const held = () =>
          asking.map((fiber) => fiber.pollUnsafe()).filter((exit) => exit && Exit.isSuccess(exit)).length - releases
        for (const one of moves) {
          if (one._tag === "Wait") yield* TestClock.adjust(one.millis)
          else if (one._tag === "Ask") {
            asking.push(yield* Effect.forkChild(concurrency.acquire, { startImmediately: one.atOnce }))
          } else if (one._tag === "Release" && held() > 0) {
            releases++
            concurrency.release()
          } else if (one._tag === "Interrupt") {
            // Not waited for, so that the next move comes in the same moment.
            const fiber = asking[one.index]
            if (fiber) interrupts.push(yield* fork(Fiber.interrupt(fiber)))
          }
        }
        yield* TestClock.adjust("10 seconds")
        yield* Effect.forEach(interrupts, Fiber.await)
        const { active, queued } = concurrency.status()
        assert.deepStrictEqual({ active, queued }, { active: held(), queued: 0 })
      }),
    { arbitrary: { runs: 500, size: 60 } }
  )

  it.effect.prop(
    "runs no more than the most at once, and ends with every place free",
    { events: Schema.Array(event) },
    ({ events }) =>
      Effect.gen(function* () {
        const concurrency = Concurrency.make({ max: 2, queue: 2, wait: Duration.millis(400) })
        const fibers: Array<Fiber.Fiber<void, Concurrency.Overloaded>> = []
        let running = 0
        let most = 0
        const call = (millis: number) =>
          Effect.acquireUseRelease(
            Effect.sync(() => {
              most = Math.max(most, ++running)
            }),
            () => Effect.sleep(millis),
            () => Effect.sync(() => running--)
          )
        for (const one of events) {
          if (one._tag === "Call") fibers.push(yield* fork(concurrency.limit(call(one.millis))))
          else if (one._tag === "Wait") yield* TestClock.adjust(one.millis)
          else if (fibers[one.index]) yield* Fiber.interrupt(fibers[one.index] ?? assert.fail("no fiber"))
          assert.isAtMost(concurrency.status().queued, 2)
        }
        yield* TestClock.adjust("10 seconds")
        const exits = yield* Effect.forEach(fibers, Fiber.await)
        assert.isAtMost(most, 2)
        assert.strictEqual(running, 0)
        const refused = exits.filter(
          (exit) => Exit.isFailure(exit) && Exit.findErrorOption(exit)._tag === "Some"
        ).length
        assert.deepStrictEqual(figures(concurrency), { active: 0, queued: 0, refused })
      }),
    { arbitrary: { runs: 200, size: 60 } }
  )
})
