import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Outliers from "../src/Outliers.ts"

const targets = (count: number) => Array.from({ length: count }, (_, i) => ({ name: `t${i}` }))
type Target = ReturnType<typeof targets>[number]

const policy = { ...Outliers.defaultPolicy, consecutiveFailures: 3 }

const failTimes = (outliers: Outliers.Outliers<Target>, target: Target, all: Array<Target>, now: number, times = 3) => {
  let last: Outliers.Ejection | undefined
  for (let i = 0; i < times; i++) last = outliers.failed(target, all, now)
  return last
}

const [a, b] = [{ name: "a" }, { name: "b" }]
const step = Schema.Struct({
  target: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 6 })),
  kind: Schema.Literals(["fail", "fail", "fail", "fail", "succeed", "restore"]),
  millis: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2000 }))
})

describe("Outliers", () => {
  it("ejects after failures in a row, and lets the target in again when the time is over", () => {
    const outliers = Outliers.make<Target>(policy)
    failTimes(outliers, a, [a, b], 0, 2)
    outliers.succeeded(a)
    assert.isUndefined(failTimes(outliers, a, [a, b], 0, 2))
    assert.deepStrictEqual(outliers.failed(a, [a, b], 100), { until: 10_100, times: 1 })
    assert.deepStrictEqual(outliers.ejection(a, 10_099), { until: 10_100, times: 1 })
    assert.isUndefined(outliers.ejection(a, 10_100))
    assert.isUndefined(outliers.ejection(b, 100))
  })

  it("makes each further ejection longer, up to the longest, and starts again after that long without one", () => {
    const outliers = Outliers.make<Target>({ ...policy, maxEjectFor: Duration.seconds(25) })
    let now = 0
    const lengths = Array.from({ length: 4 }, () => {
      const { times, until } = failTimes(outliers, a, [a, b], now) ?? assert.fail("not ejected")
      const length = until - now
      now = until
      return [times, length]
    })
    assert.deepStrictEqual(lengths, [
      [1, 10_000],
      [2, 20_000],
      [3, 25_000],
      [4, 25_000]
    ])
    assert.strictEqual(failTimes(outliers, a, [a, b], now + 25_000)?.times, 1)
  })

  it("counts nothing while a target is out, and ejects it for a failure once there is room", () => {
    const outliers = Outliers.make<Target>(policy)
    failTimes(outliers, a, [a, b], 0)
    assert.isUndefined(failTimes(outliers, a, [a, b], 1, 10))
    assert.strictEqual(outliers.ejection(a, 2)?.times, 1)
    assert.isUndefined(failTimes(outliers, b, [a, b], 3, 10))
    assert.isUndefined(outliers.ejection(b, 3))
    assert.strictEqual(outliers.failed(b, [a, b], 10_000)?.times, 1)
    assert.isUndefined(failTimes(outliers, a, [a, b], 20_000, 2))
    assert.strictEqual(outliers.failed(a, [a, b], 20_000)?.times, 2)
  })

  it("never ejects the only target, and takes one back as new", () => {
    const outliers = Outliers.make<Target>(policy)
    assert.isUndefined(failTimes(outliers, a, [a], 0, 50))
    const other = Outliers.make<Target>(policy)
    failTimes(other, a, [a, b], 0)
    other.restore(a)
    assert.isUndefined(other.ejection(a, 1))
    assert.strictEqual(failTimes(other, a, [a, b], 1)?.times, 1)
  })

  it.prop(
    "never has more than half of the targets out, rounded down",
    { count: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 7 })), steps: Schema.Array(step) },
    ({ count, steps }) => {
      const all = targets(count)
      const outliers = Outliers.make<Target>({ ...policy, consecutiveFailures: 2 })
      let now = 0
      for (const { kind, millis, target: index } of steps) {
        now += millis
        const target = all[index % count] ?? assert.fail("no target")
        if (kind === "fail") outliers.failed(target, all, now)
        else if (kind === "succeed") outliers.succeeded(target)
        else outliers.restore(target)
        const out = all.filter((one) => outliers.ejection(one, now) !== undefined).length
        assert.isAtMost(out, Math.floor(count / 2))
      }
    },
    { arbitrary: { runs: 400, size: 80 } }
  )

  it.effect("guards an effect: failures and successes count, interruption does not", () =>
    Effect.gen(function* () {
      const outliers = Outliers.make<Target>(policy)
      const guarded = outliers.guard(a, [a, b])
      const fail = Effect.exit(guarded(Effect.fail("refused"), Exit.isFailure))
      yield* fail
      yield* fail
      yield* guarded(Effect.void, Exit.isFailure)
      yield* fail
      yield* fail
      const hung = yield* Effect.forkChild(guarded(Effect.never, Exit.isFailure), { startImmediately: true })
      yield* Fiber.interrupt(hung)
      assert.isUndefined(outliers.ejection(a, 0))
      yield* TestClock.adjust("5 millis")
      yield* fail
      assert.deepStrictEqual(outliers.ejection(a, 5), { until: 10_005, times: 1 })
    })
  )
})
