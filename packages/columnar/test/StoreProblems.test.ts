import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ColumnarError } from "../src/ColumnarError.ts"
import { problem, problems, streamProblems } from "../src/StoreProblems.ts"

const error = (reason: ColumnarError["reason"], message = "why", applied: "no" | "unknown" = "no") =>
  new ColumnarError({ reason, filename: "/secret/path", message, applied })

describe("Problems of the store", () => {
  it("say why, and whether anything was applied", () => {
    const full = problem(error("full", "the disk that the database is on is full"))
    assert.strictEqual(full._tag, "InsufficientStorage")
    assert.strictEqual(full.detail, "the disk that the database is on is full")
    for (const reason of ["memory", "unavailable"] as const) {
      const found = problem(error(reason))
      assert.strictEqual(found._tag, "StoreUnavailable")
      assert.strictEqual(found.detail, "why")
    }
    const closed = problem(error("closed", "why", "unknown"))
    assert.isTrue(closed._tag === "StoreUnavailable" && closed.applied === "unknown")
  })

  it("do not quote statements", () => {
    assert.notInclude(problem(error("statement", "Constraint Error: duplicate key 'Bob'")).detail ?? "", "Bob")
  })

  it.effect("take the place of the store's errors and leave others", () =>
    Effect.gen(function* () {
      const failed: Effect.Effect<never, ColumnarError | "mine"> = Effect.fail(error("full"))
      const translated = yield* Effect.flip(problems(failed))
      assert.isTrue(translated !== "mine" && translated._tag === "InsufficientStorage")
      const mine: Effect.Effect<never, ColumnarError | "mine"> = Effect.fail("mine")
      assert.strictEqual(yield* Effect.flip(problems(mine)), "mine")
      const midway = Stream.concat(Stream.make(1, 2), Stream.fail(error("unavailable")))
      const seen: Array<number> = []
      const end = yield* Effect.flip(Stream.runForEach(streamProblems(midway), (n) => Effect.sync(() => seen.push(n))))
      assert.strictEqual(end._tag, "StoreUnavailable")
      assert.deepStrictEqual(seen, [1, 2])
    })
  )
})
