import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Concurrency from "../src/Concurrency.ts"

const policy: Concurrency.ConcurrencyPolicy = { max: 2, queue: 3, wait: Duration.seconds(1) }

const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })

const figures = (concurrency: Concurrency.Concurrency) => {
  const { active, queued, refused } = concurrency.status()
  return { active, queued, refused }
}

/** Takes all places. */
const fill = (concurrency: Concurrency.Concurrency) => {
  while (concurrency.tryAcquire());
}

describe("Concurrency", () => {
  it.effect("takes places up to the most, and gives one back once for each release", () =>
    Effect.sync(() => {
      const concurrency = Concurrency.make(policy)
      assert.deepStrictEqual([1, 2, 3].map(concurrency.tryAcquire), [true, true, false])
      concurrency.release()
      assert.deepStrictEqual(concurrency.status(), { active: 1, queued: 0, max: 2, queue: 3, refused: 0 })
      assert.isTrue(concurrency.tryAcquire())
      assert.isFalse(concurrency.tryAcquire())
    })
  )

  it.effect("serves the queue in order, and lets nobody jump it", () =>
    Effect.gen(function* () {
      const concurrency = Concurrency.make(policy)
      fill(concurrency)
      const served: Array<number> = []
      for (const i of [1, 2, 3])
        yield* fork(
          Effect.andThen(
            concurrency.acquire,
            Effect.sync(() => served.push(i))
          )
        )
      assert.deepStrictEqual(figures(concurrency), { active: 2, queued: 3, refused: 0 })
      concurrency.release()
      assert.isFalse(concurrency.tryAcquire())
      yield* TestClock.adjust(0)
      concurrency.release()
      concurrency.release()
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(served, [1, 2, 3])
      assert.deepStrictEqual(figures(concurrency), { active: 2, queued: 0, refused: 0 })
    })
  )

  it.effect("refuses at once when the queue is full, and tells how full", () =>
    Effect.gen(function* () {
      const concurrency = Concurrency.make(policy)
      fill(concurrency)
      for (const _ of [1, 2, 3]) yield* fork(concurrency.acquire)
      const { _tag, active, max, queue, queued, waitedMillis } = yield* Effect.flip(concurrency.acquire)
      assert.deepStrictEqual(
        { _tag, active, queued, max, queue, waitedMillis },
        { _tag: "Overloaded", active: 2, queued: 3, max: 2, queue: 3, waitedMillis: 0 }
      )
      assert.strictEqual(concurrency.status().refused, 1)
    })
  )

  it.effect("refuses after the longest wait, and keeps no place for it", () =>
    Effect.gen(function* () {
      const concurrency = Concurrency.make(policy)
      fill(concurrency)
      const waiting = yield* fork(Effect.flip(concurrency.acquire))
      yield* TestClock.adjust("999 millis")
      assert.strictEqual(concurrency.status().queued, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(waiting)).waitedMillis, 1000)
      concurrency.release()
      assert.deepStrictEqual(figures(concurrency), { active: 1, queued: 0, refused: 1 })
    })
  )

  it.effect("leaves the queue when interrupted, so that the next one is served", () =>
    Effect.gen(function* () {
      const concurrency = Concurrency.make(policy)
      fill(concurrency)
      const first = yield* fork(concurrency.acquire)
      const second = yield* fork(concurrency.acquire)
      yield* Fiber.interrupt(first)
      assert.strictEqual(concurrency.status().queued, 1)
      concurrency.release()
      yield* Fiber.join(second)
      assert.deepStrictEqual(figures(concurrency), { active: 2, queued: 0, refused: 0 })
    })
  )

  it.effect("gives the place back however a limited call ends", () =>
    Effect.gen(function* () {
      const concurrency = Concurrency.make({ ...policy, max: 1 })
      yield* concurrency.limit(Effect.void)
      yield* Effect.exit(concurrency.limit(Effect.fail("refused")))
      yield* Effect.exit(concurrency.limit(Effect.die("bug")))
      const hung = yield* fork(concurrency.limit(Effect.never))
      const queued = yield* fork(concurrency.limit(Effect.succeed("ran")))
      yield* Fiber.interrupt(hung)
      assert.strictEqual(yield* Fiber.join(queued), "ran")
      assert.strictEqual(concurrency.status().active, 0)
    })
  )

  it.effect("admits those that wait when it grows, and takes nobody's place when it shrinks", () =>
    Effect.gen(function* () {
      const concurrency = Concurrency.make(policy)
      fill(concurrency)
      const waiting = yield* Effect.forEach([1, 2, 3], () => fork(concurrency.acquire))
      concurrency.resize({ ...policy, max: 5 })
      yield* Effect.forEach(waiting, Fiber.join)
      assert.strictEqual(concurrency.status().active, 5)
      concurrency.resize({ ...policy, max: 1 })
      const last = yield* fork(concurrency.acquire)
      for (let i = 0; i < 4; i++) concurrency.release()
      assert.deepStrictEqual(figures(concurrency), { active: 1, queued: 1, refused: 0 })
      concurrency.release()
      yield* Fiber.join(last)
    })
  )
})
