import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import * as GroupCommit from "../src/GroupCommit.ts"

/** Commits lists of numbers once `gate` is open; a list with a negative number fails. */
const recorder = Effect.fnUntraced(function* (capacity = 100) {
  const gate = yield* Deferred.make<void>()
  const started = yield* Deferred.make<void>()
  const committed: Array<ReadonlyArray<number>> = []
  const scope = yield* Scope.make()
  const add = yield* GroupCommit.make<number, string>({
    capacity,
    closed: () => "closed",
    commit: Effect.fnUntraced(function* (items) {
      yield* Deferred.succeed(started, undefined)
      yield* Deferred.await(gate)
      const bad = items.find((item) => item < 0)
      if (bad !== undefined) return yield* Effect.fail(`bad ${bad}`)
      committed.push([...items])
    })
  }).pipe(Scope.provide(scope))
  return { gate, started, committed, scope, add }
})

describe("GroupCommit", () => {
  it.effect("commits a lone item at once and gathers the rest while a commit runs", () =>
    Effect.gen(function* () {
      const { add, committed, gate, scope, started } = yield* recorder()
      const first = yield* Effect.forkChild(add(0))
      yield* Deferred.await(started)
      const others = yield* Effect.forEach([1, 2, 3, 4], (item) => Effect.forkChild(add(item)))
      yield* Effect.yieldNow
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll([first, ...others])
      assert.deepStrictEqual(committed, [[0], [1, 2, 3, 4]])
      yield* Scope.close(scope, Exit.void)
    })
  )

  it.effect("fails only the guilty items and commits their neighbours in order", () =>
    Effect.gen(function* () {
      const { add, committed, gate, scope, started } = yield* recorder()
      const first = yield* Effect.forkChild(add(0))
      yield* Deferred.await(started)
      const others = yield* Effect.forEach([1, 2, -3, 4, 5, -6, 7], (item) => Effect.forkChild(Effect.exit(add(item))))
      yield* Effect.yieldNow
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(first)
      const exits = yield* Fiber.joinAll(others)
      assert.deepStrictEqual(exits, [
        Exit.void,
        Exit.void,
        Exit.fail("bad -3"),
        Exit.void,
        Exit.void,
        Exit.fail("bad -6"),
        Exit.void
      ])
      assert.deepStrictEqual(committed.flat(), [0, 1, 2, 4, 5, 7])
      yield* Scope.close(scope, Exit.void)
    })
  )

  it.effect("fails all items at once when the store is out, without trying each", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const started = yield* Deferred.make<void>()
      let commits = 0
      const add = yield* GroupCommit.make<number, string>({
        capacity: 100,
        closed: () => "closed",
        isOutage: (error) => error === "full",
        commit: () =>
          Effect.suspend(() => {
            commits++
            if (commits > 1) return Effect.fail("full")
            return Effect.andThen(Deferred.succeed(started, undefined), Deferred.await(gate))
          })
      })
      const first = yield* Effect.forkChild(add(0))
      yield* Deferred.await(started)
      const others = yield* Effect.forEach([1, 2, 3, 4, 5], (item) =>
        Effect.forkChild(Effect.flip(add(item)), { startImmediately: true })
      )
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(first)
      assert.deepStrictEqual(
        yield* Fiber.joinAll(others),
        Array.from({ length: 5 }, () => "full")
      )
      assert.strictEqual(commits, 2)
    }).pipe(Effect.scoped)
  )

  it.effect("leaves out an item whose caller was interrupted before its commit began", () =>
    Effect.gen(function* () {
      const { add, committed, gate, scope, started } = yield* recorder()
      const first = yield* Effect.forkChild(add(0))
      yield* Deferred.await(started)
      const gone = yield* Effect.forkChild(add(1))
      const stays = yield* Effect.forkChild(add(2))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(gone)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll([first, stays])
      assert.deepStrictEqual(committed, [[0], [2]])
      yield* Scope.close(scope, Exit.void)
    })
  )

  it.effect("holds callers back when the queue is full and drops none", () =>
    Effect.gen(function* () {
      const { add, committed, gate, scope, started } = yield* recorder(2)
      const first = yield* Effect.forkChild(add(0))
      yield* Deferred.await(started)
      const items = Array.from({ length: 50 }, (_, index) => index + 1)
      const others = yield* Effect.forEach(items, (item) => Effect.forkChild(add(item)))
      yield* Effect.yieldNow
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll([first, ...others])
      assert.deepStrictEqual(committed.flat(), [0, ...items])
      assert.isAtMost(Math.max(...committed.map((items) => items.length)), 2)
      yield* Scope.close(scope, Exit.void)
    })
  )

  it.effect("completes what was accepted before its scope closes and refuses what comes later", () =>
    Effect.gen(function* () {
      const { add, committed, gate, scope, started } = yield* recorder(2)
      const first = yield* Effect.forkChild(add(0))
      yield* Deferred.await(started)
      const others = yield* Effect.forEach([1, 2, 3], (item) => Effect.forkChild(add(item)))
      yield* Effect.yieldNow
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* Effect.yieldNow
      assert.strictEqual(yield* Effect.flip(add(4)), "closed")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(closing)
      yield* Fiber.joinAll([first, ...others])
      assert.deepStrictEqual(committed.flat(), [0, 1, 2, 3])
    })
  )
})
